package k8ssource

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/authorization"
	"github.com/caddy-llm/gateway/k8ssource/limits"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/k8ssource/policy"
	"github.com/caddy-llm/gateway/k8ssource/provider"
	"github.com/caddy-llm/gateway/k8ssource/workload"
	"github.com/caddy-llm/gateway/llmprovider/kind"
	"github.com/caddy-llm/gateway/llmroute/capture"
	"github.com/caddy-llm/gateway/llmroute/filter"
	"github.com/caddy-llm/gateway/llmroute/listen"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

const (
	// DefaultRootNamespace is the namespace whose objects apply to the workloads
	// of all namespaces, unless configured.
	DefaultRootNamespace = "istio-system"

	// MeshTable is the table of the routes for sidecars. Those for an Istio
	// Gateway are in the table named by its namespace/name.
	MeshTable = "mesh"
)

// Options are the settings of Translate. The zero value holds the defaults.
type Options struct {
	// RootNamespace is the namespace whose objects apply everywhere. Default:
	// DefaultRootNamespace.
	RootNamespace string

	// SelectorsFrom are the namespaces, beside the root namespace, whose LLMProviders
	// may select workloads of other namespaces. Default: none.
	SelectorsFrom []string

	// AmbientCredentials are the namespaces whose LLMProviders may be sent the gateway's
	// own credentials of a cloud. Default: none.
	AmbientCredentials []string

	// AllowAnyHost lets providers be at addresses that are refused otherwise:
	// Caddy's admin endpoint, and those where a cloud serves its credentials.
	AllowAnyHost bool

	// EndpointPicker is how endpoint pickers are connected to. Nil for the defaults.
	EndpointPicker *provider.PickerOptions

	// GatewayNetworks are where each Gateway of Gateway API gets an address of its own to
	// listen on. Without any, all listen on all addresses.
	GatewayNetworks []netip.Prefix

	// PortMap are the ports to listen on in place of those that Gateways name.
	PortMap map[int]int

	// MeshListen is where to listen for the routes of MeshTable. Default:
	// nowhere.
	MeshListen string

	// What becomes of what has no route there. Default: ALLOW_ANY.
	Outbound string

	// Configured is what limits need to know of the configuration; nil if it is not known,
	// as in checks of manifests alone.
	Configured *spec.LimitsConfig

	// KeysSecret is the Secret with the clients of virtual keys, as namespace/name.
	// Default: none.
	KeysSecret string
}

// Listeners are those for the routes of MeshTable.
func (o *Options) Listeners() []*listen.Listener {
	if o.MeshListen == "" {
		return nil
	}
	var out []*listen.Listener
	for _, address := range loopbacks(o.MeshListen) {
		out = append(out, &listen.Listener{Address: address, Outbound: cmp.Or(o.Outbound, capture.OutboundAllowAny), Servers: []*listen.Server{
			{Hosts: []string{"*"}, Table: MeshTable, Gateway: MeshTable, Origin: "mesh_listen"},
		}})
	}
	return out
}

// Translate returns the providers and routes that the objects make up for the
// workload, and what is wrong with single objects. It depends on its arguments
// alone, and does not keep or change them. An identity without namespace and
// labels is one that is not known: then every object applies.
func Translate(objects *object.Set, identity spec.Identity, options Options) *spec.State {
	return new(Translator).Translate(objects, identity, options)
}

