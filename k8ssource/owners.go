package k8ssource

import (
	"maps"
	"slices"
	"strings"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/llmroute"
)

// claimHosts finds the one provider of each host among those that apply to the
// workload: one with a selector before one without, then the older, then by
// namespace and name.
func (t *translation) claimHosts(items []*Item[v1beta1.LLMProvider]) {
	var applying []*Item[v1beta1.LLMProvider]
	for _, item := range items {
		if t.applies(&item.Object) {
			applying = append(applying, item)
		} else {
			t.others[canonicalHost(string(item.Object.Spec.Host))] = keyOf(&item.Object)
		}
	}
	slices.SortFunc(applying, func(a, b *Item[v1beta1.LLMProvider]) int {
		if x := hasSelector(&a.Object); x != hasSelector(&b.Object) {
			if x {
				return -1
			}
			return 1
		}
		return compare(&a.Object, &b.Object)
	})
	for _, item := range applying {
		host := canonicalHost(string(item.Object.Spec.Host))
		owner := t.owners[host]
		if owner == nil || host == "" {
			// One without a host owns none, and is reported for it.
			key := host
			if host == "" {
				key = " " + keyOf(&item.Object)
			}
			t.owners[key] = &ownedProvider{item: item}
			continue
		}
		t.report(origins(KindLLMProvider, item), []Fault{*faultf(ReasonConflict,
			"the host %s belongs to LLMProvider %s, which %s; use another host, or a workloadSelector that selects other workloads",
			shownHost(host), shownKey(&owner.item.Object), providerAdvantage(&owner.item.Object, &item.Object))})
	}
	t.hosts = slices.Sorted(maps.Keys(t.owners))
}

// providerAdvantage says why a precedes b.
func providerAdvantage(a, b *v1beta1.LLMProvider) string {
	if hasSelector(a) && !hasSelector(b) {
		return "has a workloadSelector, and this one has none"
	}
	return advantage(a, b)
}

func hasSelector(p *v1beta1.LLMProvider) bool {
	return p.Spec.WorkloadSelector != nil && len(p.Spec.WorkloadSelector.Labels) > 0
}

// applies tells whether the provider is meant for the workload.
func (t *translation) applies(p *v1beta1.LLMProvider) bool {
	switch {
	case !t.known:
		return true
	case hasSelector(p):
		return contains(t.identity.Labels, p.Spec.WorkloadSelector.Labels)
	}
	return p.Namespace == t.options.RootNamespace || p.Namespace == t.identity.Namespace
}

// translateProviders sets up the providers that own a host.
func (t *translation) translateProviders() {
	for _, host := range t.hosts {
		owner := t.owners[host]
		built := t.builtProvider(owner.item)
		t.report(origins(KindLLMProvider, owner.item), built.faults)
		if owner.unusable = refusal(built.faults); owner.unusable == "" {
			t.state.Providers = append(t.state.Providers, built.spec)
		}
		if strings.HasPrefix(host, " ") {
			delete(t.owners, host)
		}
	}
	slices.SortFunc(t.state.Providers, func(a, b *llmroute.ProviderSpec) int { return strings.Compare(a.Name, b.Name) })
}

// addImplicitRoutes gives the providers a route to their own host, where no
// LLMRoute governs it. A provider that was refused keeps its host, so that no
// request for it goes elsewhere.
func (t *translation) addImplicitRoutes() {
	governed := make(map[string]bool)
	for _, route := range t.state.Tables[MeshTable] {
		for _, host := range route.Hosts {
			governed[host] = true
		}
	}
	for _, host := range t.hosts {
		owner := t.owners[host]
		if owner == nil || governed[host] {
			continue
		}
		route := &llmroute.Route{Hosts: []string{host}, Origin: origins(KindLLMProvider, owner.item).stable(), Unusable: owner.unusable}
		if owner.unusable == "" {
			route.Rules = []*llmroute.Rule{{Backends: []*llmroute.Backend{{Provider: keyOf(&owner.item.Object)}}}}
		}
		t.state.Tables[MeshTable] = append(t.state.Tables[MeshTable], route)
	}
}

// canonicalHost is a host as routes are looked up by it.
func canonicalHost(host string) string { return strings.ToLower(strings.TrimSuffix(host, ".")) }
