package limithttp

import (
	"context"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/filter"
	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/limit/estimate"
)

// step is one request that limits apply to.
type step struct {
	f        *Filter
	call     *filter.Call
	subject  subject
	prompt   estimate.Prompt
	target   filter.Target      // that the request is sent to
	r        *limit.Reservation // nil as long as no target has room
	refused  *limit.Refusal     // of the last try
	attempts int                // that were charged, those that timed out included
	timedOut int
	charged  llmprovider.Usage // to these
	cost     uint64            // of these
	headers  []string          // that were written
	logged   *logged
	produced estimate.Produced
	begun    bool // a response that is no error has
	stream   bool // and is a stream
}

// Reader implements filter.Step: it counts what a stream produces.
func (s *step) Reader(next llmprovider.Reader) llmprovider.Reader {
	if s.r == nil {
		return next
	}
	return &reader{Reader: next, s: s}
}

// reader passes a response on, and reserves more while it is produced.
type reader struct {
	llmprovider.Reader
	s *step
}

// Head implements llmprovider.Reader. What the provider says of its own limits is for
// the gateway, whose key it is.
func (r *reader) Head(h *llmprovider.Head) {
	r.Reader.Head(h)
	r.s.begun, r.s.stream = h.Status < 400, h.Stream && h.Status < 400
	if r.s.r.Applied() {
		dropProviders(h)
	}
}

// Write implements llmprovider.Reader.
func (r *reader) Write(p []byte, pass func([]byte) error) error {
	if !r.s.stream {
		return r.Reader.Write(p, pass)
	}
	r.s.produced.Write(p)
	if err := r.Reader.Write(p, pass); err != nil {
		return err
	}
	if refused, goes := r.s.r.Grow(r.s.produced.Tokens()); !goes {
		return r.s.errorOf(refused)
	}
	return nil
}

// Next implements filter.Retargeter.
func (s *step) Next(ctx context.Context, to *filter.Target, o *filter.Outcome) *llmprovider.Error {
	if s.r == nil {
		s.target = *to
		return s.reserve(ctx)
	}
	s.charge(o, true)
	var price *limit.Price
	if s.f.cost {
		price = priceOf(to.Cost)
	}
	before := s.target
	s.target = *to
	s.refused = s.r.Retarget(ctx, to.Provider, to.Model, price)
	if s.subject.err != nil { // what was reserved stays so until the end
		return s.subject.refusal()
	}
	if s.refused != nil {
		err := s.errorOf(s.refused)
		s.target = before
		return err
	}
	s.writeHeaders()
	s.log()
	return nil
}

// End implements filter.Step.
func (s *step) End(o *filter.Outcome) {
	if s.r == nil {
		return
	}
	s.charge(o, false)
	s.r.End()
	s.r = nil
}

// charge notes what the attempts used of which nothing was noted so far. failed reports
// whether another one follows.
func (s *step) charge(o *filter.Outcome, failed bool) {
	for ; s.timedOut < o.TimedOut; s.timedOut++ {
		s.r.Charge(limit.Unbegun, limit.Usage{Cost: -1})
	}
	if o.Attempts == s.attempts {
		return
	}
	s.attempts = o.Attempts
	u := limit.Usage{Input: o.Usage.PromptTokens - s.charged.PromptTokens, Output: o.Usage.CompletionTokens - s.charged.CompletionTokens, Cost: -1}
	if o.CostKnown {
		u.Cost = int64(min(o.Cost.Nano-s.cost, uint64(1)<<62))
		s.cost = o.Cost.Nano
	}
	s.charged.PromptTokens, s.charged.CompletionTokens = o.Usage.PromptTokens, o.Usage.CompletionTokens
	how := s.ending(o, failed, u)
	if how == limit.Cut {
		u.Output = max(u.Output, s.produced.Tokens())
	}
	if how == limit.Unreported {
		u.Output = s.produced.Tokens()
	}
	if how == limit.Metered {
		s.f.engine.Ratios.Learn(s.prompt, o.Model, u.Input)
	}
	s.r.Charge(how, u)
}

// ending is how it is known what the attempts used, those that timed out apart.
func (s *step) ending(o *filter.Outcome, failed bool, u limit.Usage) limit.Ending {
	metered := u.Input > 0 || u.Output > 0
	switch {
	case s.begun && o.Complete && !failed && metered:
		return limit.Metered
	case !s.begun || failed:
		switch {
		case metered:
			return limit.Metered
		case o.ClientGone, o.Denied:
			return limit.Unbegun
		}
		return limit.Rejected
	case !o.Complete && (s.stream || u.Output > 0):
		return limit.Cut
	case s.stream:
		return limit.Unreported
	}
	return limit.Unmetered
}

// log adds to the access log which limit has the least left, or refused: of the last
// provider that the limits were asked about.
func (s *step) log() {
	l := logged{shadow: s.r.Shadow(), reserved: s.r.Reserved()}
	if s.refused != nil {
		l.Standing, l.reserved = s.refused.Standing, 0
	} else if l.Standing, _ = s.r.Least(); l.Limit == "" && l.shadow == "" {
		l.reserved = 0
	}
	if s.logged == nil {
		if l == (logged{}) {
			return
		}
		s.logged = new(logged)
		s.call.LogFields = append(s.call.LogFields, zap.Inline(s.logged))
	}
	*s.logged = l
}

// logged is what the access log says of limits.
type logged struct {
	limit.Standing
	shadow   string
	reserved int64
}

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (l *logged) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	if l.Limit != "" {
		enc.AddString("llm_limit", l.Limit)
		if l.Unit == limit.UnitCost {
			enc.AddFloat64("llm_limit_remaining", float64(l.Remaining)/limit.Nano)
		} else {
			enc.AddInt64("llm_limit_remaining", l.Remaining)
		}
	}
	if l.reserved > 0 {
		enc.AddInt64("llm_reserved", l.reserved)
	}
	if l.shadow != "" {
		enc.AddString("llm_limit_shadow", l.shadow)
	}
	return nil
}

// dropProviders removes what the provider says of the limits of its key.
func dropProviders(h *llmprovider.Head) {
	for name := range h.Header {
		if strings.HasPrefix(name, "X-Ratelimit-") || strings.HasPrefix(name, "Anthropic-Ratelimit-") || name == "Ratelimit" || name == "Ratelimit-Policy" {
			delete(h.Header, name)
		}
	}
}

// Interface guards
var (
	_ filter.Step       = (*step)(nil)
	_ filter.Retargeter = (*step)(nil)
)
