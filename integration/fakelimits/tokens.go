package fakelimits

import (
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TokenRule is a rule of a token service: for keys that the expression matches, of which the first
// does.
type TokenRule struct {
	Key  *regexp.Regexp
	Fill int64         // tokens that come in
	In   time.Duration // in which, at once
	Max  int64
}

// TokenRecord is what a token service is told.
type TokenRecord struct {
	Keys       []string `json:"ratelimit_keys"`
	Prompt     *int64   `json:"prompt_tokens"`
	Completion *int64   `json:"completion_tokens"`
	Total      *int64   `json:"total_tokens"`
}

// Tokens is a token service as the documented system's sample is: a key may go on while its bucket holds
// something, of which output alone is taken; a key without a rule always may.
type Tokens struct {
	now   func() time.Time
	rules []TokenRule

	mu      sync.Mutex
	buckets map[string]*bucket
	asked   []string // the raw queries of /ratelimit
	records []TokenRecord

	awkward atomic.Pointer[http.HandlerFunc]
}

type bucket struct {
	level int64
	at    time.Time
}

// NewTokens returns a service with that time and these rules that serves until the test ends or
// stop is called.
func NewTokens(t testing.TB, now func() time.Time, rules ...TokenRule) (s *Tokens, at string, stop func()) {
	t.Helper()
	s = &Tokens{now: now, rules: rules, buckets: make(map[string]*bucket)}
	at, stop = s.Serve(t, "")
	return s, at, stop
}

// Serve serves at the address that listen describes, until the test ends or stop is called.
func (s *Tokens) Serve(t testing.TB, address string) (at string, stop func()) {
	t.Helper()
	l := listen(t, address)
	server := &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()
	stop = func() { _ = server.Close() }
	t.Cleanup(stop)
	return l.Addr().String(), stop
}

// Be has it answer otherwise, before it counts; nil has it answer as it should.
func (s *Tokens) Be(f http.HandlerFunc) { s.awkward.Store(&f) }

// Records is what it was told.
func (s *Tokens) Records() []TokenRecord {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]TokenRecord(nil), s.records...)
}

// Asked returns the queries that it was asked with.
func (s *Tokens) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.asked...)
}

// Forget forgets what was used.
func (s *Tokens) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buckets = make(map[string]*bucket)
}

// ServeHTTP implements http.Handler.
func (s *Tokens) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f := s.awkward.Load(); f != nil && *f != nil {
		(*f)(w, r)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.Method + " " + r.URL.Path {
	case "GET /ratelimit":
		s.asked = append(s.asked, r.URL.RawQuery)
		var keys []string
		if err := json.Unmarshal([]byte(r.URL.Query().Get("ratelimit_keys")), &keys); err != nil || len(keys) == 0 {
			http.Error(w, "no keys", http.StatusBadRequest)
			return
		}
		answer := map[string]any{"allow": true, "description": ""}
		for _, key := range keys {
			if b := s.bucket(key); b != nil && b.level <= 0 {
				answer = map[string]any{"allow": false, "description": "limited: " + key}
			}
		}
		_ = json.NewEncoder(w).Encode(answer)
	case "POST /update_ratelimit_record":
		var told TokenRecord
		if err := json.NewDecoder(r.Body).Decode(&told); err != nil || told.Prompt == nil || told.Completion == nil || told.Total == nil {
			http.Error(w, "a field is missing", http.StatusBadRequest)
			return
		}
		s.records = append(s.records, told)
		for _, key := range told.Keys {
			if b := s.bucket(key); b != nil {
				b.level -= *told.Completion
			}
		}
	default:
		http.NotFound(w, r)
	}
}

func (s *Tokens) bucket(key string) *bucket {
	for _, rule := range s.rules {
		if !rule.Key.MatchString(key) {
			continue
		}
		b := s.buckets[key]
		if b == nil {
			b = &bucket{level: rule.Fill, at: s.now()}
			s.buckets[key] = b
		}
		for ; s.now().Sub(b.at) >= rule.In; b.at = b.at.Add(rule.In) {
			b.level = min(b.level+rule.Fill, rule.Max)
		}
		return b
	}
	return nil
}
