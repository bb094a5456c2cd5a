// Package fakecache has a cache service for tests: a server of the documented system's protocol
// that does what its sample does, and what broken ones do.
package fakecache

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Part is a request or a response, as the service is sent them.
type Part struct {
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

// Message is what the service is sent, and what it answers with.
type Message struct {
	Request  Part `json:"request"`
	Response Part `json:"response"`
}

// Service keeps responses by the host, the model and the last message of requests, as the
// sample does.
type Service struct {
	*httptest.Server

	mu    sync.Mutex
	kept  map[string]Part
	told  []Message
	asked atomic.Int64

	awkward atomic.Pointer[http.HandlerFunc]
}

// New returns a service that serves until the test ends.
func New(t testing.TB) *Service {
	s := &Service{kept: make(map[string]Part)}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// Be has it answer otherwise; nil has it answer as it should.
func (s *Service) Be(f http.HandlerFunc) { s.awkward.Store(&f) }

// Told is what it was told.
func (s *Service) Told() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Message(nil), s.told...)
}

// Asked is how often it was asked for a response.
func (s *Service) Asked() int64 { return s.asked.Load() }

// key is what the sample keeps responses by, empty if the request lacks it.
func (p *Part) key() string {
	var body struct {
		Model    string
		Messages []struct{ Content json.RawMessage }
	}
	if json.Unmarshal([]byte(p.Body), &body) != nil || len(body.Messages) == 0 {
		return ""
	}
	host := p.Headers["host"]
	if host == "" {
		host = p.Headers[":authority"]
	}
	return strings.Join([]string{host, body.Model, string(body.Messages[len(body.Messages)-1].Content)}, "-")
}

// ServeHTTP implements http.Handler.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f := s.awkward.Load(); f != nil && *f != nil {
		(*f)(w, r)
		return
	}
	var m Message
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil || m.Request.key() == "" {
		http.Error(w, "no request", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.Method + " " + r.URL.Path {
	case "POST /lookup":
		s.asked.Add(1)
		kept, there := s.kept[m.Request.key()]
		if !there {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_ = json.NewEncoder(w).Encode(Message{Response: kept})
	case "POST /update":
		s.told = append(s.told, m)
		s.kept[m.Request.key()] = m.Response
	default:
		http.NotFound(w, r)
	}
}
