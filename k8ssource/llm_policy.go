package k8ssource

import (
	"maps"
	"slices"

	"github.com/caddy-llm/gateway/k8ssource/api/v1alpha1"
	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/k8ssource/policy"
	"github.com/caddy-llm/gateway/llmprovider/kind"
	"github.com/caddy-llm/gateway/llmroute/guard"
	"github.com/caddy-llm/gateway/llmroute/prompt"
)

// readLLMPolicies attaches what the policies say to what they are for. One that cannot be
// used is attached under its own name, which has no definition: what it is for is refused.
func (t *translation) readLLMPolicies(items []*object.Item[v1alpha1.LLMPolicy]) {
	t.policies = make(policy.Attachments)
	t.after.llmPolicies = make(map[*object.Item[v1alpha1.LLMPolicy]]*policy.Built, len(items))
	for _, item := range slices.SortedFunc(slices.Values(items), func(a, b *object.Item[v1alpha1.LLMPolicy]) int { return object.Compare(&a.Object, &b.Object) }) {
		o := object.OriginOf(object.KindLLMPolicy, item)
		faults, missing := item.Faults, policy.MissingTargets(&item.Object, t.hasTarget, t.hasRule)
		if !t.policyApplies(&item.Object) {
			if len(faults) == 0 {
				faults = policy.CheckTargets(item.Object.Spec.TargetRefs)
			}
			t.report(o, append(slices.Clip(faults), missing...))
			continue
		}
		built := t.builtLLMPolicy(item)
		if len(faults) == 0 {
			// What does not fit its type is missing, and not wrong again.
			faults = built.Faults
		}
		what := built.Attached
		if object.Refusal(faults) != "" {
			what = policy.Attached{Guards: []string{object.Key(&item.Object)}}
		} else {
			t.define(built, object.Key(&item.Object))
		}
		faults = append(slices.Clip(faults), missing...)
		faults = append(faults, t.policies.Attach(&item.Object, what)...)
		t.report(o, faults)
	}
}

// define adds what a policy says to the state.
func (t *translation) define(built *policy.Built, key string) {
	if t.state.Guards == nil {
		t.state.Guards, t.state.Prompts = make(map[string]*guard.Definition), make(map[string]*prompt.Definition)
	}
	maps.Copy(t.state.Guards, built.Guards)
	if built.Prompt != nil {
		t.state.Prompts[key] = built.Prompt
	}
}

// policyApplies reports whether something that a policy is for is for the workload.
func (t *translation) policyApplies(p *v1alpha1.LLMPolicy) bool {
	return slices.ContainsFunc(policy.Targets(p), func(at policy.Target) bool {
		switch at.Kind {
		case object.KindLLMRoute:
			return slices.ContainsFunc(t.objects.Routes, func(item *object.Item[v1beta1.LLMRoute]) bool {
				return object.Key(&item.Object) == at.Key && slices.ContainsFunc(t.tablesOf(&item.Object), t.serves)
			})
		case object.KindLLMProvider:
			return slices.ContainsFunc(t.objects.Providers, func(item *object.Item[v1beta1.LLMProvider]) bool {
				return object.Key(&item.Object) == at.Key && t.applies(item)
			})
		}
		if g := t.gateways[at.Key]; g != nil {
			return t.selects(&g.Object)
		}
		return t.api.items[at.Key] != nil || t.options.MeshListen == "" // a site may serve the table of one that is not there
	})
}

// builtLLMPolicy returns what was made of the policy, now or the last time.
func (t *translation) builtLLMPolicy(item *object.Item[v1alpha1.LLMPolicy]) *policy.Built {
	built := t.before.llmPolicies[item]
	if built == nil || !t.sameSecrets(built.Secrets) || !t.sameProviders(built.Providers) {
		built = policy.Build(&item.Object, &policy.Input{Secrets: t.secrets, Provider: t.providerState, AllowAnyHost: t.options.AllowAnyHost})
	}
	t.after.llmPolicies[item] = built
	return built
}

func (t *translation) sameProviders(providers map[string]policy.Provider) bool {
	for key, state := range providers {
		if t.providerState(key) != state {
			return false
		}
	}
	return true
}

// providerState is what policies depend on of the LLMProvider of a namespace and name.
func (t *translation) providerState(key string) policy.Provider {
	return policy.Provider{Unusable: t.providerUnusable(key), NamesModel: t.namesModel(key)}
}

// providerUnusable says why an LLMProvider is not used, empty if it is.
func (t *translation) providerUnusable(key string) string {
	if owner := t.owned[key]; owner != nil {
		return owner.unusable
	}
	for _, p := range t.pools {
		if p.owner != nil && object.Key(&p.owner.item.Object) == key {
			if p.unusable != "" {
				return p.unusable
			}
			return p.owner.unusable
		}
	}
	return object.ReasonProviderNotFound
}

// namesModel reports whether the default settings of an LLMProvider name a model.
func (t *translation) namesModel(key string) bool {
	for _, spec := range t.state.Providers {
		if spec.Name == key {
			base, ok := kind.BaseOf(spec.Provider)
			return !ok || base.Config.Model != nil && *base.Config.Model != ""
		}
	}
	return true // one of a pool, which is added later
}
