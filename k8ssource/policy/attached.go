package policy

import (
	"reflect"
	"slices"

	"github.com/caddy-llm/gateway/k8ssource/api/v1alpha1"
	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/cache"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// Target is what policies are attached to: an object, by its kind, namespace and name, or a
// rule of an LLMRoute.
type Target struct{ Kind, Key, Rule string }

// Attached is what policies attach to one target, as rules have it.
type Attached struct {
	Guards, Prompts []string // their names
	Cache           *cache.Rule
}

// Attachments are what policies attach, by what it is attached to.
type Attachments map[Target]Attached

// add appends names that are not there yet. A cache that is there stays.
func (a *Attached) add(other Attached) {
	if a.Cache == nil {
		a.Cache = other.Cache
	}
	for _, to := range []struct{ list, more *[]string }{{&a.Guards, &other.Guards}, {&a.Prompts, &other.Prompts}} {
		for _, name := range *to.more {
			if !slices.Contains(*to.list, name) {
				*to.list = append(slices.Clip(*to.list), name)
			}
		}
	}
}

// Equal reports whether both attach the same.
func (a Attached) Equal(other Attached) bool {
	return slices.Equal(a.Guards, other.Guards) && slices.Equal(a.Prompts, other.Prompts) && reflect.DeepEqual(a.Cache, other.Cache)
}

// Attach adds what a policy attaches to its targets, and reports those that have a cache of
// another policy, which they keep.
func (m Attachments) Attach(p *v1alpha1.LLMPolicy, what Attached) (faults []object.Fault) {
	for i, at := range Targets(p) {
		to := m[at]
		if to.Cache != nil && what.Cache != nil && to.Cache.Policy != what.Cache.Policy {
			faults = append(faults, *object.Warningf(object.ReasonConflict, "spec.cache: not used for %s, since LLMPolicy %s has a cache for the same; take it out of one of them", object.TargetPath(i), object.ShownName(to.Cache.Policy)))
		}
		to.add(what)
		m[at] = to
	}
	return faults
}

// OfRule is what policies attach to an LLMRoute and to its rule.
func (m Attachments) OfRule(route *v1beta1.LLMRoute, rule string) (out Attached) {
	out.add(m[Target{Kind: object.KindLLMRoute, Key: object.Key(route)}])
	if rule != "" {
		of := m[Target{object.KindLLMRoute, object.Key(route), rule}]
		out.add(of)
		if of.Cache != nil {
			out.Cache = of.Cache
		}
	}
	return out
}

// ThroughGateways returns the rules with what policies attach to the Gateways that requests
// for them come in by, before what is attached to the rules. Those with a handler have no
// LLM requests, which is what policies are for. A cache of a rule goes before that of a Gateway.
func (m Attachments) ThroughGateways(rules []*spec.Rule, gateways []string) []*spec.Rule {
	var names Attached
	for _, key := range gateways {
		names.add(m[Target{Kind: object.KindGateway, Key: key}])
	}
	if names.Equal(Attached{}) {
		return rules
	}
	out := make([]*spec.Rule, len(rules))
	for i, r := range rules {
		if len(r.HandlerRaw) > 0 {
			out[i] = r
			continue
		}
		rule, all := *r, names
		all.add(Attached{Guards: r.Guards, Prompts: r.Prompts})
		rule.Guards, rule.Prompts = all.Guards, all.Prompts
		if rule.Cache == nil {
			rule.Cache = all.Cache
		}
		out[i] = &rule
	}
	return out
}

// ToProviders gives the providers of a state what policies attach to their LLMProviders.
func (m Attachments) ToProviders(state *spec.State) {
	for i, spec := range state.Providers {
		names := m[Target{Kind: object.KindLLMProvider, Key: spec.Name}]
		if len(names.Guards)+len(names.Prompts) > 0 {
			with := *spec
			with.Guards, with.Prompts = names.Guards, names.Prompts
			state.Providers[i] = &with
		}
	}
}
