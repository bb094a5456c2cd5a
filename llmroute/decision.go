package llmroute

import (
	"context"
	"net/http"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/filter"
	"github.com/caddy-llm/gateway/llmroute/meter"
	"github.com/caddy-llm/gateway/llmroute/receive"
)

// decision is what a filter decides about a request while a provider is asked.
type decision struct {
	made   <-chan struct{}
	ctx    context.Context //nolint:containedctx // of what is waited for meanwhile; ends with the request, or when it is refused
	cancel context.CancelCauseFunc
	denied *llmprovider.Error // nil unless the request is refused; guarded by the exchange's mu
	cut    bool               // an attempt was ended by it
}

// decide has a step begin to decide, if it has something to. It returns the context of the
// filters that begin later.
func (x *exchange) decide(ctx context.Context, d filter.Decider) context.Context {
	x.mu.Lock() // which revoke waits for
	defer x.mu.Unlock()
	made := d.Decide(x.revoke)
	if made == nil {
		return ctx
	}
	waiting, cancel := context.WithCancelCause(ctx)
	x.decision = &decision{made: made, ctx: waiting, cancel: cancel}
	return waiting
}

// waiting is the context of what the request waits for before an attempt is made: the store of
// limits, and the endpoints of a pool. It ends with the request, or when that is refused.
func (x *exchange) waiting() context.Context {
	if x.decision == nil {
		return x.r.Context()
	}
	return x.decision.ctx
}

// revoke ends the attempts of a request that a filter refuses. It is called from another
// goroutine.
func (x *exchange) revoke(refused *llmprovider.Error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.decision.denied = refused
	x.decision.cancel(refused)
	x.cancelAttempts(refused)
}

// denied returns why the request was refused while a provider was asked, nil if it was not, or
// has not been so far.
func (x *exchange) denied() *llmprovider.Error {
	if x.decision == nil {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.decision.denied
}

// verdict waits for the decision about the request, and returns why it is refused, nil if
// it is not. The client gets nothing before.
func (x *exchange) verdict() *llmprovider.Error {
	if x.decision == nil {
		return nil
	}
	<-x.decision.made
	return x.denied()
}

// verdictOn is verdict once an attempt has a response, which is read ahead meanwhile. If the
// request is refused, what the provider says that the response used is counted.
func (x *exchange) verdictOn(a *attempt) *llmprovider.Error {
	if x.decision == nil {
		return nil
	}
	select {
	case <-x.decision.made:
	default:
		a.dog.Rest()
		ahead := receive.Ahead(a.res.Body, maxKept)
		a.res.Body = ahead
		<-x.decision.made
		ahead.Take()
	}
	denied := x.denied()
	if denied != nil {
		x.decision.cut = a.res.StatusCode < http.StatusMultipleChoices // else the provider has refused it
		failure := meter.ErrorClientGone                               // which ends the guard's service
		if !x.clientGone() {
			failure = denied.Code
			a.span.Failed(failure, 0)
		}
		_ = x.keep(a, failure)
	}
	return denied
}

// cutBy reports whether an attempt failed because the request was refused meanwhile, which is
// nothing to log, and no fault of the provider's.
func (x *exchange) cutBy(a *attempt, failure *llmprovider.Error) bool {
	if failure != x.denied() {
		return false
	}
	x.decision.cut = true
	x.h.app.metrics.Attempt(a.provider.state.Provider, x.rule.Name, failure.Code)
	a.span.Failed(failure.Code, 0)
	return true
}

// endDecision gives back what the decision holds.
func (x *exchange) endDecision() {
	if x.decision != nil {
		x.decision.cancel(nil)
	}
}