// run does the work.
func (t *translation) run() *spec.State {
	objects := t.objects
	for _, stray := range objects.Strays {
		t.report(object.OriginOf(object.StrayKind(stray), stray), stray.Faults)
	}
	t.readPools(latest(t, object.KindInferencePool, objects.Pools))
	t.claimHosts(latest(t, object.KindLLMProvider, objects.Providers))
	t.translateProviders()
	gateways := latest(t, object.KindGateway, objects.Gateways)
	for _, g := range gateways {
		t.gateways[object.Key(&g.Object)] = g
	}
	t.translateGateways(gateways)
	t.api = t.readGatewayAPI()
	t.listenForGatewayAPI()
	t.authorization = authorization.Read(&authorization.Input{
		Policies:        inOrder(latest(t, object.KindAuthorizationPolicy, objects.Policies)),
		Authentications: inOrder(latest(t, object.KindRequestAuthentication, objects.Authentications)),
		ConfigMaps:      objects.ConfigMaps, Namespaces: objects.Namespaces,
		Workload: t.workload, Findings: &t.findings, Gateways: t.gatewaysOfTarget,
		AllowAnyHost: t.options.AllowAnyHost, Unused: t.options.MeshListen != "" && len(t.bound) == 0,
	}, t.before.authorization)
	llmPolicies := latest(t, object.KindLLMPolicy, objects.LLMPolicies)
	t.readLLMPolicies(llmPolicies)
	t.translateRoutes(latest(t, object.KindLLMRoute, objects.Routes))
	t.translateHTTPRoutes()
	t.expectHeaders()
	t.after.api = t.api
	t.addPools()
	slices.SortFunc(t.state.Providers, func(a, b *spec.Provider) int { return strings.Compare(a.Name, b.Name) })
	t.policies.ToProviders(t.state)
	t.reportUnusedSettings()
	t.addImplicitRoutes()
	t.policies.CacheByProviders(t.state)
	policy.ReportTemplates(llmPolicies, t.state, &t.findings)
	t.state.Authorization = t.authorization.Config()
	t.after.authorization = t.authorization.Built
	t.readKeys()
	t.translateLimits()
	slices.SortStableFunc(t.findings, func(a, b object.Finding) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), strings.Compare(a.Object, b.Object))
	})
	for _, f := range t.findings {
		t.state.Findings = append(t.state.Findings, spec.Finding{Object: f.Object, Origin: f.Place, Reason: f.Reason, Message: f.Message, Used: f.Used})
	}
	return t.state
}

// translateLimits adds the limits, which need to know the providers and routes.
func (t *translation) translateLimits() {
	made := &limits.Translation{
		Objects: t.objects, Workload: t.workload, State: t.state, Findings: &t.findings,
		Configured: t.options.Configured, HasTarget: t.hasTarget, Before: t.before.limits,
	}
	made.Add(latest(t, object.KindLLMLimit, t.objects.Limits))
	made.AddLimiters(object.KindLocalRateLimiter, latest(t, object.KindLocalRateLimiter, t.objects.LocalLimiters))
	made.AddLimiters(object.KindGlobalRateLimiter, latest(t, object.KindGlobalRateLimiter, t.objects.GlobalLimiters))
	t.after.limits = made.Good
}

// translation is the work of one Translate.
type translation struct {
	objects  *object.Set
	workload *workload.Workload
	options  Options

	secrets object.Secrets
	// services has of each Service all that is known of it: of one that a pool or an
	// HTTPRoute names there is more than of others.
	services map[string]*object.Service
	// endpointSlices are those of each Service.
	endpointSlices map[string][]*object.Item[object.EndpointSlice]
	gateways       map[string]*object.Item[object.Gateway]
	pools          map[string]*usedPool
	providerPools  map[string]string // the pools that LLMProviders name, by these
	api            *apiGateways
	matching       []*matching

	// owners holds the provider that each host belongs to, hosts those keys in order, and
	// owned the same providers by namespace and name.
	owners map[string]*ownedProvider
	hosts  []string
	owned  map[string]*ownedProvider
	// bound holds the servers of each Gateway that are listened for.
	bound map[string][]*boundServer
	// others says of providers that are for other workloads why they are, by host.
	others map[string]string

	// kinds are the kinds of providers by their fields in configs.
	kinds map[string]string

	authorization *authorization.Applied

	policies policy.Attachments

	state    *spec.State
	findings object.Findings

	// before is what can be taken over, and after what a later one can take over.
	before *Translator
	after  Translator
}

// ownedProvider is the one provider of a host.
type ownedProvider struct {
	item *object.Item[v1beta1.LLMProvider]
	// unusable is the reason why it was refused; it owns its host all the same.
	unusable string
}

