package k8ssource

import (
	"cmp"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// claimHosts finds the one provider of each host among those that apply to the
// workload: one of the workload's own namespace or the root namespace before any
// other, then one with a selector before one without, then the older, then by
// namespace and name.
func (t *translation) claimHosts(items []*object.Item[v1beta1.LLMProvider]) {
	var applying []*object.Item[v1beta1.LLMProvider]
	for _, item := range items {
		if t.applies(item) {
			applying = append(applying, item)
		} else if item.Object.Spec.Pool == nil {
			t.others[object.CanonicalHost(string(item.Object.Spec.Host))] = t.elsewhereBecause(&item.Object)
		}
	}
	slices.SortFunc(applying, func(a, b *object.Item[v1beta1.LLMProvider]) int {
		return cmp.Or(
			trueFirst(t.workload.IsHome(a.Object.Namespace), t.workload.IsHome(b.Object.Namespace)),
			trueFirst(hasSelector(&a.Object), hasSelector(&b.Object)),
			object.Compare(&a.Object, &b.Object),
		)
	})
	var misspelt []*object.Item[v1beta1.LLMProvider]
	for _, item := range applying {
		if item.Object.Spec.Pool != nil {
			t.claimPool(item)
			continue
		}
		host := object.CanonicalHost(string(item.Object.Spec.Host))
		if object.CheckHost(string(item.Object.Spec.Host)) != nil {
			misspelt = append(misspelt, item)
			continue
		}
		owner := t.owners[host]
		if owner == nil {
			t.owners[host] = &ownedProvider{item: item}
			continue
		}
		t.report(object.OriginOf(object.KindLLMProvider, item), []object.Fault{*object.Faultf(object.ReasonConflict,
			"the host %s belongs to LLMProvider %s, which %s; use another host, or a workloadSelector that selects other workloads",
			object.ShownHost(host), object.ShownKey(&owner.item.Object), t.providerAdvantage(&owner.item.Object, &item.Object))})
	}
	for _, item := range misspelt {
		// It is refused, and takes no host from a good one. But requests for the host
		// that it means must not go out past it.
		host := meantHost(string(item.Object.Spec.Host))
		if host == "" || t.owners[host] != nil {
			host = " " + object.Key(&item.Object) // owns none, and is reported for it
		}
		t.owners[host] = &ownedProvider{item: item}
	}
	t.hosts = slices.Sorted(maps.Keys(t.owners))
	for _, owner := range t.owners {
		t.owned[object.Key(&owner.item.Object)] = owner
	}
}

// meantHost is the host that is most likely meant by text which is none, such as a
// URL, or empty.
func meantHost(text string) string {
	text = strings.TrimSpace(text)
	if _, rest, ok := strings.Cut(text, "://"); ok {
		text = rest
	}
	if i := strings.IndexAny(text, "/?#"); i >= 0 {
		text = text[:i]
	}
	text = text[strings.LastIndexByte(text, '@')+1:]
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	text = object.CanonicalHost(strings.Trim(text, "[]"))
	if object.CheckHost(text) != nil {
		return ""
	}
	return text
}

// trueFirst orders two things of which those that have a property come first.
func trueFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// providerAdvantage says why a precedes b.
func (t *translation) providerAdvantage(a, b *v1beta1.LLMProvider) string {
	switch {
	case t.workload.IsHome(a.Namespace) && !t.workload.IsHome(b.Namespace):
		return "is in the workload's own namespace or the root namespace, and this one is not"
	case hasSelector(a) && !hasSelector(b):
		return "has a workloadSelector, and this one has none"
	}
	return object.Advantage(a, b)
}

// ruleConfigs are the provider's settings for rules, by their names.
func ruleConfigs(p *v1beta1.LLMProvider) map[string]v1beta1.ProviderConfig {
	if p.Spec.Configs == nil {
		return nil
	}
	return p.Spec.Configs.RouteSpecificConfigs
}

func hasSelector(p *v1beta1.LLMProvider) bool {
	return p.Spec.WorkloadSelector != nil && len(p.Spec.WorkloadSelector.Labels) > 0
}

// applies reports whether the provider is meant for the workload. A selector selects
// workloads of the object's own namespace, as Istio has it: who may create objects in
// a namespace must not get the prompts of another's workloads. One whose selector
// cannot be read is for the workload: it is refused and keeps its host, so that no
// request for it goes out in plain text.
func (t *translation) applies(item *object.Item[v1beta1.LLMProvider]) bool {
	p := &item.Object
	switch {
	case !t.workload.Known:
		return true
	case slices.ContainsFunc(item.Faults, func(f object.Fault) bool { return object.IsWithin(f, "spec.workloadSelector") }):
		return t.workload.MaySelect(p.Namespace)
	case hasSelector(p):
		return t.workload.MaySelect(p.Namespace) && object.HasLabels(t.workload.Identity.Labels, p.Spec.WorkloadSelector.Labels)
	}
	return t.workload.IsHome(p.Namespace)
}

// elsewhereBecause says why a provider does not apply to the workload.
func (t *translation) elsewhereBecause(p *v1beta1.LLMProvider) string {
	name := "LLMProvider " + object.ShownKey(p) + " has it, but "
	switch {
	case !hasSelector(p):
		return name + "it has no workloadSelector and is not in the workload's namespace or the root namespace, so it is for other workloads"
	case !t.workload.MaySelect(p.Namespace) && object.HasLabels(t.workload.Identity.Labels, p.Spec.WorkloadSelector.Labels):
		return name + "its workloadSelector selects workloads of its own namespace only; create it in the workload's namespace or the root namespace, or name its namespace in the source's option selectors_from"
	}
	return name + "its workloadSelector is for other workloads"
}

// settingsApply reports whether the settings that a provider has for rules of a name
// hold for the rules of a route in a namespace: a route of another tenant does not get them
// by the name alone.
func (t *translation) settingsApply(p *v1beta1.LLMProvider, namespace string) bool {
	return namespace == p.Namespace || namespace == t.workload.RootNamespace
}

// foreignSettings says what becomes of a rule at a path whose name is one that a provider has
// settings for, which do not apply to it.
func foreignSettings(path string, p *v1beta1.LLMProvider) *object.Fault {
	return object.Warningf(object.ReasonForeignSettings, "%s.name: LLMProvider %s has settings for rules of this name, which hold for routes of its own namespace and the root namespace, so that its default ones are used; create the route there, or rename the rule",
		path, object.ShownKey(p))
}

// translateProviders sets up the providers that own a host.
func (t *translation) translateProviders() {
	for _, host := range t.hosts {
		owner := t.owners[host]
		built := t.builtProvider(owner.item)
		t.report(object.OriginOf(object.KindLLMProvider, owner.item), built.faults)
		if owner.unusable = object.Refusal(built.faults); owner.unusable == "" {
			t.state.Providers = append(t.state.Providers, built.spec)
		}
		if strings.HasPrefix(host, " ") {
			delete(t.owners, host)
		}
	}
	for _, key := range sortedKeys(t.pools) {
		if owner := t.pools[key].owner; owner != nil {
			built := t.builtProvider(owner.item)
			t.report(object.OriginOf(object.KindLLMProvider, owner.item), built.faults)
			owner.unusable = object.Refusal(built.faults)
		}
	}
}

// sortedKeys are the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

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
		route := &spec.Route{Hosts: []string{host}, Origin: object.OriginOf(object.KindLLMProvider, owner.item).Stable(), Unusable: owner.unusable}
		if owner.unusable == "" {
			route.Rules = []*spec.Rule{{Object: objectOf(object.KindLLMProvider, &owner.item.Object), Backends: []*spec.Backend{{Provider: object.Key(&owner.item.Object)}}}}
		}
		t.state.Tables[MeshTable] = append(t.state.Tables[MeshTable], route)
	}
}
