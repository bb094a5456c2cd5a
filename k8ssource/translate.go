package k8ssource

import (
	"cmp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/llmprovider/kind"
	"github.com/caddy-llm/gateway/llmroute"
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
	EndpointPicker *PickerOptions

	// PortMap are the ports to listen on in place of those that Gateways name.
	PortMap map[int]int

	// MeshListen is where to listen for the routes of MeshTable. Default:
	// nowhere.
	MeshListen string

	// What becomes of what has no route there. Default: ALLOW_ANY.
	Outbound string

	// KeysSecret is the Secret with the clients of virtual keys, as namespace/name.
	// Default: none.
	KeysSecret string
}

// Translate returns the providers and routes that the objects make up for the
// workload, and what is wrong with single objects. It depends on its arguments
// alone, and does not keep or change them. An identity without namespace and
// labels is one that is not known: then every object applies.
func Translate(objects *Objects, identity llmroute.Identity, options Options) *llmroute.State {
	return new(Translator).Translate(objects, identity, options)
}

// run does the work.
func (t *translation) run() *llmroute.State {
	objects := t.objects
	for _, stray := range objects.Strays {
		t.report(origins(strayKind(stray), stray), stray.Faults)
	}
	t.readPools(latest(t, KindInferencePool, objects.Pools))
	t.claimHosts(latest(t, KindLLMProvider, objects.Providers))
	t.translateProviders()
	gateways := latest(t, kindGateway, objects.Gateways)
	for _, g := range gateways {
		t.gateways[keyOf(&g.Object)] = g
	}
	t.translateGateways(gateways)
	t.readAuthorization()
	t.translateRoutes(latest(t, KindLLMRoute, objects.Routes))
	t.addPools()
	slices.SortFunc(t.state.Providers, func(a, b *llmroute.ProviderSpec) int { return strings.Compare(a.Name, b.Name) })
	t.reportUnusedSettings()
	t.addImplicitRoutes()
	t.authorize()
	t.readKeys()
	slices.SortStableFunc(t.findings, func(a, b finding) int {
		return cmp.Or(strings.Compare(a.file, b.file), cmp.Compare(a.line, b.line), strings.Compare(a.object, b.object))
	})
	for _, f := range t.findings {
		t.state.Findings = append(t.state.Findings, llmroute.Finding{Object: f.object, Origin: f.place, Reason: f.Reason, Message: f.Message, Used: f.Used})
	}
	return t.state
}

// translation is the work of one Translate.
type translation struct {
	objects  *Objects
	identity llmroute.Identity
	known    bool // the identity
	options  Options

	secrets  map[string]*Item[Secret]
	services map[string]bool
	gateways map[string]*Item[Gateway]
	pools    map[string]*usedPool

	// owners holds the provider that each host belongs to, and hosts those keys
	// in order.
	owners map[string]*ownedProvider
	hosts  []string
	// bound holds the servers of each Gateway that are listened for.
	bound map[string][]*boundServer
	// others says of providers that are for other workloads why they are, by host.
	others map[string]string

	// kinds are the kinds of providers by their fields in configs.
	kinds map[string]string

	authorization authorization

	state    *llmroute.State
	findings []finding

	// before is what can be taken over, and after what a later one can take over.
	before *Translator
	after  Translator
}

// finding is a fault with its object.
type finding struct {
	origin
	Fault
}

// ownedProvider is the one provider of a host.
type ownedProvider struct {
	item *Item[v1beta1.LLMProvider]
	// unusable is the reason why it was refused; it owns its host all the same.
	unusable string
}

func newTranslation(objects *Objects, identity llmroute.Identity, options Options) *translation {
	t := &translation{
		objects: objects, identity: identity, options: options,
		known:    identity.Namespace != "" || len(identity.Labels) > 0,
		secrets:  make(map[string]*Item[Secret], len(objects.Secrets)),
		services: make(map[string]bool, len(objects.Services)),
		gateways: make(map[string]*Item[Gateway], len(objects.Gateways)),
		pools:    make(map[string]*usedPool, len(objects.Pools)),
		owners:   make(map[string]*ownedProvider, len(objects.Providers)),
		others:   make(map[string]string),
		kinds:    kind.ByManifestField(),
		bound:    make(map[string][]*boundServer),
		state:    &llmroute.State{Identity: identity, Tables: make(map[string][]*llmroute.Route)},
		after: Translator{
			providers: make(map[*Item[v1beta1.LLMProvider]]*builtProvider, len(objects.Providers)), routes: make(map[*Item[v1beta1.LLMRoute]]*builtRoute, len(objects.Routes)),
			certificates: make(map[builtCertificate]*llmroute.Certificate), served: make(map[servedCertificate]*llmroute.Certificate),
			policies: make(map[*Item[AuthorizationPolicy]]*builtPolicy, len(objects.Policies)), authentications: make(map[*Item[RequestAuthentication]]*builtAuthentication, len(objects.Authentications)),
		},
	}
	if t.known && t.identity.Namespace == "" {
		t.identity.Namespace = defaultNamespace
	}
	if t.options.RootNamespace == "" {
		t.options.RootNamespace = DefaultRootNamespace
	}
	for _, s := range objects.Secrets {
		t.secrets[keyOf(&s.Object)] = s
	}
	for _, s := range objects.Services {
		t.services[keyOf(&s.Object)] = true
	}
	return t
}

// latest leaves out all but the last object of each namespace and name, as if
// they had been applied one after the other.
func latest[T any, P objectPointer[T]](t *translation, kind string, items []*Item[T]) []*Item[T] {
	last := make(map[string]*Item[T], len(items))
	for _, item := range items {
		last[keyOf(P(&item.Object))] = item
	}
	if len(last) == len(items) {
		return items
	}
	out := make([]*Item[T], 0, len(last))
	for _, item := range items {
		winner := last[keyOf(P(&item.Object))]
		if winner == item {
			out = append(out, item)
			continue
		}
		t.report(origins[T, P](kind, item), []Fault{*faultf(ReasonReplaced, "the object of the same kind and name at %s takes this one's place; keep one of them", winner.origin())})
	}
	return out
}

// objectPointer is a pointer to an object with metadata.
type objectPointer[T any] interface {
	*T
	metav1.Object
}

// origin is how findings name an object.
type origin struct {
	object string // kind namespace/name
	place  string // file:line
	file   string
	line   int
}

func origins[T any, P objectPointer[T]](kind string, item *Item[T]) origin {
	return origin{kind + " " + shownKey(P(&item.Object)), item.origin(), item.File, item.Line}
}

// stable is the origin without its line, so that an object which only moved in
// its file is seen not to have changed.
func (o origin) stable() string {
	if o.file == "" {
		return o.object
	}
	return o.object + " in " + o.file
}

func strayKind(s *Item[Stray]) string {
	if kind := shownName(s.Object.Kind); kind != "" && kind != hidden {
		return kind
	}
	return "object"
}

// report adds what is wrong with an object to the findings.
func (t *translation) report(o origin, faults []Fault) {
	for _, f := range faults {
		t.findings = append(t.findings, finding{o, f})
	}
}

// refusal is the reason of the first fault that keeps an object from being
// used, or empty.
func refusal(faults []Fault) string {
	for _, f := range faults {
		if !f.Used {
			return f.Reason
		}
	}
	return ""
}

// contains reports whether labels has all of want.
func contains(labels, want map[string]string) bool {
	for k, v := range want {
		if have, ok := labels[k]; !ok || have != v {
			return false
		}
	}
	return true
}
