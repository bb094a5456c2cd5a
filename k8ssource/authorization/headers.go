package authorization

import (
	"slices"

	"github.com/caddy-llm/gateway/k8ssource/header"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/authz"
	"github.com/caddy-llm/gateway/llmroute/listen"
)

// KeepHeaders adds the headers that policies and token rules look at.
func (a *Applied) KeepHeaders(listeners []*listen.Listener, to header.Kept) {
	keep := func(h *header.Matched) {
		for _, l := range listeners {
			to.Keep(l, h)
		}
	}
	for _, p := range a.policies {
		for i := range p.headers {
			keep(&p.headers[i].Matched)
		}
	}
	for _, r := range a.authentications {
		for i := range r.headers {
			keep(&r.headers[i])
		}
	}
}

// ExpectHeaders makes the listeners expect the headers that policies and token
// rules look at. A condition about one that will not arrive fails closed.
func (a *Applied) ExpectHeaders(listeners []*listen.Listener, kept header.Kept) {
	arrives := func(h *header.Matched) bool {
		if !h.Dropped() {
			return true
		}
		for _, l := range listeners {
			if !kept.MayExpect(l, h) {
				return false
			}
		}
		for _, l := range listeners {
			if !slices.Contains(l.Headers, h.Name) {
				l.Headers = append(l.Headers, h.Name)
			}
		}
		return len(listeners) > 0
	}
	for _, p := range a.policies {
		for _, h := range p.headers {
			if arrives(&h.Matched) {
				continue
			}
			p.failClosed(h.rule, func(rule *authz.Rule) {
				rule.When = slices.Clone(rule.When)
				rule.When[h.condition] = nil
			})
			a.in.Findings.Report(p.Origin, []object.Fault{header.NeverArrives(h.Path, "policies", p.meanwhile())})
		}
	}
	for _, r := range a.authentications {
		for _, h := range r.headers {
			if !arrives(&h) {
				a.in.Findings.Report(r.Origin, []object.Fault{header.NeverArrives(h.Path, "token rules", ". Until then no token is found there")})
			}
		}
	}
}
