package spec

import (
	"slices"

	"github.com/caddyserver/caddy/v2"
)

// Route is one entry of a table: the rules for requests to its hosts.
type Route struct {
	// The hosts that the route is for: exact names, `*.suffix`, or `*`.
	Hosts []string `json:"hosts,omitempty"`

	// The rules, of which the first that matches is used.
	Rules []*Rule `json:"rules,omitempty"`

	// Where the route comes from, such as an object's namespace and name.
	Origin string `json:"origin,omitempty"`

	// Why no request to these hosts can be served. They get a 503 and are never passed on to
	// another route.
	Unusable string `json:"unusable,omitempty"`
}

// Copy returns the route's configuration alone.
func (r *Route) Copy() *Route {
	out := *r
	out.Rules = make([]*Rule, len(r.Rules))
	for i, rule := range r.Rules {
		out.Rules[i] = &Rule{
			Name: rule.Name, MatcherSetsRaw: append(rule.MatcherSetsRaw[:0:0], rule.MatcherSetsRaw...), Backends: rule.Backends, HandlerRaw: rule.HandlerRaw, PassOther: rule.PassOther,
			PolicyRaw: rule.PolicyRaw, Attempts: rule.Attempts, RetryOn: rule.RetryOn, Translation: rule.Translation, Guards: rule.Guards, Prompts: rule.Prompts, Cache: rule.Cache,
			Object: rule.Object,
		}
	}
	return &out
}

// MayHold reports whether modules of the rule may have something running, or to clean up.
// Those that objects of Kubernetes lead to have not.
func (r *Rule) MayHold() bool {
	return r.HasHandler() || len(r.PolicyRaw) > 0 || slices.ContainsFunc(r.MatcherSetsRaw, func(set caddy.ModuleMap) bool {
		for name := range set {
			if name != "llm_header" && name != "llm_http_route" && name != "method" {
				return true
			}
		}
		return false
	})
}
