package limithttp

import (
	"context"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/filter"
	"github.com/caddy-llm/gateway/llmroute/limit"
)

// step is one request that limits apply to.
type step struct {
	f        *Filter
	call     *filter.Call
	subject  subject
	prompt   limit.Prompt
	r        *limit.Reservation
	charged  llmprovider.Usage // to attempts before the last one
	cost     uint64            // of those
	produced limit.Produced
	begun    bool // a response that is no error has
	stream   bool // and is a stream
}

// Reader implements filter.Step: it counts what a stream produces.
func (s *step) Reader(next llmprovider.Reader) llmprovider.Reader { return &reader{Reader: next, s: s} }

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
		return errorOf(r.s.call, refused)
	}
	return nil
}

// Next implements filter.Retargeter.
func (s *step) Next(ctx context.Context, to *filter.Target, o *filter.Outcome) *llmprovider.Error {
	s.charge(o, true)
	var price *limit.Price
	if s.f.cost {
		price = priceOf(to.Cost)
	}
	if refused := s.r.Retarget(ctx, to.Provider, to.Model, price); refused != nil {
		return errorOf(s.call, refused)
	}
	return nil
}

// End implements filter.Step.
func (s *step) End(o *filter.Outcome) {
	if o.Attempts > 0 {
		s.charge(o, false)
	}
	s.r.Settle()
	s.r.Release()
	s.r = nil
}

// charge notes what the attempts used of which nothing was noted so far. failed tells
// that another one follows.
func (s *step) charge(o *filter.Outcome, failed bool) {
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
		s.f.engine.Learn(s.prompt, o.Model, u.Input)
	}
	s.r.Charge(how, u)
}

// ending is how it is known what the attempts used.
func (s *step) ending(o *filter.Outcome, failed bool, u limit.Usage) limit.Ending {
	metered := u.Input > 0 || u.Output > 0
	switch {
	case s.begun && o.Complete && !failed && metered:
		return limit.Metered
	case !s.begun || failed:
		switch {
		case metered:
			return limit.Metered
		case o.ClientGone, o.Err != nil && o.Err.Status == 504:
			return limit.Unbegun
		}
		return limit.Rejected
	case !o.Complete:
		return limit.Cut
	case s.stream:
		return limit.Unreported
	}
	return limit.Unmetered
}

// log adds to the access log which limit has the least left, or refused.
func (s *step) log(refused *limit.Refusal) {
	extra, ok := s.call.Request.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields)
	if !ok {
		return
	}
	l := logged{shadow: s.r.Shadow(), reserved: s.r.Reserved()}
	if refused != nil {
		l.Standing, l.reserved = refused.Standing, 0
	} else if l.Standing, ok = s.r.Least(); !ok && l.shadow == "" {
		return
	}
	extra.Set(zap.Inline(l))
}

// logged is what the access log says of limits.
type logged struct {
	limit.Standing
	shadow   string
	reserved int64
}

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (l logged) MarshalLogObject(enc zapcore.ObjectEncoder) error {
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
