package k8ssource

import (
	"fmt"
	"maps"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/llmroute"
	"github.com/caddy-llm/gateway/llmroute/authz"
)

// Translator is Translate for objects that change little by little. What follows
// from objects that did not change is taken over from the last time: it is not
// worked out again, and is the same in both states, where it can be compared by
// its address. The results are those of Translate. The zero value is ready; it is
// not safe for concurrent use.
type Translator struct {
	environment *environment
	providers   map[*Item[v1beta1.LLMProvider]]*builtProvider
	routes      map[*Item[v1beta1.LLMRoute]]*builtRoute
	// certificates are those of servers, which would never be found equal.
	certificates map[builtCertificate]*llmroute.Certificate
	// served are the last good certificates of servers.
	served map[servedCertificate]*llmroute.Certificate

	policies        map[*Item[AuthorizationPolicy]]*builtPolicy
	authentications map[*Item[RequestAuthentication]]*builtAuthentication
	authorization   *authz.Config // of the last time, nil without one

	keys *builtKeys // nil without any
}

// builtCertificate is what a certificate was made of: its Secret, that of the
// authorities of clients, if there is one, and whether these are asked for.
type builtCertificate struct {
	secret, authorities *Item[Secret]
	clientAuth          bool
}

// builtProvider is what was made of an LLMProvider.
type builtProvider struct {
	spec   *llmroute.ProviderSpec
	faults []Fault
	// secrets are the Secrets that were looked for, nil where there was none.
	secrets map[string]*Item[Secret]
	pool    *Item[InferencePool] // that it is for, nil without one
	picker  string               // of the pool
}

// builtRoute is what was made of an LLMRoute, apart from who has which host.
type builtRoute struct {
	origin
	builder  *routeBuilder
	bindings []binding
	faults   []Fault
	unusable string
	// entries are the routes that it had last, by table and gateway.
	entries map[[2]string]*llmroute.Route
}

// environment is what LLMRoutes are translated by, besides themselves.
type environment struct {
	identity llmroute.Identity
	options  Options
	gateways map[string]*Item[Gateway]
	services map[string]bool
	others   map[string]string
	// owners says of hosts the provider, why it is not usable, and for which rules it
	// has settings.
	owners map[string]string
	pools  map[string]string
}

// sameWorkload reports whether the translation is for the same workload, with the
// same options.
func (e *environment) sameWorkload(t *translation) bool {
	return reflect.DeepEqual(e.identity, t.identity) && reflect.DeepEqual(e.options, t.options)
}

func (e *environment) equal(other *environment) bool {
	return maps.Equal(e.gateways, other.gateways) && maps.Equal(e.services, other.services) && maps.Equal(e.others, other.others) && maps.Equal(e.owners, other.owners) && maps.Equal(e.pools, other.pools)
}

// Translate is like the function of that name.
func (r *Translator) Translate(objects *Objects, identity llmroute.Identity, options Options) *llmroute.State {
	t := newTranslation(objects, identity, options)
	t.before = r
	if e := r.environment; e == nil || !e.sameWorkload(t) {
		t.before = new(Translator)
	}
	state := t.run()
	*r = t.after
	return state
}

// Try is Translate for objects that change while the gateway serves. A panic, which
// is a defect of Translate that some object has found, is an error that holds the
// stack, so that what is served goes on; the next call begins anew.
func (r *Translator) Try(objects *Objects, identity llmroute.Identity, options Options) (state *llmroute.State, err error) {
	defer func() {
		if found := recover(); found != nil {
			*r = Translator{}
			state, err = nil, fmt.Errorf("panic: %v\n%s", found, debug.Stack())
		}
	}()
	return r.Translate(objects, identity, options), nil
}

// NotTranslated is the log line of an error of Try.
const NotTranslated = "the objects cannot be translated, which is a defect of the gateway: what is served stays as it is, and the next change is tried again; please report this error, with the objects"

// builtProvider returns what was made of the provider, now or the last time.
func (t *translation) builtProvider(item *Item[v1beta1.LLMProvider]) *builtProvider {
	built := t.before.providers[item]
	pool := t.poolOf(&item.Object)
	if built == nil || !t.sameSecrets(built.secrets) || built.pool != pool || built.picker != t.pickerFor(&item.Object) {
		b := &providerBuilder{t: t, object: &item.Object, secrets: make(map[string]*Item[Secret])}
		b.build()
		built = &builtProvider{faults: item.Faults, secrets: b.secrets, pool: pool, picker: t.pickerFor(&item.Object)}
		if len(item.Faults) == 0 {
			// What does not fit its type is missing, and not wrong again.
			built.faults = b.faults
		}
		built.spec = &llmroute.ProviderSpec{Name: keyOf(&item.Object), Origin: origins(KindLLMProvider, item).stable(), Provider: b.out}
	}
	t.after.providers[item] = built
	return built
}

func (t *translation) sameSecrets(secrets map[string]*Item[Secret]) bool {
	for name, secret := range secrets {
		if t.secrets[name] != secret {
			return false
		}
	}
	return true
}

// sameEnvironment reports whether routes can be taken over from the last time, and
// notes by what they are translated now.
func (t *translation) sameEnvironment() bool {
	owners := make(map[string]string, len(t.owners))
	for host, owner := range t.owners {
		p := &owner.item.Object
		owners[host] = keyOf(p) + " " + owner.unusable + " " + strings.Join(slices.Sorted(maps.Keys(ruleConfigs(p))), "\n")
	}
	t.after.environment = &environment{t.identity, t.options, t.gateways, t.services, t.others, owners, t.poolStates()}
	return t.before.environment != nil && t.before.environment.equal(t.after.environment)
}

// builtRoute returns what was made of the route, now or the last time.
func (t *translation) builtRoute(item *Item[v1beta1.LLMRoute], sameEnvironment bool) *builtRoute {
	built := t.before.routes[item]
	if built == nil || !sameEnvironment {
		b := &routeBuilder{t: t, object: &item.Object}
		b.build()
		built = &builtRoute{builder: b, origin: origins(KindLLMRoute, item), bindings: b.bindings(), entries: make(map[[2]string]*llmroute.Route)}
		if built.faults = item.Faults; len(item.Faults) == 0 {
			built.faults = b.faults
		}
		if len(built.bindings) == 0 {
			// For other workloads: what this one lacks for it says nothing.
			built.faults = slices.DeleteFunc(slices.Clone(built.faults), func(f Fault) bool { return f.Used })
		}
		built.unusable = refusal(built.faults)
	}
	built.builder.t = t
	if len(built.bindings) > 0 { // else it is for other workloads
		for _, key := range built.builder.pools {
			t.pools[key].referred = true
		}
	}
	t.after.routes[item] = built
	return built
}

// entry is the route of a table with these hosts, which are for a gateway.
func (r *builtRoute) entry(table, gateway, origin string, hosts []string) *llmroute.Route {
	key := [2]string{table, gateway}
	if last := r.entries[key]; last != nil && last.Origin == origin && slices.Equal(last.Hosts, hosts) {
		return last
	}
	route := &llmroute.Route{Hosts: hosts, Origin: origin, Unusable: r.unusable}
	if r.unusable == "" {
		route.Rules = r.builder.rulesFor(gateway)
	}
	r.entries[key] = route
	return route
}
