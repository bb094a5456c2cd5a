package llmroute

import (
	"context"
	"net/http"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/headername"
	"github.com/caddy-llm/gateway/llmroute/meter"
	"github.com/caddy-llm/gateway/llmroute/receive"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// attempt is one request to one provider, up to the head of its response. Several
// attempts of one exchange may be under way at a time: send changes nothing but its own
// attempt. Which of them counts, cools its provider down and is logged is decided by
// the exchange, in its own goroutine, with conclude; the others are dropped by finish.
type attempt struct {
	provider *provider
	settings llmprovider.Settings // of the provider
	endpoint string               // of a pool, or empty

	out         *llmprovider.Attempt     // what is sent, nil if it could not be built
	model       string                   // asked of the provider
	fixedModel  bool                     // the configuration's, not the client's
	stream      bool                     // asked for
	translation *llmprovider.Translation // nil without one

	ctx    context.Context //nolint:containedctx // ends with the attempt
	cancel context.CancelCauseFunc
	dog    *receive.Watchdog // nil if nothing is sent
	span   *meter.AttemptSpan

	sent time.Time
	took time.Duration // until the response's head or the error
	res  *http.Response
	err  error

	underWay *attempt // the one that began before, of the same exchange
}

// begin builds an attempt at a target: in a pool at that endpoint. It must be
// finished. The error is why there is nothing to send.
func (x *exchange) begin(t *target, endpoint string) (*attempt, *llmprovider.Error) {
	a := &x.first
	if a.provider != nil {
		a = new(attempt)
	}
	a.provider, a.settings, a.endpoint = t.provider, t.settings(x.rule), endpoint
	a.settings.Address = endpoint
	a.settings.Strict = a.settings.Strict || x.wantsStrict()
	x.attempt = a
	x.start(a)
	if x.traced != nil {
		model, fixed := a.provider.RequestModel(x.in, a.settings)
		a.ctx, a.span = x.traced.Begin(a.ctx, &meter.TracedAttempt{
			Provider: a.provider.name, Host: a.provider.host, Rule: x.rule.Name, Operation: x.operation(), Model: model, Fixed: fixed, Number: x.Attempts,
		})
	}
	x.knowsStreamOptions()
	var refused *llmprovider.Error
	if a.out, refused = x.newAttempt(a, a.settings); refused != nil {
		return a, refused
	}
	a.model, a.fixedModel, a.stream, a.translation = a.out.Model, a.out.FixedModel, a.out.Stream, a.out.Translation
	x.h.app.metrics.Translated(a.translation)
	x.show(shown{provider: a.provider.name, rule: x.rule.Name, model: a.model, client: x.client, stream: a.stream})
	if a.out.StreamForced {
		if c := x.h.logger.Check(zapcore.DebugLevel, "stream requested by the client, but turned off by the configuration"); c != nil {
			c.Write(x.logFields()...)
		}
	}
	a.span.Sends(a.out)
	a.dog = receive.Watch(a.provider.Timeouts().FirstByte, a.cancel)
	a.provider.state.InFlight.Add(1)
	return a, nil
}

// wantsStrict reports whether the client wants no translation with loss.
func (x *exchange) wantsStrict() bool {
	return x.r.Header.Get(headername.Translation) == spec.TranslationStrict
}

// send sends the attempt and waits for the head of its response.
func (a *attempt) send() {
	a.sent = time.Now()
	a.res, a.err = a.provider.RoundTrip(a.out.Request) //nolint:bodyclose // by who concludes or drops the attempt
	a.took = time.Since(a.sent)
}

// finish gives back what the attempt holds. An attempt that was dropped may still be
// sending: then it is cancelled, and what it sends stays in memory until its connection
// has let go of it.
func (x *exchange) finish(a *attempt) {
	if a.dog != nil {
		a.provider.state.InFlight.Add(-1)
		a.dog.Stop()
	}
	a.cancel(nil)
	x.mu.Lock()
	for at := &x.underWay; *at != nil; at = &(*at).underWay {
		if *at == a {
			*at = a.underWay
			break
		}
	}
	x.mu.Unlock()
	a.span.Ended(&x.Outcome)
}

// start gives the attempt a context, which ends with the request, or when the drain
// time is over.
func (x *exchange) start(a *attempt) {
	begin := context.WithCancelCause
	if x.in != nil && x.in.Stream {
		begin = x.streamContext
	}
	a.ctx, a.cancel = begin(x.r.Context())
	x.mu.Lock()
	x.underWay, a.underWay = a, x.underWay
	over := x.over()
	x.mu.Unlock()
	if over != nil {
		a.cancel(over)
	}
}

// over is why no attempt is made any more, nil if one may be. x.mu must be held.
func (x *exchange) over() error {
	switch evicted := x.evicted(); {
	case x.drained:
		return errDrained
	case evicted != nil:
		return evicted
	case x.decision != nil && x.decision.denied != nil:
		return x.decision.denied
	}
	return nil
}

// streamContext returns a context that ends with the client's, but a moment
// later if the client leaves at the finish reason or at the event that ends the
// stream, as the Go SDK does: the usage is still to come, and a connection whose
// response was not read to its end could not be used again.
func (x *exchange) streamContext(client context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(client))
	stop := context.AfterFunc(client, func() {
		if x.complete.Load() {
			time.AfterFunc(restTime, func() { cancel(context.Canceled) })
			return
		}
		cancel(context.Cause(client))
	})
	return ctx, func(cause error) {
		stop()
		cancel(cause)
	}
}
