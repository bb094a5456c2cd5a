package spec

import (
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-llm/gateway/llmroute/httproute"
)

// HasHandler reports whether the rule is one with a handler. Provision clears HandlerRaw.
func (r *Rule) HasHandler() bool { return r.handler != nil || len(r.HandlerRaw) > 0 }

// Handler returns what serves the rule's requests in place of backends, nil without one.
func (r *Rule) Handler() caddyhttp.MiddlewareHandler { return r.handler }

// HandlerTargets are where the rule's handler leads, none without one.
func (r *Rule) HandlerTargets() []httproute.Target {
	if h, ok := r.handler.(*httproute.Handler); ok {
		return h.Targets()
	}
	return nil
}

// AnyHandles reports whether one of the rules has a handler.
func AnyHandles(rules []*Rule) bool { return slices.ContainsFunc(rules, (*Rule).HasHandler) }
