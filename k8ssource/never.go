package k8ssource

import (
	"fmt"
	"maps"
	"slices"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/header"
	"github.com/caddy-llm/gateway/k8ssource/object"
)

// maxCompared is the most entries of matches that are compared with one another.
const maxCompared = 2048

// everything is the entry of a rule without any.
var everything = []v1beta1.LLMRouteMatch{{}}

// neverReached reports the rules that no request can reach, and names that are there
// twice.
func (b *routeBuilder) neverReached() {
	rules, names, entries := b.object.Spec.Rules, make(map[string]int), 0
	for j := range rules {
		entries += max(1, len(rules[j].Matches))
		if first, twice := names[rules[j].Name]; twice && rules[j].Name != "" {
			b.warn(object.ReasonDuplicateName, "spec.rules[%d].name: spec.rules[%d] has this name too, and neither providers' settings nor logs and metrics tell them apart; rename one of them", j, first)
		} else {
			names[rules[j].Name] = j
		}
	}
	if entries > maxCompared {
		return
	}
	for j := 1; j < len(rules); j++ {
		by := -1
		for _, m := range matchesOf(&rules[j]) {
			i := slices.IndexFunc(rules[:j], func(r v1beta1.LLMRouteRule) bool {
				return slices.ContainsFunc(matchesOf(&r), func(wide v1beta1.LLMRouteMatch) bool { return b.wider(&wide, &m) })
			})
			if by = max(by, i); i < 0 {
				by = -1
				break
			}
		}
		if by >= 0 {
			b.warn(object.ReasonNeverReached, "spec.rules[%d]: no request reaches this rule, because spec.rules[%d] or one before it matches all that this one matches; move it up, or take it out", j, by)
		}
	}
}

func matchesOf(rule *v1beta1.LLMRouteRule) []v1beta1.LLMRouteMatch {
	if len(rule.Matches) == 0 {
		return everything
	}
	return rule.Matches
}

// wider reports whether an entry surely matches all that another one matches.
func (b *routeBuilder) wider(wide, narrow *v1beta1.LLMRouteMatch) bool {
	// Where gateways are named, labels are not used.
	if len(wide.Gateways) == 0 && len(narrow.Gateways) == 0 {
		if !object.HasLabels(narrow.SourceLabels, wide.SourceLabels) {
			return false
		}
	} else {
		if len(wide.Gateways) == 0 && len(wide.SourceLabels) > 0 {
			return false
		}
		in := b.placesOf(wide)
		for _, table := range b.placesOf(narrow) {
			if !slices.Contains(in, table) {
				return false
			}
		}
	}
	return header.Wider(wide.Headers, narrow.Headers)
}

func (b *routeBuilder) placesOf(m *v1beta1.LLMRouteMatch) []string {
	if len(m.Gateways) > 0 {
		return b.gateways(m.Gateways)
	}
	return b.gateways(b.object.Spec.Gateways)
}

// reportUnusedSettings reports providers' settings for rules that nobody has. Without
// any LLMRoute they are for ones that are elsewhere.
func (t *translation) reportUnusedSettings() {
	if len(t.objects.Routes) == 0 {
		return
	}
	names := make(map[string]map[string]bool) // of rules, by the hosts that they send requests to
	add := func(host, name string) {
		if host = object.CanonicalHost(host); names[host] == nil {
			names[host] = make(map[string]bool)
		}
		names[host][name] = true
	}
	for _, item := range t.objects.Routes {
		for i := range item.Object.Spec.Rules {
			rule := &item.Object.Spec.Rules[i]
			for _, ref := range rule.BackendRefs {
				add(ref.ProviderHost, rule.Name)
			}
		}
	}
	for _, r := range t.api.Attached.Routes {
		for i := range r.Spec.Rules {
			rule := &r.Spec.Rules[i]
			for j := range rule.BackendRefs {
				if owner := t.httpRef(r.HTTPRoute, "", &rule.BackendRefs[j], 0).owner(); owner != nil {
					add(string(owner.Spec.Host), rule.Name)
				}
			}
		}
	}
	for _, host := range t.hosts {
		owner := t.owners[host]
		if owner == nil || owner.unusable != "" {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(ruleConfigs(&owner.item.Object))) {
			if !names[host][name] {
				t.report(object.OriginOf(object.KindLLMProvider, owner.item), []object.Fault{{Reason: object.ReasonUnusedSettings, Used: true, Message: fmt.Sprintf(
					"spec.configs.routeSpecificConfigs[%s]: no LLMRoute has a rule of this name that sends requests to this provider, so these settings are never used; name a rule so, or take them out", object.ShownName(name))}})
			}
		}
	}
}
