package cache

import (
	"context"
	"net/http"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/filter"
)

// step is what the cache does with one request: it has the response, or stores the one
// that comes.
type step struct {
	f      *Filter
	call   *filter.Call
	to     *filter.Target
	key    Key
	epoch  Epoch   // of the store, before the provider was asked
	known  bool    // the epoch; else nothing is stored
	flight *flight // that the request leads, or nil
	reader *reader // of the response that comes, nil before
	found  *Entry
	shared bool   // found is the response to a request that this one waited for
	age    string // of found
	header http.Header
	room   int64 // taken of Cache.room
}

// look returns the entry of the store, nil without one, and takes the epoch.
func (s *step) look(ctx context.Context) (e *Entry) {
	e, s.epoch, s.known = s.f.cache.store.get(ctx, s.key)
	return e
}

// hit has the step answer with an entry. shared reports whether it is the response to a
// request that this one waited for.
func (s *step) hit(e *Entry, shared bool) *step {
	now := time.Now()
	s.found, s.shared = e, shared
	status := "hit; ttl=" + wholeSeconds(e.left(now, s.f.ttl))
	if shared {
		status = "fwd=miss; collapsed"
	}
	s.age = wholeSeconds(e.age(now))
	s.header = make(http.Header, len(e.Header)+2)
	for name, values := range e.Header {
		s.header[name] = slices.Clone(values) // handlers of the site change values in place
	}
	s.header[statusHeader] = []string{identifier + "; " + status}
	s.header["Age"] = []string{s.age}
	return s
}

// count counts and logs that the client gets what was found. It does not if a guard denies the
// request, or the response, after it was found.
func (s *step) count() {
	e, c, stats := s.found, s.call, s.f.stats
	word, counter := "hit", &stats.hits
	if s.shared {
		word, counter = "collapsed", &stats.collapsed
	}
	counter.Add(1)
	c.LogFields = append(c.LogFields, zap.String("llm_cache", word), zap.String("llm_cache_age", s.age), zap.String("llm_cache_provider", e.Provider),
		zap.String("llm_cache_model", e.Tags.Model))
	u := &e.Usage
	if !u.Known {
		return
	}
	stats.promptTokens.Add(u.PromptTokens)
	stats.completionTokens.Add(u.CompletionTokens)
	c.LogFields = append(c.LogFields, zap.Int64("llm_saved_prompt_tokens", u.PromptTokens), zap.Int64("llm_saved_completion_tokens", u.CompletionTokens))
	if s.to.Cost == nil {
		return
	}
	if cost, ok := s.to.Cost(u); ok {
		stats.save(cost)
		c.LogFields = append(c.LogFields, zap.Float64("llm_saved_cost", float64(cost.Nano)/1e9), zap.String("llm_saved_currency", cost.Currency))
	}
}

// Response implements filter.Responder.
func (s *step) Response() *filter.Response {
	if s.found == nil {
		return nil
	}
	return &filter.Response{Header: s.header, Stream: s.found.Stream, Body: s.found.Body, Given: s.count}
}

// Next implements filter.Retargeter: the response of another provider, or of another
// model, is stored as such. Nobody waits for it any more. That of another endpoint of a pool
// is the one that others wait for.
func (s *step) Next(_ context.Context, to *filter.Target, _ *filter.Outcome) *llmprovider.Error {
	s.to = to
	if key := keyOf(s.f.cache.store.KeySecret(), s.f.scope, s.call, to); key != s.key {
		s.land(failed, nil)
		s.key = key
	}
	return nil
}

// Reader implements filter.Step.
func (s *step) Reader(next llmprovider.Reader) llmprovider.Reader {
	if s.found != nil {
		return next
	}
	s.reader = newReader(s, next)
	return s.reader
}

// End implements filter.Step.
func (s *step) End(o *filter.Outcome) {
	if s.found != nil {
		return
	}
	if r := s.reader; r != nil && o.Complete {
		r.end()
		if e := r.entry; e != nil && s.known {
			fl, stats, room, held := s.flight, s.f.stats, &s.f.cache.room, s.room
			s.flight, s.room = nil, 0
			stats.stored.Add(1)
			s.f.cache.store.put(s.key, e, s.epoch, func() {
				room.Add(-held)
				if fl != nil {
					fl.close()
				}
			})
		}
	}
	s.f.cache.room.Add(-s.room)
	switch {
	case o.ClientGone, o.Denied: // another may lead
		s.land(abandoned, nil)
	default:
		s.land(failed, nil)
	}
}

// land ends the flight that the step leads, if it leads one.
func (s *step) land(result landing, e *Entry) {
	if s.flight == nil {
		return
	}
	s.flight.land(result, e)
	if result != arrived {
		s.flight.close() // also of one that has landed already, whose response is not stored
		s.flight = nil
	}
}

// take takes room for n bytes of the response, if there is some.
func (s *step) take(n int) bool {
	if s.f.cache.room.Add(int64(n)) > maxRoom {
		s.f.cache.room.Add(-int64(n))
		return false
	}
	s.room += int64(n)
	return true
}

// Interface guards
var (
	_ filter.Step       = (*step)(nil)
	_ filter.Responder  = (*step)(nil)
	_ filter.Retargeter = (*step)(nil)
)