func newTranslation(objects *object.Set, identity spec.Identity, options Options) *translation {
	t := &translation{
		objects: objects, options: options,
		workload: &workload.Workload{
			Identity: identity, Known: identity.Namespace != "" || len(identity.Labels) > 0,
			RootNamespace: options.RootNamespace, SelectorsFrom: options.SelectorsFrom,
		},
		secrets:  make(object.Secrets, len(objects.Secrets)),
		services: make(map[string]*object.Service, len(objects.Services)),
		gateways: make(map[string]*object.Item[object.Gateway], len(objects.Gateways)),
		pools:    make(map[string]*usedPool, len(objects.Pools)),

		providerPools: make(map[string]string),
		owners:        make(map[string]*ownedProvider, len(objects.Providers)),
		owned:         make(map[string]*ownedProvider, len(objects.Providers)),
		others:        make(map[string]string),

		endpointSlices: make(map[string][]*object.Item[object.EndpointSlice]),
		kinds:          kind.ByManifestField(),
		bound:          make(map[string][]*boundServer),
		state:          &spec.State{Identity: identity, Tables: make(map[string][]*spec.Route)},
		after: Translator{
			providers: make(map[*object.Item[v1beta1.LLMProvider]]*builtProvider, len(objects.Providers)), routes: make(map[*object.Item[v1beta1.LLMRoute]]*builtRoute, len(objects.Routes)),
			certificates: make(map[builtCertificate]*listen.Certificate), served: make(map[servedCertificate]*listen.Certificate),
		},
	}
	if t.workload.Known && t.workload.Identity.Namespace == "" {
		t.workload.Identity.Namespace = object.DefaultNamespace
	}
	if t.options.RootNamespace == "" {
		t.options.RootNamespace = DefaultRootNamespace
		t.workload.RootNamespace = DefaultRootNamespace
	}
	for _, s := range objects.Secrets {
		t.secrets[object.Key(&s.Object)] = s
	}
	for _, p := range objects.Providers {
		if pool := p.Object.Spec.Pool; pool != nil {
			t.providerPools[object.Key(&p.Object)] = p.Object.Namespace + "/" + pool.Name
		}
	}
	for _, s := range objects.Services {
		if key := object.Key(&s.Object); t.services[key] == nil || len(s.Object.Spec.Ports) > 0 {
			t.services[key] = &s.Object
		}
	}
	for _, s := range objects.EndpointSlices {
		if name := s.Object.Labels[object.ServiceLabel]; name != "" {
			key := s.Object.Namespace + "/" + name
			t.endpointSlices[key] = append(t.endpointSlices[key], s)
		}
	}
	return t
}

// latest leaves out all but the last object of each namespace and name, as if
// they had been applied one after the other.
func latest[T any, P object.Pointer[T]](t *translation, kind string, items []*object.Item[T]) []*object.Item[T] {
	last := make(map[string]*object.Item[T], len(items))
	for _, item := range items {
		last[object.Key(P(&item.Object))] = item
	}
	if len(last) == len(items) {
		return items
	}
	out := make([]*object.Item[T], 0, len(last))
	for _, item := range items {
		winner := last[object.Key(P(&item.Object))]
		if winner == item {
			out = append(out, item)
			continue
		}
		t.report(object.OriginOf[T, P](kind, item), []object.Fault{*object.Faultf(object.ReasonReplaced, "the object of the same kind and name at %s takes this one's place; keep one of them", winner.Place())})
	}
	return out
}

// inOrder sorts objects by namespace and name.
func inOrder[T any, P object.Pointer[T]](items []*object.Item[T]) []*object.Item[T] {
	return slices.SortedFunc(slices.Values(items), func(a, b *object.Item[T]) int {
		x, y := metav1.Object(P(&a.Object)), metav1.Object(P(&b.Object))
		return cmp.Or(strings.Compare(x.GetNamespace(), y.GetNamespace()), strings.Compare(x.GetName(), y.GetName()))
	})
}

// report adds what is wrong with an object to the findings.
func (t *translation) report(o object.Origin, faults []object.Fault) {
	t.findings.Report(o, faults)
}

// objectOf names an object as rules do.
func objectOf(kind string, o metav1.Object) filter.Object {
	return filter.Object{Kind: kind, Namespace: o.GetNamespace(), Name: o.GetName()}
}

// loopbacks are the addresses that localhost stands for: captured connections of
// both families come in. Any other address is itself.
func loopbacks(address string) []string {
	_, host, port, err := caddy.SplitNetworkAddress(address)
	if err != nil || host != "localhost" {
		return []string{address}
	}
	out := []string{net.JoinHostPort("127.0.0.1", port)}
	if own, err := net.InterfaceAddrs(); err == nil && slices.ContainsFunc(own, func(a net.Addr) bool { return a.String() == "::1/128" }) {
		out = append(out, net.JoinHostPort("::1", port))
	}
	return out
}
