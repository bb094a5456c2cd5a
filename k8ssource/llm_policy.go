package k8ssource

import (
	"maps"
	"reflect"
	"slices"

	"github.com/caddy-llm/gateway/k8ssource/api/v1alpha1"
	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute"
	"github.com/caddy-llm/gateway/llmroute/cache"
	"github.com/caddy-llm/gateway/llmroute/guard"
	"github.com/caddy-llm/gateway/llmroute/prompt"
)

// attachment is what policies are attached to: an object, or a rule of one.
type attachment struct{ kind, key, rule string }

// attached is what policies attach, as rules have it.
type attached struct {
	guards, prompts []string
	cache           *cache.Rule
}

// add appends names that are not there yet. A cache that is there stays.
func (a *attached) add(other attached) {
	if a.cache == nil {
		a.cache = other.cache
	}
	for _, to := range []struct{ list, more *[]string }{{&a.guards, &other.guards}, {&a.prompts, &other.prompts}} {
		for _, name := range *to.more {
			if !slices.Contains(*to.list, name) {
				*to.list = append(slices.Clip(*to.list), name)
			}
		}
	}
}

func (a attached) equal(other attached) bool {
	return slices.Equal(a.guards, other.guards) && slices.Equal(a.prompts, other.prompts) && reflect.DeepEqual(a.cache, other.cache)
}

// builtLLMPolicy is what was made of an LLMPolicy, wherever it is attached.
type builtLLMPolicy struct {
	names  attached
	guards map[string]*guard.Definition
	prompt *prompt.Definition
	faults []object.Fault
	// secrets are the Secrets that were looked for, nil where there was none, and providers
	// is what providerSays of those that were.
	secrets   map[string]*object.Item[object.Secret]
	providers map[string]string
}

// llmPolicies are the policies of a translation.
type llmPolicies map[attachment]attached

// readLLMPolicies attaches what the policies say to what they are for. One that cannot be
// used is attached under its own name, which has no definition: what it is for is refused.
func (t *translation) readLLMPolicies(items []*object.Item[v1alpha1.LLMPolicy]) {
	t.policies = make(llmPolicies)
	t.after.llmPolicies = make(map[*object.Item[v1alpha1.LLMPolicy]]*builtLLMPolicy, len(items))
	for _, item := range slices.SortedFunc(slices.Values(items), func(a, b *object.Item[v1alpha1.LLMPolicy]) int { return object.Compare(&a.Object, &b.Object) }) {
		o := object.OriginOf(object.KindLLMPolicy, item)
		faults, missing := item.Faults, t.missingTargets(&item.Object)
		if !t.policyApplies(&item.Object) {
			if len(faults) == 0 {
				faults = checkTargets(item.Object.Spec.TargetRefs)
			}
			t.report(o, append(slices.Clip(faults), missing...))
			continue
		}
		built := t.builtLLMPolicy(item)
		if len(faults) == 0 {
			// What does not fit its type is missing, and not wrong again.
			faults = built.faults
		}
		names := built.names
		if object.Refusal(faults) != "" {
			names = attached{guards: []string{object.Key(&item.Object)}}
		} else {
			t.define(built, object.Key(&item.Object))
		}
		faults = append(slices.Clip(faults), missing...)
		for i, at := range attachments(&item.Object) {
			to := t.policies[at]
			if to.cache != nil && names.cache != nil && to.cache.Policy != names.cache.Policy {
				faults = append(faults, *object.Warningf(object.ReasonConflict, "spec.cache: not used for %s, since LLMPolicy %s has a cache for the same; take it out of one of them", object.TargetPath(i), object.ShownName(to.cache.Policy)))
			}
			to.add(names)
			t.policies[at] = to
		}
		t.report(o, faults)
	}
}

// define adds what a policy says to the state.
func (t *translation) define(built *builtLLMPolicy, key string) {
	if t.state.Guards == nil {
		t.state.Guards, t.state.Prompts = make(map[string]*guard.Definition), make(map[string]*prompt.Definition)
	}
	maps.Copy(t.state.Guards, built.guards)
	if built.prompt != nil {
		t.state.Prompts[key] = built.prompt
	}
}

// attachments are what a policy is for, as far as it can be read.
func attachments(p *v1alpha1.LLMPolicy) (out []attachment) {
	for i := range p.Spec.TargetRefs {
		ref := &p.Spec.TargetRefs[i]
		if kind := targetKind(ref.Kind); kind != "" && ref.Name != "" {
			out = append(out, attachment{kind, p.Namespace + "/" + ref.Name, ref.SectionName})
		}
	}
	return out
}

// targetKind is the kind that a policy can be for which a kind is, or is most likely meant
// to be, or empty.
func targetKind(kind string) string {
	return object.MeantKind(kind, []string{object.KindLLMRoute, object.KindLLMProvider, object.KindGateway})
}

// checkTargets reports references that are none.
func checkTargets(refs []v1alpha1.PolicyTargetRef) (faults []object.Fault) {
	fault := func(format string, args ...any) {
		faults = append(faults, *object.Faultf(object.ReasonInvalidField, format, args...))
	}
	switch {
	case len(refs) == 0:
		fault("spec.targetRefs: there are none, so the policy is for no requests; write at least one LLMRoute, LLMProvider or Gateway of the object's namespace")
	case len(refs) > object.MaxTargetRefs:
		fault("spec.targetRefs: "+object.TooMany, object.MaxTargetRefs)
	}
	for i := range refs {
		faults = append(faults, object.CheckTarget(i, &refs[i].TargetRef)...)
		if kind := refs[i].Kind; refs[i].SectionName != "" && kind != object.KindLLMRoute && object.IsTargetKind(kind) {
			fault("%s.sectionName: only an LLMRoute has sections, which are its rules; leave it out", object.TargetPath(i))
		}
	}
	return faults
}

