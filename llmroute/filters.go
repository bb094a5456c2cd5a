package llmroute

import (
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/filter"
)

// admit asks the filters whether the target may be asked: all of them about the first,
// and those that care about a further one. The error is what the client is to be told,
// unless another target may be asked; final reports that none may.
func (x *exchange) admit(t *target, first bool) (refused *llmprovider.Error, final bool) {
	switch {
	case len(x.filters) == 0:
		return nil, false
	case !first:
		return x.retarget(t), false
	}
	c := x.call()
	x.filterCall = c
	for _, f := range x.filters {
		step, err := f.Begin(x.r.Context(), c)
		if step != nil {
			x.steps = append(x.steps, step)
		}
		if err == nil {
			continue
		}
		if _, ok := step.(filter.Retargeter); !ok {
			return err, true
		}
		refused = err
	}
	return refused, false
}

// call is the request as filters see it.
func (x *exchange) call() *filter.Call {
	t := &x.targets[x.next]
	model, _ := t.RequestModel(x.in, t.settings(x.rule))
	identity := x.h.app.metrics.identity.Load()
	c := &filter.Call{
		Request: x.r, Inbound: x.in, Header: x.w.Header(), Time: x.began, Rule: x.rule.Name, Guards: x.rule.Guards, Provider: t.name,
		Model: model, Stream: x.in.Stream, Workload: identity.Workload, Namespace: identity.Namespace,
	}
	if s, ok := t.provider.Provider.(llmprovider.Streamer); ok {
		c.Stream = s.RequestStream(x.in, t.settings(x.rule))
	}
	if x.client != nil {
		c.Client.Name, c.Client.Limit = x.client.Name, x.client.Limit
	}
	if x.token != nil {
		c.Client.Principal, c.Client.Claim = x.token.Principal(), x.token.Claim
	}
	c.Cost = x.costOf(t, model)
	return c
}

// costOf returns what finds the cost of usage at the prices of a target.
func (x *exchange) costOf(t *target, model string) func(*llmprovider.Usage) (filter.Cost, bool) {
	began, app, provider := x.began, x.h.app, t.provider
	return func(u *llmprovider.Usage) (filter.Cost, bool) {
		if app.prices == nil {
			return filter.Cost{}, false
		}
		table := app.prices.Get()
		p := table.find(provider.name, provider.host, model, began)
		if p == nil {
			return filter.Cost{}, false
		}
		cost, ok := p.cost(u)
		return filter.Cost{Nano: cost, Currency: table.currency}, ok
	}
}

// retarget asks the filters that care whether a further attempt may be made.
func (x *exchange) retarget(t *target) *llmprovider.Error {
	var to *filter.Target
	var o *filter.Outcome
	for _, s := range x.steps {
		r, ok := s.(filter.Retargeter)
		if !ok {
			continue
		}
		if to == nil {
			model, _ := t.RequestModel(x.in, t.settings(x.rule))
			to, o = &filter.Target{Provider: t.name, Model: model, Cost: x.costOf(t, model)}, x.outcome()
		}
		if refused := r.Next(x.r.Context(), to, o); refused != nil {
			return refused
		}
	}
	return nil
}

// filtered returns the reader of the response that the client gets, with what the
// filters do to it around the provider's: the first filter is nearest the client.
func (x *exchange) filtered(reader llmprovider.Reader) llmprovider.Reader {
	for i := len(x.steps) - 1; i >= 0; i-- {
		reader = x.steps[i].Reader(reader)
	}
	return reader
}

// endFilters tells the filters how the request ended.
func (x *exchange) endFilters() {
	if len(x.steps) == 0 {
		return
	}
	o := x.outcome()
	for i := len(x.steps) - 1; i >= 0; i-- {
		x.steps[i].End(o)
	}
}

// outcome is what became of the request so far.
func (x *exchange) outcome() *filter.Outcome {
	return &filter.Outcome{
		Model: x.model, Attempts: x.attempts, TimedOut: x.timedOut, Usage: x.total(), ClientGone: x.gone, Err: x.failure,
		Cost: filter.Cost{Nano: x.charges.nano, Currency: x.charges.currency}, CostKnown: x.charges.known(),
		Complete: x.status != 0 && !x.aborted && !x.gone && !x.erred && x.failure == nil,
	}
}
