package llmroute

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/accesslog"
	"github.com/caddy-llm/gateway/llmroute/crosssite"
	"github.com/caddy-llm/gateway/llmroute/inbound"
	"github.com/caddy-llm/gateway/llmroute/listen"
	"github.com/caddy-llm/gateway/llmroute/spec"
	"github.com/caddy-llm/gateway/llmroute/virtualkey"
)

func init() {
	caddy.RegisterModule(Handler{})
}

// Handler sends LLM requests to providers. It reads the request's body once,
// finds the rule, fills in what the provider's configuration says, and sends
// the request on; if that fails and the rule allows it, to another provider.
// The response passes through as it comes, and its token usage is read on the way.
//
// With `rules` it routes by these. With `table` it routes by the request's host
// over the routes of that table. With neither it routes by host over all
// providers.
//
// These placeholders are set for handlers and logs:
//
// Placeholder | Description
// ------------|------------
// `{http.llm.provider}` | The name of the provider that answered, or was tried last
// `{http.llm.model}` | The model asked of it
// `{http.llm.rule}` | The name of the rule
// `{http.llm.attempts}` | How many attempts were made
// `{http.llm.usage.prompt_tokens}` | The number of input tokens
// `{http.llm.usage.completion_tokens}` | The number of output tokens
// `{http.llm.usage.cached_tokens}` | The input tokens read from the provider's cache
// `{http.llm.usage.cache_write_tokens}` | The input tokens written to the provider's cache
// `{http.llm.usage.reasoning_tokens}` | The output tokens spent on reasoning
// `{http.llm.cost}` | What the response cost, if the llm app has `prices`
// `{http.llm.finish_reason}` | Why the response ended
type Handler struct {
	// The rules, of which the first that matches is used. If none does, the
	// response is a 404.
	Rules []*spec.Rule `json:"rules,omitempty"`

	// The table to route by, such as `mesh`.
	Table string `json:"table,omitempty"`

	// The largest request body that is taken, in bytes. Default: 33554432
	// (32 MiB).
	MaxBody int64 `json:"max_body,omitempty"`

	// The origins of web pages whose requests are served although a browser sends
	// them without asking first, such as `https://app.example.com`; `*` for all.
	// Other pages get a 403 for these: a page could have any visitor's browser spend
	// the keys of a gateway that only the visitor can reach. Pages of the gateway's
	// own origin, programs other than browsers, and requests for which a browser asks
	// first, since they are sent as `application/json` or with a key of their own,
	// are not affected. Default: none.
	AllowedOrigins []string `json:"allowed_origins,omitempty"`

	origins      []string         // AllowedOrigins as browsers write them
	keys         *virtualkey.Keys // that clients of the gateway's own listeners need, nil at sites
	app          *App
	logger       *zap.Logger
	handlerIndex int  // of the rules in a snapshot
	handles      bool // one of the rules has a handler
}

// CaddyModule returns the Caddy module information.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.llm_route",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision sets up the handler.
func (h *Handler) Provision(ctx caddy.Context) error {
	app, err := ctx.App("llm")
	if err != nil {
		return fmt.Errorf("getting the llm app: %w", err)
	}
	h.app, h.logger = app.(*App), ctx.Logger()
	accesslog.Warn(ctx, h.logger)
	if h.origins, err = crosssite.ParseOrigins(h.AllowedOrigins); err != nil {
		return err
	}
	if h.MaxBody == 0 {
		h.MaxBody = llmprovider.DefaultMaxBody
	}
	for i, rule := range h.Rules {
		if err := h.app.provisionRule(ctx, rule); err != nil {
			return fmt.Errorf("rule %d %s: %w", i+1, rule.Name, err)
		}
	}
	h.handles = spec.AnyHandles(h.Rules)
	switch {
	case len(h.Rules) > 0:
		h.handlerIndex = h.app.register(h)
	case h.Table != "":
		h.app.served[h.Table] = true
	}
	return nil
}

// Validate checks the configuration.
func (h *Handler) Validate() error {
	if h.Table != "" && len(h.Rules) > 0 {
		return errors.New("llm_route has rules and a table; write one of them")
	}
	if h.MaxBody < 0 {
		return errors.New("max_body is negative; write a number of bytes")
	}
	if h.Table == "" && len(h.Rules) == 0 && len(h.app.static) == 0 && h.app.source == nil {
		return errors.New("llm_route has no rules, and the llm app has no providers to route to; define a provider in the llm app")
	}
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	x := newExchange(h, w, r)
	return h.serve(x, x.serve)
}

