package k8ssource

import (
	"cmp"
	"math"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/header"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// routeBuilder turns one LLMRoute into the routes of its tables, and collects
// what is wrong with it.
type routeBuilder struct {
	t      *translation
	object *v1beta1.LLMRoute
	rules  []builtRule
	faults []object.Fault
	pools  []string // that it refers to, by namespace/name

	matched []header.Matched
}

// builtRule is a rule with where it applies.
type builtRule struct {
	rule *spec.Rule // without its matchers
	// matches is nil if the rule matches everything.
	matches []builtMatch
}

// translateRoutes sets up the tables from the LLMRoutes.
func (t *translation) translateRoutes(items []*object.Item[v1beta1.LLMRoute]) {
	items = slices.SortedFunc(slices.Values(items), func(a, b *object.Item[v1beta1.LLMRoute]) int { return object.Compare(&a.Object, &b.Object) })
	same := t.sameEnvironment()
	var good, refused []*claim
	for _, item := range items {
		c := &claim{builtRoute: t.builtRoute(item, same), meta: &item.Object}
		t.report(c.Origin, c.faults)
		if c.unusable == "" {
			good = append(good, c)
		} else {
			refused = append(refused, c)
		}
	}
	// One that is refused keeps requests from going elsewhere, but takes no host
	// from a good one.
	t.fillTables(append(good, refused...))
}

// claim is an LLMRoute that claims its host in its tables.
type claim struct {
	*builtRoute
	meta metav1.Object

	in       []binding     // tables that have hosts of it
	kept     int           // hosts in tables that are routed by
	conflict *object.Fault // about the first one lost
	outdone  *object.Fault // about the first one lost to a route for less than this one
}

// exactness is how exact the host of the claim's route is.
func (c *claim) exactness() int {
	host := c.builder.object.Spec.Host
	if !strings.HasPrefix(host, "*") {
		return math.MaxInt
	}
	return len(strings.TrimSuffix(host, "."))
}

// fillTables gives each host of each table to the first that claims it. Where a server
// has fewer hosts than two routes, both claim the same ones, and the route with
// the more exact host gets them.
func (t *translation) fillTables(claims []*claim) {
	owners := make(map[string]map[string]*claim) // by table and host
	for _, c := range slices.SortedStableFunc(slices.Values(claims), func(a, b *claim) int { return cmp.Compare(b.exactness(), a.exactness()) }) {
		for _, in := range c.bindings {
			if owners[in.table] == nil {
				owners[in.table] = make(map[string]*claim)
			}
			var hosts []string
			for _, host := range in.hosts {
				owner := owners[in.table][host]
				switch {
				case owner == nil:
					owners[in.table][host] = c
					hosts = append(hosts, host)
					if in.own || len(t.bound[in.from]) == 0 {
						c.kept++
					}
				case owner == c:
					c.alsoThrough(in.table, host, in.from)
				case owner.exactness() > c.exactness():
					if c.outdone == nil {
						c.outdone = object.Faultf(object.ReasonConflict, "the host %s in %s belongs to LLMRoute %s, whose host is more exact; use another host, or add the rules there",
							object.ShownHost(host), in.table, object.ShownKey(owner.meta))
					}
				case c.conflict == nil:
					c.conflict = object.Faultf(object.ReasonConflict, "the host %s in %s belongs to LLMRoute %s, which %s; use another host, or add the rules there",
						object.ShownHost(host), in.table, object.ShownKey(owner.meta), object.Advantage(owner.meta, c.meta))
				}
			}
			if len(hosts) > 0 {
				in.hosts = hosts
				c.in = append(c.in, in)
			}
		}
	}
	for _, c := range claims {
		t.enter(c)
		if c.kept == 0 && c.conflict == nil {
			c.conflict = c.outdone // else it is as it should be
		}
		if c.conflict != nil && c.unusable == "" {
			c.conflict.Used = c.kept > 0
			t.report(c.Origin, []object.Fault{*c.conflict})
		}
	}
	for _, c := range claims {
		if len(c.builder.matched) > 0 {
			t.matching = append(t.matching, &matching{c.builder.matched, c.in, func(f object.Fault) {
				if c.unusable == "" {
					t.report(c.Origin, []object.Fault{f})
				}
			}})
		}
	}
}

// alsoThrough notes that requests for a host that the claim has in a table come in by another
// gateway as well: what policies say of it holds for them.
func (c *claim) alsoThrough(table, host, gateway string) {
	for i := range c.in {
		if in := &c.in[i]; in.table == table && in.from != gateway && slices.Contains(in.hosts, host) {
			in.also = append(slices.Clip(in.also), gateway)
		}
	}
}

// build checks the object and translates its rules.
func (b *routeBuilder) build() {
	spec := &b.object.Spec
	if err := object.CheckRouteHost(spec.Host); err != "" {
		b.fault(object.ReasonInvalidField, "spec.host: %s", err)
	}
	b.checkGateways("spec.gateways", spec.Gateways)
	if len(spec.Gateways) > object.MaxGateways {
		b.fault(object.ReasonInvalidField, "spec.gateways: "+object.TooMany, object.MaxGateways)
	}
	switch {
	case len(spec.Rules) > object.MaxRules:
		b.fault(object.ReasonInvalidField, "spec.rules: "+object.TooMany, object.MaxRules)
	case len(spec.Rules) == 0:
		b.fault(object.ReasonInvalidField, "spec.rules: there are none, so every request would be answered with 404; write at least one rule with backendRefs")
	}
	for i := range spec.Rules {
		b.rule(i, &spec.Rules[i])
	}
	if object.Refusal(b.faults) == "" {
		b.neverReached()
	}
	if spec.Host == "*" && slices.Contains(b.tables(), MeshTable) {
		b.warn(object.ReasonCatchAllHost, "spec.host: * takes every request of a sidecar, those to other services included; name a host, or the gateways that the route is for")
	}
}

func (b *routeBuilder) fault(reason, format string, args ...any) {
	b.faults = append(b.faults, *object.Faultf(reason, format, args...))
}

// warn adds a fault that does not keep the object from being used.
func (b *routeBuilder) warn(reason, format string, args ...any) {
	b.faults = append(b.faults, *object.Warningf(reason, format, args...))
}

// rulesFor returns the rules that apply in a table.
func (b *routeBuilder) rulesFor(table string) []*spec.Rule {
	top := slices.Contains(b.gateways(b.object.Spec.Gateways), table)
	var out []*spec.Rule
	for _, built := range b.rules {
		rule := *built.rule
		if built.matches == nil {
			if top {
				out = append(out, &rule)
			}
			continue
		}
		applies, everything := false, false
		for _, m := range built.matches {
			if !m.appliesIn(table, top) {
				continue
			}
			applies = true
			if m.matcher == nil {
				everything = true
				continue
			}
			rule.MatcherSetsRaw = append(rule.MatcherSetsRaw, m.matcher)
		}
		if everything {
			rule.MatcherSetsRaw = nil
		}
		if applies {
			out = append(out, &rule)
		}
	}
	return out
}

// tables are the tables that the route is in, sorted.
func (b *routeBuilder) tables() []string {
	names := b.gateways(b.object.Spec.Gateways)
	for _, built := range b.rules {
		for _, m := range built.matches {
			names = append(names, m.tables...)
		}
	}
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool { return !b.t.serves(name) })
}

