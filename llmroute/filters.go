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
	ctx := x.r.Context()
	for _, f := range x.filters {
		step, err := f.Begin(ctx, c)
		if step != nil {
			x.steps = append(x.steps, step)
			if d, ok := step.(filter.Decider); ok {
				ctx = x.decide(ctx, d)
			}
			if r, ok := step.(filter.Responder); ok {
				if x.cached = r.Response(); x.cached != nil {
					return nil, false
				}
			}
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
	workload := x.h.app.metrics.Workload()
	c := &filter.Call{
		Request: x.r, Inbound: x.in, Header: x.w.Header(), Time: x.Began, Rule: x.rule.Name, Route: x.rule.Object, Gateway: x.gateway, Provider: t.name,
		Guards: guardsOf(x.rule, x.client, x.targets), Prompts: promptsOf(x.rule, x.client, x.targets),
		Model: model, Stream: x.streamOf(t), Workload: workload.Name, Namespace: workload.Namespace,
	}
	if x.client != nil {
		c.Client.Name, c.Client.Limit, c.Client.Realm = x.client.Name, x.client.Limit, x.client.Realm
	}
	if x.token != nil {
		c.Client.Principal, c.Client.Claim = x.token.Principal(), x.token.Claim
	}
	c.Cost = x.costOf(t, model)
	if x.rule.CacheFilter() != nil {
		c.Table, c.Sent = x.table, x.sentTo(t)
	}
	return c
}

// streamOf reports whether a target is asked for a stream.
func (x *exchange) streamOf(t *target) bool {
	if s, ok := t.provider.Provider.(llmprovider.Streamer); ok {
		return s.RequestStream(x.in, t.settings(x.rule))
	}
	return x.in.Stream
}

// costOf returns what finds the cost of usage at the prices of a target.
func (x *exchange) costOf(t *target, model string) func(*llmprovider.Usage) (filter.Cost, bool) {
	began, app, provider := x.Began, x.h.app, t.provider
	return func(u *llmprovider.Usage) (filter.Cost, bool) {
		if app.prices == nil {
			return filter.Cost{}, false
		}
		table := app.prices.Get()
		p := table.Find(provider.name, provider.host, model, began)
		if p == nil {
			return filter.Cost{}, false
		}
		cost, ok := p.Cost(u)
		return filter.Cost{Nano: cost, Currency: table.Currency}, ok
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
			if x.rule.CacheFilter() != nil {
				to.Sent = x.sentTo(t)
			}
		}
		if refused := r.Next(x.waiting(), to, o); refused != nil {
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
		Model: x.model, Attempts: x.tries, TimedOut: x.timedOut, Usage: x.Total(), ClientGone: x.Gone, Err: x.Failure,
		Cost: filter.Cost{Nano: x.Charges.Nano, Currency: x.Charges.Currency}, CostKnown: x.Charges.Known(),
		Denied:   x.decision != nil && x.decision.cut,
		Complete: x.Status != 0 && !x.Aborted && !x.Gone && !x.Erred && x.Failure == nil,
	}
}
