// Package limithttp holds LLM requests to the limits of package limit: it says what
// a request is counted under and what it needs, writes refusals in the API that the
// client speaks, and the headers that tell it where it stands.
//
// It imports llmprovider and its neighbours limit and filter. Begin with Filter.
package limithttp

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/filter"
	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/limit/estimate"
)

// Filter admits requests that all limits have room for.
type Filter struct {
	set      *limit.Set
	store    limit.Store
	engine   *limit.Engine
	matchers []caddyhttp.MatcherSets // by the index of the limit, nil for none
	cost     bool                    // some limit is one of money
	logger   *zap.Logger
	nobody   sync.Once // has a limit of clients met
	noToken  sync.Once // had a request that a limit of claims met
}

// New returns the filter for the limits, with their matchers provisioned. Close gives
// it back.
func New(ctx caddy.Context, c *limit.Config, e *limit.Engine) (*Filter, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	f := &Filter{engine: e, logger: ctx.Logger(), matchers: make([]caddyhttp.MatcherSets, len(c.Limits))}
	for i, d := range c.Limits {
		if len(d.MatcherSetsRaw) == 0 {
			continue
		}
		loading := *d // which loses them by it, and the set is to know that there are some
		loaded, err := ctx.LoadModule(&loading, "MatcherSetsRaw")
		if err == nil {
			err = f.matchers[i].FromInterface(loaded)
		}
		if err != nil {
			return nil, fmt.Errorf("limit %s: loading matchers: %w", d.Name, err)
		}
	}
	store, err := c.LoadStore(ctx)
	if err != nil {
		return nil, err
	}
	f.store, f.set = store, e.Compile(c, store.Shared())
	f.cost = f.set.HasCost()
	f.set.Use(store.Storage(ctx), f.logger)
	return f, nil
}

// Set is the limits.
func (f *Filter) Set() *limit.Set { return f.set }

// Holds reports whether the configured store can hold the limits; the error says what it
// cannot.
func (f *Filter) Holds(limits []*limit.Definition) error {
	return limit.Holds(f.store, limits)
}

// Close gives the limits back. Requests in flight still settle.
func (f *Filter) Close() { f.set.Close() }

// Begin implements filter.Filter.
func (f *Filter) Begin(ctx context.Context, c *filter.Call) (filter.Step, *llmprovider.Error) {
	s := &step{f: f, call: c, prompt: promptOf(c)}
	s.subject.call, s.subject.f = c, f
	s.target = filter.Target{Provider: c.Provider, Model: c.Model, Cost: c.Cost}
	refused := s.reserve(ctx)
	if s.r != nil {
		return s, refused
	}
	if s.refused != nil && s.refused.OfTarget {
		return s, refused
	}
	return nil, refused
}

// request is what the limits are told of the request.
func (s *step) request() *limit.Request {
	c, f, t := s.call, s.f, &s.target
	req := limit.Request{
		Subject: &s.subject, Rule: c.Rule, Route: limit.Object(c.Route), Gateway: c.Gateway, Provider: t.Provider, Model: t.Model, Tier: c.Client.Limit, Stream: c.Stream,
		Output: s.prompt.Output, Choices: s.prompt.Choices,
	}
	switch {
	case !f.cost:
	case c.Inbound.Endpoint.Operation == llmprovider.StoredResponse:
		req.Price = new(limit.Price) // it was paid for when it was made
	default:
		req.Price = priceOf(t.Cost)
	}
	if req.NoOutput = !hasOutput(c.Inbound.Endpoint.Operation); req.NoOutput {
		req.Stream = false
	}
	req.Typical, req.Strict = f.engine.Ratios.Estimate(s.prompt, t.Model)
	return &req
}

// reserve reserves what the request needs of all limits at its target. It leaves s.r nil
// if it is refused, or no limit applies.
func (s *step) reserve(ctx context.Context) *llmprovider.Error {
	r, refused := s.f.set.Reserve(ctx, s.request())
	s.r, s.refused = r, refused
	gone := refused != nil && refused.Reason == limit.ReasonGone
	if s.subject.err == nil && !gone {
		s.writeHeaders()
		s.log()
	}
	var unwatched *llmprovider.Error
	if refused == nil && s.subject.err == nil && r.Any() {
		if unwatched = s.background(r); unwatched == nil {
			return nil
		}
	}
	r.End()
	s.r = nil
	switch {
	case s.subject.err != nil:
		s.refused = nil
		return s.subject.refusal()
	case refused != nil:
		return s.errorOf(refused)
	}
	return unwatched
}

// background returns the error for a request whose usage would not be known when its
// response ends, if a limit counts that.
func (s *step) background(r *limit.Reservation) *llmprovider.Error {
	if !s.call.Inbound.Background() {
		return nil
	}
	least, counts := r.Least(limit.UnitTokens, limit.UnitInput, limit.UnitOutput, limit.UnitCost)
	if !counts {
		return nil
	}
	return &llmprovider.Error{
		Status: http.StatusBadRequest, Type: llmprovider.TypeInvalidRequest, Code: codeBackground, Param: "background",
		Message: fmt.Sprintf("what a response in the background uses cannot be held to the limit %q; send the request without background, with \"stream\": true for a long one", least.Limit),
	}
}

// promptOf reads what the request's body tells of what it will use.
func promptOf(c *filter.Call) estimate.Prompt {
	switch {
	case c.Inbound.IsJSON():
		return estimate.Read(c.Inbound.Endpoint, c.Inbound.Body())
	case c.Inbound.Endpoint.Operation == llmprovider.StoredResponse:
		return estimate.Prompt{Choices: 1}
	}
	return estimate.Prompt{Size: int64(len(c.Inbound.Body())), Media: 1, Choices: 1} // a form with a file
}

// hasOutput reports whether responses of the operation have output tokens.
func hasOutput(o llmprovider.Operation) bool {
	switch o {
	case llmprovider.Embeddings, llmprovider.Rerank, llmprovider.Moderations, llmprovider.Tokenize, llmprovider.Score, llmprovider.Classify,
		llmprovider.Pooling, llmprovider.CountTokens, llmprovider.StoredResponse:
		return false
	}
	return true
}

// million is how many tokens prices are found out with.
const million = 1_000_000

// priceOf finds the dearest price of a token, nil if there is none: of input among
// what is read from the provider's cache, written to it, and neither; of output with
// and without reasoning.
func priceOf(cost func(*llmprovider.Usage) (filter.Cost, bool)) *limit.Price {
	dearest := func(usages ...llmprovider.Usage) (uint64, bool) {
		most := uint64(0)
		for i := range usages {
			c, ok := cost(&usages[i])
			if !ok {
				return 0, false
			}
			most = max(most, (c.Nano*1000+million-1)/million)
		}
		return most, true
	}
	input, ok := dearest(llmprovider.Usage{PromptTokens: million}, llmprovider.Usage{PromptTokens: million, CacheWriteTokens: million})
	if !ok {
		return nil
	}
	output, ok := dearest(llmprovider.Usage{CompletionTokens: million}, llmprovider.Usage{CompletionTokens: million, ReasoningTokens: million})
	if !ok {
		return nil
	}
	return &limit.Price{Input: input, Output: output}
}

// Interface guards
var _ filter.Filter = (*Filter)(nil)