// gateways are the tables of a list of gateways.
func (b *routeBuilder) gateways(list []string) []string {
	if len(list) == 0 {
		return []string{MeshTable}
	}
	out := make([]string, 0, len(list))
	for _, name := range list {
		if name != MeshTable {
			namespace, short := b.gateway(name)
			if !object.IsName(namespace) || !object.IsName(short) {
				continue // reported by checkGateways
			}
			name = namespace + "/" + short
		}
		out = append(out, name)
	}
	return out
}

// gateway is the namespace and name of a Gateway that the route names.
func (b *routeBuilder) gateway(name string) (namespace, short string) {
	if namespace, short, ok := strings.Cut(name, "/"); ok {
		return namespace, short
	}
	return b.object.Namespace, name
}

// checkGateways reports names that are none, and Gateways that are not there.
func (b *routeBuilder) checkGateways(path string, list []string) {
	for i, name := range list {
		namespace, short := b.gateway(name)
		switch {
		case name == MeshTable:
		case !object.IsName(namespace) || !object.IsName(short):
			b.fault(object.ReasonInvalidField, "%s[%d]: this is not the name of a Gateway; write namespace/name, name for one in the route's own namespace, or mesh", path, i)
		case b.t.gateways[namespace+"/"+short] == nil && b.t.api.items[namespace+"/"+short] == nil:
			where := ""
			if namespace == b.object.Namespace {
				where = " in namespace " + namespace
			}
			b.warn(object.ReasonGatewayNotFound, "%s[%d]: there is no Gateway of that name%s; create it, or serve the table of that name from a site of your own", path, i, where)
		}
	}
}

// serves reports whether the workload serves a table: not that of a Gateway which
// selects other workloads.
func (t *translation) serves(table string) bool {
	g := t.gateways[table]
	return g == nil || t.selects(&g.Object)
}

// selects reports whether a Gateway selects the workload.
func (t *translation) selects(g *object.Gateway) bool {
	return !t.workload.Known || object.HasLabels(t.workload.Identity.Labels, g.Spec.Selector)
}
