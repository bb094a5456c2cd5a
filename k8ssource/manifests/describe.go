package manifests

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddy-llm/gateway/k8ssource"
	"github.com/caddy-llm/gateway/k8ssource/limits"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/k8ssource/policy"
	"github.com/caddy-llm/gateway/llmprovider/kind"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// description says what one object does.
type description struct {
	// object is its kind, namespace and name.
	object string
	// origin is where it is.
	origin string
	// effect is what it does, or that it does nothing.
	effect string
}

// describe says of each LLMProvider, LLMRoute, LLMPolicy, LLMLimit, Gateway,
// AuthorizationPolicy and RequestAuthentication what it does in the state that follows from
// the objects. Those that are not used are left out: the state's findings are about them.
func describe(objects *object.Set, state *spec.State) []description {
	d := &describer{state: state, refused: make(map[string]bool), listening: make(map[string]bool), tables: map[string]bool{k8ssource.MeshTable: true}, attached: policy.InState(state)}
	for _, item := range objects.Gateways {
		d.tables[object.Key(&item.Object)] = true
	}
	for _, l := range state.Listeners {
		for _, server := range l.Servers {
			d.listening[server.Gateway] = server.Gateway != server.Table
			d.tables[server.Table] = true
		}
	}
	for _, f := range state.Findings {
		if !f.Used {
			d.refused[f.Object+" "+f.Origin] = true
		}
	}
	for _, item := range objects.Providers {
		d.add(object.OriginOf(object.KindLLMProvider, item), d.provider(object.Key(&item.Object)))
	}
	for _, item := range objects.Routes {
		d.add(object.OriginOf(object.KindLLMRoute, item), d.route(object.OriginOf(object.KindLLMRoute, item).Stable()))
	}
	for _, item := range objects.LLMPolicies {
		d.add(object.OriginOf(object.KindLLMPolicy, item), d.llmPolicy(&item.Object))
	}
	for _, item := range objects.Limits {
		d.add(object.OriginOf(object.KindLLMLimit, item), d.limit(limits.Name(item.Object.Namespace, item.Object.Name)))
	}
	for _, item := range objects.Gateways {
		d.add(object.OriginOf(object.KindGateway, item), d.gateway(object.Key(&item.Object)))
	}
	for _, item := range objects.Policies {
		d.add(object.OriginOf(object.KindAuthorizationPolicy, item), d.policy(object.Key(&item.Object)))
	}
	for _, item := range objects.Authentications {
		d.add(object.OriginOf(object.KindRequestAuthentication, item), d.authentication(object.Key(&item.Object), len(item.Object.Spec.JWTRules)))
	}
	return d.out
}

type describer struct {
	state   *spec.State
	refused map[string]bool // by object and place
	// listening holds the tables of Gateways whose servers have tables of their
	// own: only a site would route by them.
	listening map[string]bool
	// tables are those whose names are known to be of something.
	tables map[string]bool
	// attached holds the LLMPolicies that are attached to anything.
	attached map[string]bool
	out      []description
}

func (d *describer) add(o object.Origin, effect string) {
	if !d.refused[o.Object+" "+o.Place] {
		d.out = append(d.out, description{o.Object, o.Place, effect})
	}
}

const otherWorkloads = "is for other workloads"

func (d *describer) provider(key string) string {
	i := slices.IndexFunc(d.state.Providers, func(s *spec.Provider) bool { return s.Name == key })
	if i < 0 {
		return otherWorkloads
	}
	spec := d.state.Providers[i].Provider
	p, ok := kind.BaseOf(spec)
	if !ok {
		return "sends requests to " + object.ShownHost(spec.ServerAddress())
	}
	scheme, path := p.Scheme, object.ShownPath(p.Path)
	if scheme == "" {
		scheme = "https"
	}
	if path == "" {
		path = spec.(kind.Kind).Traits().DefaultPath
	}
	port := ""
	if p.Port != 0 {
		port = fmt.Sprint(":", p.Port)
	}
	effect := fmt.Sprintf("sends requests to %s://%s%s%s", scheme, object.ShownHost(p.Host), port, path)
	if p.Config.Model != nil && *p.Config.Model != "" {
		effect += " as model " + object.ShownModel(*p.Config.Model)
	}
	if p.Config.Key != nil {
		effect += " with a key"
	}
	return effect
}

// route says where an LLMRoute is used, and what its rules do there.
func (d *describer) route(stable string) string {
	var out []string
	for _, table := range slices.Sorted(maps.Keys(d.state.Tables)) {
		if d.listening[table] {
			continue
		}
		for _, route := range d.state.Tables[table] {
			if route.Origin != stable && !strings.HasPrefix(route.Origin, stable+" at ") {
				continue
			}
			name := table
			if !d.tables[table] {
				name = "the table of a Gateway that is not there"
			}
			out = append(out, fmt.Sprintf("routes %s in %s: %s", joinedHosts(route.Hosts), name, rules(route.Rules)))
		}
	}
	if len(out) == 0 {
		return otherWorkloads
	}
	return strings.Join(out, "; ")
}

func rules(list []*spec.Rule) string {
	var out []string
	for _, rule := range list {
		total := 0
		for _, b := range rule.Backends {
			total += weight(b)
		}
		var to []string
		for _, b := range rule.Backends {
			name := b.Provider
			if b.Unusable != "" {
				name = "nothing (" + b.Unusable + ")"
			}
			if b.Model != "" {
				name += " as model " + object.ShownModel(b.Model)
			}
			if len(rule.Backends) > 1 {
				name += fmt.Sprintf(" (%.4g%%)", 100*float64(weight(b))/float64(total))
			}
			to = append(to, name)
		}
		text := "to " + strings.Join(to, " and ")
		if len(rule.MatcherSetsRaw) > 0 {
			text = "matching requests " + text
		}
		if rule.Name != "" {
			text = object.ShownName(rule.Name) + " " + text
		}
		out = append(out, text)
	}
	return strings.Join(out, ", then ")
}

func joinedHosts(hosts []string) string {
	shown := make([]string, len(hosts))
	for i, host := range hosts {
		shown[i] = object.ShownHost(host)
	}
	return strings.Join(shown, ", ")
}

func weight(b *spec.Backend) int {
	if b.Weight == nil {
		return 1
	}
	return *b.Weight
}

func (d *describer) gateway(key string) string {
	var out []string
	for _, l := range d.state.Listeners {
		for _, server := range l.Servers {
			if server.Gateway == key {
				protocol := "HTTP"
				if l.TLS {
					protocol = "HTTPS"
				}
				out = append(out, fmt.Sprintf("listens at %s with %s for %s", l.Address, protocol, joinedHosts(server.Hosts)))
			}
		}
	}
	if len(out) == 0 {
		return otherWorkloads
	}
	return strings.Join(out, "; ")
}
