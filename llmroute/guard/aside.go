package guard

import (
	"context"
	"sync"

	"github.com/caddy-llm/gateway/llmroute/filter"
)

// aside is what guards with Parallel and Log are asked about a request. They can deny nothing, so
// neither the request nor its response waits for them, and the request may have ended before they
// have decided. It has nothing of the request but copies.
type aside struct {
	acts

	mu      sync.Mutex
	decided bool // all of them have, and the request has not ended before
	ended   bool // the request has
}

// askAside has the services asked, one after the other.
func (s *step) askAside(open []question) {
	w := &aside{acts: acts{
		f: s.f, ctx: context.Background(), header: s.header.Clone(),
		call: &filter.Call{Rule: s.call.Rule, Client: filter.Client{Name: s.call.Client.Name}},
	}}
	s.aside = w
	go func() {
		for _, q := range open {
			_ = w.askSafely(q) // which refuses nothing, but if it panics
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.decided = !w.ended; w.ended {
			w.end()
		}
	}()
}

// endWith notes that the request has ended. What was decided so far is logged with it, and what
// is decided later by itself.
func (w *aside) endWith(a *acts) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended = true; w.decided {
		a.all = append(a.all, w.all...)
	}
}
