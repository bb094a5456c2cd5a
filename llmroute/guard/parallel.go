package guard

import (
	"context"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/filter"
	"github.com/caddy-llm/gateway/llmroute/guard/decide"
)

// question is what the service of a guard with Parallel is asked about a request while a
// provider is asked as well. The messages are copies: the request's body may be gone by then.
type question struct {
	guard    *guard
	messages []decide.Message
}

// Decide implements filter.Decider. The services are asked one after the other, as those of
// guards without Parallel are, which have all decided before.
func (s *step) Decide(refuse func(*llmprovider.Error)) <-chan struct{} {
	var open, logging []question
	for _, q := range s.open {
		if q.guard.Log {
			logging = append(logging, q)
		} else {
			open = append(open, q)
		}
	}
	s.open = nil // or a long stream would hold the texts
	if len(logging) > 0 {
		s.askAside(logging)
	}
	if len(open) == 0 {
		return nil
	}
	s.decided = make(chan struct{})
	s.ctx, s.cancel = context.WithCancel(s.ctx)
	s.header = s.header.Clone() // that of the request may change
	go func() {
		defer close(s.decided)
		for _, q := range open {
			if refused := s.askSafely(q); refused != nil {
				refuse(refused)
				return
			}
		}
	}()
	return s.decided
}

// askSafely asks the service. A panic must not end the process, as it does not in the
// request's own goroutine, where the HTTP server recovers it.
func (a *acts) askSafely(q question) (refused *llmprovider.Error) {
	defer func() {
		if p := recover(); p != nil {
			a.f.logger.Error("guard panicked", zap.String("guard", q.guard.name), zap.Any("panic", p), zap.Stack("stack"))
			refused = unavailable(q.guard)
		}
	}()
	_, refused = a.ask(onRequest, q.guard, q.messages)
	return refused
}

// Interface guards
var _ filter.Decider = (*step)(nil)
