package k8ssource

import (
	"cmp"
	"fmt"
	"net/http"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/gatewayapi"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// httpBackends looks up where a rule sends requests that has LLMProviders or InferencePools
// among its backends.
func (t *translation) httpBackends(r *gatewayapi.HTTPRoute, path string, from *gatewayapi.Rule) []*spec.Backend {
	unusable := ""
	if len(from.Filters) > 0 {
		unusable = object.ReasonUnsupportedField
		t.refuseHTTP(r, "%s.filters: filters are not supported beside LLMProviders and InferencePools, and requests for the rule are answered with 503; leave them out", path)
	}
	if from.Timeouts != nil || from.Retry != nil {
		t.warnHTTP(r, object.ReasonUnsupportedField, "%s: timeouts and retry are not supported, and not used; the provider's own timeouts apply", path)
	}
	sum := 0
	var out []*spec.Backend
	for i := range from.BackendRefs {
		b := t.httpRef(r, fmt.Sprintf("%s.backendRefs[%d]", path, i), &from.BackendRefs[i], http.StatusServiceUnavailable)
		provider := b.provider()
		sum += b.weight
		backend := &spec.Backend{Provider: provider, Weight: &b.weight, Unusable: cmp.Or(unusable, b.unusable)}
		if owner := b.owner(); owner != nil && provider != "" {
			if _, has := ruleConfigs(owner)[from.Name]; has && !t.settingsApply(owner, r.Namespace) {
				backend.DefaultSettings = true
				t.addHTTPFault(r, foreignSettings(path, owner))
			}
		}
		out = append(out, backend)
	}
	if sum == 0 {
		return []*spec.Backend{{Unusable: "NoBackend"}}
	}
	return out
}

// httpRef is one of the backendRefs of a rule, with what is said of it whatever it refers to.
type httpRef struct {
	t     *translation
	route *gatewayapi.HTTPRoute
	ref   *gatewayapi.BackendRef
	path  string

	// What ref says or leaves to the defaults.
	kind      backendKind
	namespace string
	weight    int

	// status is that of requests for it while it is unusable.
	status   int
	unusable string // why it cannot be used, empty if it can
}

func (t *translation) httpRef(r *gatewayapi.HTTPRoute, path string, ref *gatewayapi.BackendRef, status int) *httpRef {
	b := &httpRef{t: t, route: r, ref: ref, path: path, kind: kindOf(ref), namespace: cmp.Or(ref.Namespace, r.Namespace), weight: 1, status: status}
	if ref.Weight != nil {
		b.weight = int(max(0, *ref.Weight))
	}
	return b
}

// permitted reports whether the route may refer to it.
func (b *httpRef) permitted() bool {
	return b.t.api.Objects.Permitted(gatewayapi.Group, gatewayapi.KindHTTPRoute, b.route.Namespace, b.kind.group, b.kind.kind, b.namespace, b.ref.Name)
}

// refuse notes that what it refers to cannot be used. condition is the reason of ResolvedRefs.
func (b *httpRef) refuse(condition, reason, why string) {
	route := b.t.api.Route(b.route)
	route.Resolved = cmp.Or(route.Resolved, condition)
	b.unusable = reason
	b.t.warnHTTP(b.route, reason, "%s: %s; requests for it are answered with %d", b.path, why, b.status)
}

// refuseFilters notes that its filters are not supported.
func (b *httpRef) refuseFilters(why string) {
	b.unusable = object.ReasonUnsupportedField
	b.t.refuseHTTP(b.route, "%s.%s", b.path, why)
}

// provider is the LLMProvider or the pool that it refers to, empty if it cannot be used.
func (b *httpRef) provider() string {
	key := b.namespace + "/" + b.ref.Name
	switch {
	case !b.kind.isLLM():
		b.refuse(gatewayapi.ReasonInvalidKind, object.ReasonUnsupportedBackend, "this kind is not supported beside LLMProviders and InferencePools; write one of these, or another rule for it")
	case !b.permitted():
		b.refuse(gatewayapi.ReasonRefNotPermitted, gatewayapi.ReasonRefNotPermitted, "no ReferenceGrant in its namespace permits this")
	case len(b.ref.Filters) > 0:
		b.refuseFilters(fmt.Sprintf("filters: filters are not supported at LLMProviders and InferencePools, and requests for it are answered with %d; leave them out", b.status))
	case b.kind.kind == object.KindInferencePool:
		return b.pool(key)
	default:
		switch owner := b.t.owned[key]; {
		case owner == nil && b.t.providerPools[key] != "":
			return b.providerOfPool(key, b.t.providerPools[key])
		case owner == nil:
			b.refuse(gatewayapi.ReasonBackendNotFound, object.ReasonProviderNotFound, "there is no such LLMProvider for this workload")
		case owner.unusable != "":
			b.refuse(gatewayapi.ReasonBackendNotFound, object.ReasonProviderRefused, "the LLMProvider is not used ("+owner.unusable+")")
		default:
			return key
		}
	}
	return ""
}

// owner is the LLMProvider that it leads to, nil without one.
func (b *httpRef) owner() *v1beta1.LLMProvider {
	key := b.namespace + "/" + b.ref.Name
	if owner := b.t.owned[key]; owner != nil && b.kind.kind == object.KindLLMProvider {
		return &owner.item.Object
	}
	if b.kind.kind == object.KindLLMProvider {
		key = b.t.providerPools[key]
	}
	if p := b.t.pools[key]; p != nil && p.owner != nil {
		return &p.owner.item.Object
	}
	return nil
}

// providerOfPool is the LLMProvider that names a pool, empty if it cannot be used.
func (b *httpRef) providerOfPool(provider, pool string) string {
	if p := b.t.pools[pool]; p != nil && (p.owner == nil || object.Key(&p.owner.item.Object) != provider) {
		b.refuse(gatewayapi.ReasonBackendNotFound, object.ReasonProviderNotFound, "the LLMProvider is not the one that its InferencePool is used with here")
		return ""
	}
	return b.pool(pool)
}

// pool is the provider that stands for the pool, empty if it cannot be used.
func (b *httpRef) pool(key string) string {
	p := b.t.pools[key]
	if p == nil {
		b.refuse(gatewayapi.ReasonBackendNotFound, object.ReasonPoolNotFound, "there is no such InferencePool")
		return ""
	}
	p.referred = true
	switch {
	case p.unusable != "":
		b.refuse(gatewayapi.ReasonBackendNotFound, object.ReasonPoolRefused, "the InferencePool is not used ("+p.unusable+")")
	case p.owner != nil && p.owner.unusable != "":
		b.refuse(gatewayapi.ReasonBackendNotFound, object.ReasonProviderRefused, "the LLMProvider of the InferencePool is not used ("+p.owner.unusable+")")
	default:
		return p.provider()
	}
	return ""
}

// poolsAlone reports whether all backends of a rule are InferencePools without settings of an
// LLMProvider: then the rule is for any path.
func (t *translation) poolsAlone(r *gatewayapi.HTTPRoute, from *gatewayapi.Rule) bool {
	for i := range from.BackendRefs {
		b := t.httpRef(r, "", &from.BackendRefs[i], 0)
		if b.kind != (backendKind{object.PoolGroup, object.KindInferencePool}) {
			return false
		}
		if p := t.pools[b.namespace+"/"+b.ref.Name]; p != nil && p.owner != nil {
			return false
		}
	}
	return true
}

// httpPools are the pools that a route may use and refers to, by themselves or by their
// LLMProviders.
func (t *translation) httpPools(r *gatewayapi.HTTPRoute) (out []string) {
	for i := range r.Spec.Rules {
		for j := range r.Spec.Rules[i].BackendRefs {
			b := t.httpRef(r, "", &r.Spec.Rules[i].BackendRefs[j], 0)
			if !b.kind.isLLM() || !b.permitted() {
				continue
			}
			key := b.namespace + "/" + b.ref.Name
			if b.kind.kind == object.KindLLMProvider {
				key = t.providerPools[key]
			}
			if key != "" {
				out = append(out, key)
			}
		}
	}
	return out
}
