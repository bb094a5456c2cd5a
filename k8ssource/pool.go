package k8ssource

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/k8ssource/provider"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// usedPool is an InferencePool, and what requests to it are sent with.
type usedPool struct {
	item     *object.Item[object.InferencePool]
	picker   string         // the configuration of its endpoint picker, empty without one
	unusable string         // why no requests can be sent there
	owner    *ownedProvider // the LLMProvider for it, nil without one
	referred bool           // a route sends requests to it
}

// provider is the name of the provider that the pool is.
func (p *usedPool) provider() string {
	if p.owner != nil {
		return object.Key(&p.owner.item.Object)
	}
	return poolProvider(object.Key(&p.item.Object))
}

// poolProvider is the name of the provider that a pool is without an LLMProvider. No
// object's name has two slashes.
func poolProvider(key string) string { return key + "/inferencepool" }

// readPools looks at the pools, of which no provider knows yet.
func (t *translation) readPools(items []*object.Item[object.InferencePool]) {
	for _, item := range items {
		faults := item.Faults
		if len(faults) == 0 {
			faults = provider.CheckPool(&item.Object)
		}
		used := &usedPool{item: item}
		if object.Refusal(faults) == "" {
			var fault *object.Fault
			if used.picker, fault = provider.Picker(&item.Object, t.services, t.options.EndpointPicker); fault != nil {
				faults = append(faults[:len(faults):len(faults)], *fault)
			}
		}
		used.unusable = object.Refusal(faults)
		t.report(object.OriginOf(object.KindInferencePool, item), faults)
		t.pools[object.Key(&item.Object)] = used
	}
}

// claimPool makes an LLMProvider that of its pool, unless another one is.
func (t *translation) claimPool(item *object.Item[v1beta1.LLMProvider]) {
	o := object.OriginOf(object.KindLLMProvider, item)
	name := item.Object.Spec.Pool.Name
	p := t.pools[item.Object.Namespace+"/"+name]
	switch {
	case p == nil:
		t.report(o, []object.Fault{*object.Faultf(object.ReasonPoolNotFound, "spec.pool.name: there is no InferencePool of this name in the object's namespace; create it, or correct the name")})
	case p.owner != nil:
		t.report(o, []object.Fault{*object.Faultf(object.ReasonConflict, "the InferencePool %s has the LLMProvider %s already; keep one of them", object.ShownKey(&p.item.Object), object.ShownKey(&p.owner.item.Object))})
	default:
		p.owner = &ownedProvider{item: item}
		if p.unusable != "" {
			t.report(o, []object.Fault{*object.Warningf(object.ReasonPoolRefused, "spec.pool.name: InferencePool %s is not used (%s), and requests for it are answered with 503; correct it", object.ShownKey(&p.item.Object), p.unusable)})
		}
	}
}

// addPools sets up the providers that pools are, and gives them their endpoints.
func (t *translation) addPools() {
	for _, key := range sortedKeys(t.pools) {
		p := t.pools[key]
		if p.unusable != "" {
			continue
		}
		endpoints := t.endpointsOf(&p.item.Object)
		if len(endpoints) == 0 && (p.referred || p.owner != nil) {
			t.report(object.OriginOf(object.KindInferencePool, p.item), []object.Fault{{Reason: object.ReasonNoEndpoints, Used: true, Message: "no pod that the selector matches is ready, so requests for the pool are answered with 503; look at the pods, or correct spec.selector"}})
		}
		switch {
		case p.owner != nil && p.owner.unusable == "":
			built := t.builtProvider(p.owner.item)
			spec := *built.spec
			spec.Endpoints = endpoints
			t.state.Providers = append(t.state.Providers, &spec)
		case p.owner == nil && p.referred:
			if config := provider.ForPool(&p.item.Object, p.picker, t.options.AllowAnyHost); config != nil {
				t.state.Providers = append(t.state.Providers, &spec.Provider{
					Name: p.provider(), Origin: object.OriginOf(object.KindInferencePool, p.item).Stable(), Provider: config, Endpoints: endpoints,
				})
			}
		}
	}
}

