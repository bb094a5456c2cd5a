package k8ssource

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-llm/gateway/k8ssource/gatewayapi"
	"github.com/caddy-llm/gateway/k8ssource/header"
	"github.com/caddy-llm/gateway/k8ssource/httprule"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// placed is a rule with what its precedence depends on.
type placed struct {
	rule  *spec.Rule
	match gatewayapi.Match
}

// translateHTTPRoutes adds the rules of the HTTPRoutes to the tables of their listeners. Of
// an LLMRoute and HTTPRoutes with the same host there the LLMRoute has it.
func (t *translation) translateHTTPRoutes() {
	type place struct{ table, host string }
	rules := make(map[place][]placed)
	var places []place
	for _, r := range t.api.Attached.Routes { // the oldest first
		var all []placed
		var headers []header.Matched
		if reason := t.api.refused[r.HTTPRoute]; reason != "" {
			all = refusedRules(reason)
		} else {
			all, headers = t.httpRules(r.HTTPRoute)
		}
		matching := &matching{headers: headers, lost: func(f object.Fault) {
			route := t.api.Route(r.HTTPRoute)
			route.Faults = append(route.Faults, f)
			t.report(t.api.origins[r.HTTPRoute], []object.Fault{f})
		}}
		var mine []place
		through := make(map[place][]string) // the Gateways by which requests come there
		for _, p := range r.Parents {
			for _, at := range p.Hosts {
				server := t.api.servers[at.Listener.Listener]
				if server == nil {
					continue
				}
				where := place{server.Table, object.CanonicalHost(at.Name)}
				if slices.ContainsFunc(t.state.Tables[where.table], func(l *spec.Route) bool { return slices.Contains(l.Hosts, where.host) }) {
					t.warnHTTP(r.HTTPRoute, object.ReasonConflict, "the host %s in %s belongs to an LLMRoute; use another host, or add the rules there", object.ShownHost(where.host), where.table)
					continue
				}
				matching.in = append(matching.in, binding{table: server.Table, from: server.Gateway, own: true})
				if through[where] == nil {
					mine = append(mine, where)
				}
				if !slices.Contains(through[where], server.Gateway) {
					through[where] = append(through[where], server.Gateway)
				}
			}
		}
		for _, where := range mine {
			if _, there := rules[where]; !there {
				places = append(places, where)
			}
			rules[where] = append(rules[where], t.placedThrough(all, through[where])...)
		}
		if len(headers) > 0 {
			t.matching = append(t.matching, matching)
		}
	}
	for _, at := range places {
		list := rules[at]
		slices.SortStableFunc(list, func(a, b placed) int { return a.match.Compare(&b.match) })
		route := &spec.Route{Hosts: []string{at.host}, Origin: "HTTPRoutes of " + at.host + " in " + at.table}
		for _, p := range list {
			route.Rules = append(route.Rules, p.rule)
		}
		t.state.Tables[at.table] = append(t.state.Tables[at.table], route)
	}
	for _, r := range t.api.Attached.Routes {
		t.report(t.api.origins[r.HTTPRoute], t.api.Route(r.HTTPRoute).Faults)
	}
}

// placedThrough are the rules with what policies attach to Gateways.
func (t *translation) placedThrough(list []placed, gateways []string) []placed {
	rules := make([]*spec.Rule, len(list))
	for i, p := range list {
		rules[i] = p.rule
	}
	rules = t.policies.ThroughGateways(rules, gateways)
	out := make([]placed, len(list))
	for i, p := range list {
		out[i] = placed{rules[i], p.match}
	}
	return out
}

// warnHTTP notes what is wrong with a route that is used all the same.
func (t *translation) warnHTTP(r *gatewayapi.HTTPRoute, reason, format string, args ...any) {
	t.addHTTPFault(r, object.Warningf(reason, format, args...))
}

// addHTTPFault notes what is said of a route, once.
func (t *translation) addHTTPFault(r *gatewayapi.HTTPRoute, f *object.Fault) {
	if route := t.api.Route(r); !slices.Contains(route.Faults, *f) {
		route.Faults = append(route.Faults, *f)
	}
}

// httpRules are the rules of a route, one for each of their matches, and the headers that
// they match by.
func (t *translation) httpRules(r *gatewayapi.HTTPRoute) (out []placed, headers []header.Matched) {
	for i := range r.Spec.Rules {
		from := &r.Spec.Rules[i]
		path := fmt.Sprintf("spec.rules[%d]", i)
		var backends []*spec.Backend
		models := asksModels(from)
		if models {
			backends = t.httpBackends(r, path, from)
		}
		matches := from.Matches
		if len(matches) == 0 {
			matches = []gatewayapi.Match{{}}
		}
		for j := range matches {
			m := &matches[j]
			rule := &spec.Rule{Object: objectOf(gatewayapi.KindHTTPRoute, r), Name: from.Name, Backends: backends, PassOther: models && t.poolsAlone(r, from)}
			matchers, err := httprule.Matchers(m)
			if err != nil { // what it is meant for must not go where a broader rule leads
				t.refuseHTTP(r, "%s.matches[%d].%s; requests that the rest of the entry matches are answered with 503", path, j, err)
				rule.Backends = []*spec.Backend{{Unusable: object.ReasonInvalidField}}
			} else if !models {
				rule.HandlerRaw = t.httpHandler(r, path, from, m)
			}
			for k, h := range m.Headers {
				headers = append(headers, header.Matched{Path: fmt.Sprintf("%s.matches[%d].headers[%d]", path, j, k), Name: strings.ToLower(h.Name)})
			}
			if len(matchers) > 0 {
				rule.MatcherSetsRaw = append(rule.MatcherSetsRaw, matchers)
			}
			out = append(out, placed{rule, *m})
		}
	}
	return out, headers
}

// refusedRules are those of a route that is not used: what no other route matches more
// exactly is answered with 503.
func refusedRules(reason string) []placed {
	return []placed{{rule: &spec.Rule{Backends: []*spec.Backend{{Unusable: reason}}}}}
}

// refuseHTTP notes that something in a route is not supported.
func (t *translation) refuseHTTP(r *gatewayapi.HTTPRoute, format string, args ...any) {
	t.api.Route(r).Accepted = gatewayapi.ReasonUnsupportedValue
	t.warnHTTP(r, object.ReasonUnsupportedField, format, args...)
}