// serve answers a request, if its host can be read and policies let it pass.
func (h *Handler) serve(x *exchange, answer func() error) error {
	h.app.open.Add(&x.place, x)
	defer x.end()
	if x.refused != nil {
		return x.refuse(x.refused)
	}
	if denied := x.authorize(); denied != nil {
		return x.deny(denied)
	}
	return answer()
}

// lookup finds the rules for the request's host, with the targets of their
// backends. It reads nothing of the request but its host.
func (x *exchange) lookup() (rules []*spec.Rule, targets [][]target, refused *llmprovider.Error) {
	snap := x.snap
	switch {
	case len(x.h.Rules) > 0:
		return x.h.Rules, snap.static[x.h.handlerIndex], nil
	case x.table != "":
		t := snap.tables[x.table]
		if t == nil {
			return nil, nil, x.noRoute()
		}
		entry := t.Find(x.r.Host)
		switch {
		case entry == nil:
			return nil, nil, errNoRoute(x.r)
		case entry.Unusable != "":
			return nil, nil, errUnusable(entry.Unusable)
		}
		return entry.Rules, entry.targets, nil
	}
	p := snap.providerOf(x.r.Host)
	if p == nil {
		// A provider that was refused for its own fault still owns its host.
		if t := snap.tables[listen.MeshTable]; t != nil && x.h.app.ready() {
			if e := t.Exact(x.r.Host); e != nil && e.Unusable != "" {
				return nil, nil, errUnusable(e.Unusable)
			}
		}
		return nil, nil, x.noRoute()
	}
	return p.rules[:], p.ruleTargets[:], nil
}

// noRoute is the error where nothing is known of the request's host.
func (x *exchange) noRoute() *llmprovider.Error {
	if !x.h.app.ready() {
		return errNotReady()
	}
	return errNoRoute(x.r)
}

// route finds the rule for the request and the targets of its backends.
func (x *exchange) route() *llmprovider.Error {
	rules, targets, refused := x.lookup()
	if refused != nil {
		return refused
	}
	if !x.known(targets...) { // before matchers may read the body
		if len(rules) > 0 && !spec.AnyHandles(rules) && !usable(targets...) {
			return errNoBackend(rules[0].Name) // whose path it may be
		}
		return x.unsupported()
	}
	if refused := x.firstMatch(rules, targets); refused != nil {
		return refused
	}
	if !x.known(x.targets) {
		return x.unsupported()
	}
	return nil
}

// known reports whether the path that was called is an endpoint: at any provider,
// or at one of the rules' backends.
func (x *exchange) known(rules ...[]target) bool {
	if x.in.Endpoint.Own == "" {
		return true
	}
	for _, targets := range rules {
		for i := range targets {
			if t := &targets[i]; t.provider != nil && t.Has(x.in.Endpoint) {
				return true
			}
		}
	}
	return false
}

// usable reports whether requests can be sent to any backend of the rules.
func usable(rules ...[]target) bool {
	for _, targets := range rules {
		for i := range targets {
			if targets[i].usable() {
				return true
			}
		}
	}
	return false
}

// unsupported is the error for a path that is no endpoint. What it was taken for
// is forgotten, so that logs do not show it.
func (x *exchange) unsupported() *llmprovider.Error {
	x.in.Endpoint = llmprovider.Endpoint{}
	return llmprovider.Unsupported(x.r)
}

// firstMatch takes the first rule that matches.
func (x *exchange) firstMatch(rules []*spec.Rule, targets [][]target) *llmprovider.Error {
	for i, rule := range rules {
		if rule.HasMatchers() {
			ok, err := x.matches(rule)
			if err != nil {
				return x.matcherError(rule, err)
			}
			if !ok {
				continue
			}
		}
		x.rule, x.targets = rule, targets[i]
		return nil
	}
	return errNoRoute(x.r)
}

// matches reports whether the rule is the one for the request.
func (x *exchange) matches(rule *spec.Rule) (bool, error) {
	if rule.ReadsModel() && x.shared.In == nil {
		x.shared = inbound.Held{In: x.in, Max: x.maxBody}
		x.shared.Share(x.r)
	}
	return rule.Matches(x.r)
}

// matcherError is what the client is told when a matcher failed.
func (x *exchange) matcherError(rule *spec.Rule, err error) *llmprovider.Error {
	var refused *llmprovider.Error
	if errors.As(err, &refused) {
		return refused
	}
	return &llmprovider.Error{
		Status: http.StatusInternalServerError, Type: llmprovider.TypeServer, Code: "matcher_failed",
		Message: "the gateway could not decide on a route; its operator can find the reason in the log",
		Cause:   fmt.Errorf("rule %s: %w", rule.Name, err),
	}
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.Validator             = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