// endpointsOf are the addresses of a pool: of each ready pod that the selector matches,
// and each port.
func (t *translation) endpointsOf(p *object.InferencePool) []string {
	var out []string
	add := func(ip string) {
		addr, err := netip.ParseAddr(ip)
		if err != nil || addr.Zone() != "" {
			return
		}
		for _, port := range p.Spec.TargetPorts {
			out = append(out, net.JoinHostPort(addr.String(), strconv.Itoa(int(port.Number))))
		}
	}
	want := p.Spec.Selector.MatchLabels
	for _, item := range t.objects.Pods {
		if pod := &item.Object; pod.Namespace == p.Namespace && pod.Ready() && object.HasLabels(pod.Labels, want) {
			add(pod.Status.PodIP)
		}
	}
	for _, item := range t.objects.EndpointSlices {
		if item.File == "" { // of a cluster, whose pods are followed themselves
			continue
		}
		slice := &item.Object
		if slice.Namespace != p.Namespace || !object.HasLabels(slice.Labels, want) && !t.serviceSelects(slice, want) {
			continue
		}
		for i := range slice.Endpoints {
			if e := &slice.Endpoints[i]; e.Ready() && len(e.Addresses) > 0 {
				add(e.Addresses[0])
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// serviceSelects reports whether the Service of an EndpointSlice selects pods that a pool
// selects.
func (t *translation) serviceSelects(slice *object.EndpointSlice, want map[string]string) bool {
	s := t.services[slice.Namespace+"/"+slice.Labels[object.ServiceLabel]]
	return s != nil && object.HasLabels(s.Spec.Selector, want)
}

// lookUpPool finds the pool that a backend refers to.
func (b *routeBuilder) lookUpPool(path string, ref *v1beta1.ObjectRef, out *spec.Backend) {
	key, permitted := b.t.permittedPool(b.object, ref)
	if !permitted {
		out.Unusable = object.ReasonPoolNotPermitted
		b.warn(object.ReasonPoolNotPermitted, "%s.namespace: routes may refer to pools of their own namespace, and those of the root namespace to all; requests for it are answered with 503; create the route in the pool's namespace", path)
		return
	}
	p := b.t.pools[key]
	switch {
	case p == nil:
		out.Unusable = object.ReasonPoolNotFound
		b.warn(object.ReasonPoolNotFound, "%s: there is no InferencePool of this name, and requests for it are answered with 503; create it, or correct the name", path)
	case p.unusable != "":
		out.Unusable = p.unusable
		b.warn(object.ReasonPoolRefused, "%s: InferencePool %s is not used (%s), and requests for it are answered with 503; correct it", path, object.ShownKey(&p.item.Object), p.unusable)
	case p.owner != nil && p.owner.unusable != "":
		out.Unusable = p.owner.unusable
		b.warn(object.ReasonProviderRefused, "%s: LLMProvider %s, which is for this pool, is not used (%s), and requests for it are answered with 503; correct it", path, object.ShownKey(&p.owner.item.Object), p.owner.unusable)
	default:
		out.Provider = p.provider()
	}
	if p != nil {
		b.pools = append(b.pools, key)
	}
}

// ownerOf is the LLMProvider that a backend leads to, nil without one.
func (b *routeBuilder) ownerOf(ref *v1beta1.LLMBackendRef) *ownedProvider {
	if ref.BackendRef == nil {
		return b.t.owners[object.CanonicalHost(ref.ProviderHost)]
	}
	if !isPool(ref.BackendRef) {
		return nil
	}
	key, permitted := b.t.permittedPool(b.object, ref.BackendRef)
	if p := b.t.pools[key]; p != nil && permitted {
		return p.owner
	}
	return nil
}

// isPool reports whether a reference is to an InferencePool, by its group or the one that
// it had before.
func isPool(ref *v1beta1.ObjectRef) bool {
	return ref.Kind == object.KindInferencePool && (ref.Group == object.PoolGroup || ref.Group == object.OldPoolGroup)
}

// poolStates says of each pool what routes depend on.
func (t *translation) poolStates() map[string]string {
	out := make(map[string]string, len(t.pools))
	for key, p := range t.pools {
		state := p.unusable
		if p.owner != nil {
			state += " " + object.Key(&p.owner.item.Object) + " " + p.owner.unusable + " " + strings.Join(sortedKeys(ruleConfigs(&p.owner.item.Object)), "\n")
		}
		out[key] = state
	}
	return out
}

// poolOf is the pool that an LLMProvider names, nil if it names none or there is none.
func (t *translation) poolOf(p *v1beta1.LLMProvider) *object.Item[object.InferencePool] {
	if p.Spec.Pool == nil {
		return nil
	}
	if used := t.pools[p.Namespace+"/"+p.Spec.Pool.Name]; used != nil {
		return used.item
	}
	return nil
}

// poolReferences are what the pools that have an LLMProvider, or that a route may use and
// refers to, refer to, and the LLMProviders for them.
func (t *translation) poolReferences(used map[string]bool) []object.Reference {
	for _, item := range t.objects.Routes {
		for _, key := range t.poolsOf(&item.Object) {
			used[key] = true
		}
	}
	var out []object.Reference
	for key, p := range t.pools {
		if p.unusable != "" && p.unusable != object.ReasonInvalidPicker || p.owner == nil && !used[key] { // a picker may be found later
			continue
		}
		out = append(out, object.PodReference(&p.item.Object))
		if ref := p.item.Object.Spec.EndpointPickerRef; ref != nil && ref.IsService() {
			out = append(out, object.Reference{Kind: object.KindService, Namespace: p.item.Object.Namespace, Name: ref.Name})
		}
		if p.owner != nil {
			out = append(out, provider.References(&p.owner.item.Object)...)
		}
	}
	return out
}

// permittedPool is the namespace and name of the pool that a route refers to, and whether
// the route may use it: pools of its own namespace, or all if it is in the root namespace.
func (t *translation) permittedPool(route *v1beta1.LLMRoute, ref *v1beta1.ObjectRef) (key string, permitted bool) {
	namespace := cmp.Or(ref.Namespace, route.Namespace)
	return namespace + "/" + ref.Name, namespace == route.Namespace || route.Namespace == t.workload.RootNamespace
}

// pickerFor is the configuration of the endpoint picker of the pool that an LLMProvider
// names, empty without one.
func (t *translation) pickerFor(p *v1beta1.LLMProvider) string {
	if p.Spec.Pool == nil {
		return ""
	}
	if used := t.pools[p.Namespace+"/"+p.Spec.Pool.Name]; used != nil {
		return used.picker
	}
	return ""
}
