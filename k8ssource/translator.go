package k8ssource

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/caddy-llm/gateway/k8ssource/api/v1alpha1"
	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/authorization"
	"github.com/caddy-llm/gateway/k8ssource/gatewayapi"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/k8ssource/policy"
	"github.com/caddy-llm/gateway/k8ssource/provider"
	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/listen"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// Translator is Translate for objects that change little by little. What follows
// from objects that did not change is taken over from the last time: it is not
// worked out again, and is the same in both states, where it can be compared by
// its address. The results are those of Translate. The zero value is ready; it is
// not safe for concurrent use.
type Translator struct {
	environment *environment
	providers   map[*object.Item[v1beta1.LLMProvider]]*builtProvider
	routes      map[*object.Item[v1beta1.LLMRoute]]*builtRoute
	// certificates are those of servers, which would never be found equal.
	certificates map[builtCertificate]*listen.Certificate
	// served are the last good certificates of servers.
	served map[servedCertificate]*listen.Certificate

	authorization *authorization.Built // of the last time, nil before

	keys *builtKeys // nil without any

	limits map[string][]*limit.Definition // the last good ones, by kind, namespace and name

	llmPolicies map[*object.Item[v1alpha1.LLMPolicy]]*policy.Built

	api *apiGateways // of the last time

	addresses map[string]netip.Addr // of Gateways of Gateway API, by addressKey
}

// builtCertificate is what a certificate was made of: its Secret, that of the
// authorities of clients, if there is one, and whether these are asked for.
type builtCertificate struct {
	secret, authorities *object.Item[object.Secret]
	clientAuth          bool
}

// builtProvider is what was made of an LLMProvider.
type builtProvider struct {
	spec   *spec.Provider
	faults []object.Fault
	// secrets are the Secrets that were looked for, nil where there was none.
	secrets map[string]*object.Item[object.Secret]
	pool    *object.Item[object.InferencePool] // that it is for, nil without one
	picker  string                             // of the pool
}

// builtRoute is what was made of an LLMRoute, apart from who has which host.
type builtRoute struct {
	object.Origin
	builder  *routeBuilder
	bindings []binding
	faults   []object.Fault
	unusable string
	// entries are the routes that it had last, by table and gateways.
	entries map[[2]string]*spec.Route
}

// environment is what LLMRoutes are translated by, besides themselves.
type environment struct {
	identity spec.Identity
	options  Options
	gateways map[string]*object.Item[object.Gateway]
	services map[string]*object.Service // whose names alone count
	others   map[string]string
	// owners says of hosts the provider, why it is not usable, and for which rules it
	// has settings.
	owners   map[string]string
	pools    map[string]string
	api      map[string]*object.Item[gatewayapi.Gateway]
	policies policy.Attachments
}

// sameWorkload reports whether the translation is for the same workload, with the
// same options.
func (e *environment) sameWorkload(t *translation) bool {
	return reflect.DeepEqual(e.identity, t.workload.Identity) && reflect.DeepEqual(e.options, t.options)
}

func (e *environment) equal(other *environment) bool {
	return maps.Equal(e.gateways, other.gateways) && maps.EqualFunc(e.services, other.services, func(_, _ *object.Service) bool { return true }) && maps.Equal(e.others, other.others) && maps.Equal(e.owners, other.owners) && maps.Equal(e.pools, other.pools) && maps.Equal(e.api, other.api) && maps.EqualFunc(e.policies, other.policies, policy.Attached.Equal)
}

// Translate is like the function of that name.
func (r *Translator) Translate(objects *object.Set, identity spec.Identity, options Options) *spec.State {
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
func (r *Translator) Try(objects *object.Set, identity spec.Identity, options Options) (state *spec.State, err error) {
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
func (t *translation) builtProvider(item *object.Item[v1beta1.LLMProvider]) *builtProvider {
	built := t.before.providers[item]
	pool := t.poolOf(&item.Object)
	if built == nil || !t.sameSecrets(built.secrets) || built.pool != pool || built.picker != t.pickerFor(&item.Object) {
		picker := t.pickerFor(&item.Object)
		made := provider.Build(&item.Object, &provider.Input{
			Secrets: t.secrets, Kinds: t.kinds, Pool: pool, Picker: picker,
			AllowAnyHost: t.options.AllowAnyHost, AmbientCredentials: t.options.AmbientCredentials,
		})
		built = &builtProvider{faults: item.Faults, secrets: made.Secrets, pool: pool, picker: picker}
		if len(item.Faults) == 0 {
			// What does not fit its type is missing, and not wrong again.
			built.faults = made.Faults
		}
		built.spec = &spec.Provider{Name: object.Key(&item.Object), Origin: object.OriginOf(object.KindLLMProvider, item).Stable(), Provider: made.Config}
	}
	t.after.providers[item] = built
	return built
}

func (t *translation) sameSecrets(secrets map[string]*object.Item[object.Secret]) bool {
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
		owners[host] = object.Key(p) + " " + owner.unusable + " " + strings.Join(slices.Sorted(maps.Keys(ruleConfigs(p))), "\n")
	}
	t.after.environment = &environment{t.workload.Identity, t.options, t.gateways, t.services, t.others, owners, t.poolStates(), t.api.items, t.policies}
	return t.before.environment != nil && t.before.environment.equal(t.after.environment)
}

// builtRoute returns what was made of the route, now or the last time.
func (t *translation) builtRoute(item *object.Item[v1beta1.LLMRoute], sameEnvironment bool) *builtRoute {
	built := t.before.routes[item]
	if built == nil || !sameEnvironment {
		b := &routeBuilder{t: t, object: &item.Object}
		b.build()
		built = &builtRoute{builder: b, Origin: object.OriginOf(object.KindLLMRoute, item), bindings: b.bindings(), entries: make(map[[2]string]*spec.Route)}
		if built.faults = item.Faults; len(item.Faults) == 0 {
			built.faults = b.faults
		}
		if len(built.bindings) == 0 {
			// For other workloads: what this one lacks for it says nothing.
			built.faults = slices.DeleteFunc(slices.Clone(built.faults), func(f object.Fault) bool { return f.Used })
		}
		built.unusable = object.Refusal(built.faults)
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

// entry is the route of a table with these hosts, which are for gateways: by the first it has
// its rules.
func (r *builtRoute) entry(table string, gateways []string, origin string, hosts []string) *spec.Route {
	key := [2]string{table, strings.Join(gateways, " ")}
	if last := r.entries[key]; last != nil && last.Origin == origin && slices.Equal(last.Hosts, hosts) {
		return last
	}
	route := &spec.Route{Hosts: hosts, Origin: origin, Unusable: r.unusable}
	if r.unusable == "" {
		route.Rules = r.builder.t.policies.ThroughGateways(r.builder.rulesFor(gateways[0]), gateways)
	}
	r.entries[key] = route
	return route
}