// missingTargets reports what a policy is for and is not there.
func (t *translation) missingTargets(p *v1alpha1.LLMPolicy) (faults []object.Fault) {
	for i := range p.Spec.TargetRefs {
		ref := &p.Spec.TargetRefs[i]
		if targetKind(ref.Kind) != ref.Kind || !object.IsName(ref.Name) {
			continue // reported elsewhere
		}
		var f *object.Fault
		if !t.hasTarget(ref.Kind, p.Namespace+"/"+ref.Name) {
			f = object.MissingTarget(i, p.Namespace, &ref.TargetRef)
		} else if ref.Kind == object.KindLLMRoute && ref.SectionName != "" && !t.hasRule(p.Namespace+"/"+ref.Name, ref.SectionName) {
			f = object.Warningf(object.ReasonTargetNotFound, "%s.sectionName: the LLMRoute has no rule of that name; name one that it has", object.TargetPath(i))
		}
		if f != nil {
			faults = append(faults, *f)
		}
	}
	return faults
}

// hasRule reports whether an LLMRoute has a rule of the name.
func (t *translation) hasRule(key, name string) bool {
	return slices.ContainsFunc(t.objects.Routes, func(item *object.Item[v1beta1.LLMRoute]) bool {
		return object.Key(&item.Object) == key && slices.ContainsFunc(item.Object.Spec.Rules, func(r v1beta1.LLMRouteRule) bool { return r.Name == name })
	})
}

// policyApplies reports whether something that a policy is for is for the workload.
func (t *translation) policyApplies(p *v1alpha1.LLMPolicy) bool {
	return slices.ContainsFunc(attachments(p), func(at attachment) bool {
		switch at.kind {
		case object.KindLLMRoute:
			return slices.ContainsFunc(t.objects.Routes, func(item *object.Item[v1beta1.LLMRoute]) bool {
				return object.Key(&item.Object) == at.key && slices.ContainsFunc(t.tablesOf(&item.Object), t.serves)
			})
		case object.KindLLMProvider:
			return slices.ContainsFunc(t.objects.Providers, func(item *object.Item[v1beta1.LLMProvider]) bool {
				return object.Key(&item.Object) == at.key && t.applies(item)
			})
		}
		if g := t.gateways[at.key]; g != nil {
			return t.selects(&g.Object)
		}
		return t.api.items[at.key] != nil || t.options.MeshListen == "" // a site may serve the table of one that is not there
	})
}

// builtLLMPolicy returns what was made of the policy, now or the last time.
func (t *translation) builtLLMPolicy(item *object.Item[v1alpha1.LLMPolicy]) *builtLLMPolicy {
	built := t.before.llmPolicies[item]
	if built == nil || !t.sameSecrets(built.secrets) || !t.sameProviders(built.providers) {
		b := &llmPolicyBuilder{t: t, object: &item.Object, out: &builtLLMPolicy{
			guards: make(map[string]*guard.Definition), secrets: make(map[string]*object.Item[object.Secret]), providers: make(map[string]string),
		}}
		b.build()
		built = b.out
	}
	t.after.llmPolicies[item] = built
	return built
}

func (t *translation) sameProviders(providers map[string]string) bool {
	for key, state := range providers {
		if t.providerSays(key) != state {
			return false
		}
	}
	return true
}

// providerState says why the LLMProvider of that key is not used, empty if it is.
func (t *translation) providerState(key string) string {
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

// policiesOf are the names of what policies attach to an LLMRoute and to its rule.
func (t *translation) policiesOf(route *v1beta1.LLMRoute, rule string) (out attached) {
	out.add(t.policies[attachment{kind: object.KindLLMRoute, key: object.Key(route)}])
	if rule != "" {
		of := t.policies[attachment{object.KindLLMRoute, object.Key(route), rule}]
		out.add(of)
		if of.cache != nil {
			out.cache = of.cache
		}
	}
	return out
}

// throughGateways returns the rules with what policies attach to the Gateways that requests
// for them come in by, before what is attached to the rules. Those with a handler have no
// LLM requests, which is what policies are for. A cache of a rule goes before that of a Gateway.
func (t *translation) throughGateways(rules []*llmroute.Rule, gateways []string) []*llmroute.Rule {
	var names attached
	for _, key := range gateways {
		names.add(t.policies[attachment{kind: object.KindGateway, key: key}])
	}
	if names.equal(attached{}) {
		return rules
	}
	out := make([]*llmroute.Rule, len(rules))
	for i, r := range rules {
		if len(r.HandlerRaw) > 0 {
			out[i] = r
			continue
		}
		rule, all := *r, names
		all.add(attached{guards: r.Guards, prompts: r.Prompts})
		rule.Guards, rule.Prompts = all.guards, all.prompts
		if rule.Cache == nil {
			rule.Cache = all.cache
		}
		out[i] = &rule
	}
	return out
}

// toProviders attaches what policies say of providers.
func (t *translation) toProviders() {
	for i, spec := range t.state.Providers {
		names := t.policies[attachment{kind: object.KindLLMProvider, key: spec.Name}]
		if len(names.guards)+len(names.prompts) > 0 {
			with := *spec
			with.Guards, with.Prompts = names.guards, names.prompts
			t.state.Providers[i] = &with
		}
	}
}
