package k8ssource

import (
	"slices"

	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/authz"
	"github.com/caddy-llm/gateway/llmroute/listen"
)

// governed are the listeners whose requests are held to policies: those of
// Gateways.
func (t *translation) governed() []*listen.Listener {
	var out []*listen.Listener
	for _, l := range t.state.Listeners {
		if slices.ContainsFunc(l.Servers, func(s *listen.Server) bool { return s.Gateway != MeshTable }) {
			out = append(out, l)
		}
	}
	return out
}

// dashed adds the headers with dashes that policies and token rules look at.
func (a *authorization) dashed(listeners []*listen.Listener, to map[headerUse]bool) {
	add := func(h *matchedHeader) {
		for _, l := range listeners {
			if !h.dropped() {
				to[headerUse{l, h.name}] = true
			}
		}
	}
	for _, p := range a.policies {
		for i := range p.headers {
			add(&p.headers[i].matchedHeader)
		}
	}
	for _, r := range a.authentications {
		for i := range r.headers {
			add(&r.headers[i])
		}
	}
}

// expectPolicyHeaders makes the listeners expect the headers that policies and token
// rules look at. A condition about one that will not arrive fails closed.
func (t *translation) expectPolicyHeaders(dashed map[headerUse]bool) {
	listeners := t.governed()
	arrives := func(h *matchedHeader) bool {
		if !h.dropped() {
			return true
		}
		for _, l := range listeners {
			if !h.expectable() || dashed[headerUse{l, h.dashed()}] {
				return false
			}
		}
		for _, l := range listeners {
			if !slices.Contains(l.Headers, h.name) {
				l.Headers = append(l.Headers, h.name)
			}
		}
		return len(listeners) > 0
	}
	for _, p := range t.authorization.policies {
		for _, h := range p.headers {
			if arrives(&h.matchedHeader) {
				continue
			}
			p.spoil(h.rule, func(rule *authz.Rule) {
				rule.When = slices.Clone(rule.When)
				rule.When[h.condition] = nil
			})
			t.report(p.Origin, []object.Fault{droppedHeader(h.path, "policies", p.meanwhile())})
		}
	}
	for _, r := range t.authorization.authentications {
		for _, h := range r.headers {
			if !arrives(&h) {
				t.report(r.Origin, []object.Fault{droppedHeader(h.path, "token rules", ". Until then no token is found there")})
			}
		}
	}
}
