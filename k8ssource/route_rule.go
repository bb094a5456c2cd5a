package k8ssource

import (
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/header"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// builtMatch is one entry of a rule's matches.
type builtMatch struct {
	// matcher is nil if the entry matches everything.
	matcher caddy.ModuleMap
	// tables are those that the entry is for, if it names any itself.
	tables []string
	// workload reports whether the source labels are the workload's.
	workload bool
}

// appliesIn reports whether the entry is for a table. top reports whether the route
// itself is.
func (m *builtMatch) appliesIn(table string, top bool) bool {
	if m.tables != nil {
		return slices.Contains(m.tables, table)
	}
	return top && m.workload
}

func (b *routeBuilder) rule(i int, rule *v1beta1.LLMRouteRule) {
	path := fmt.Sprintf("spec.rules[%d]", i)
	built := builtRule{rule: &spec.Rule{Object: objectOf(object.KindLLMRoute, b.object), Name: rule.Name, Backends: b.backends(path, rule.BackendRefs), Attempts: int(rule.Attempts)}}
	attached := b.t.policies.OfRule(b.object, rule.Name)
	built.rule.Guards, built.rule.Prompts, built.rule.Cache = attached.Guards, attached.Prompts, attached.Cache
	if rule.Attempts < 0 {
		b.fault(object.ReasonInvalidField, "%s.attempts: this is negative; write how many backends may be tried", path)
	}
	if len(rule.RetryOn) > object.MaxRetryOn {
		b.fault(object.ReasonInvalidField, "%s.retryOn: "+object.TooMany, path, object.MaxRetryOn)
	}
	for j, status := range rule.RetryOn {
		if status < 400 || status > 599 {
			b.fault(object.ReasonInvalidField, "%s.retryOn[%d]: this is not an error status; write a number from 400 to 599", path, j)
		}
		built.rule.RetryOn = append(built.rule.RetryOn, int(status))
	}
	if built.rule.Translation = rule.Translation; rule.Translation != "" && rule.Translation != spec.TranslationStrict {
		b.fault(object.ReasonInvalidField, "%s.translation: this is unknown; write strict, or leave it out", path)
	}
	if len(rule.Matches) > object.MaxMatches {
		b.fault(object.ReasonInvalidMatch, "%s.matches: "+object.TooMany, path, object.MaxMatches)
	}
	for j := range rule.Matches {
		built.matches = append(built.matches, b.match(fmt.Sprintf("%s.matches[%d]", path, j), &rule.Matches[j]))
	}
	b.settings(path, rule, built.rule.Backends)
	b.rules = append(b.rules, built)
}

// settings leaves the providers' settings for rules of this name to the rules that
// they are meant for.
func (b *routeBuilder) settings(path string, rule *v1beta1.LLMRouteRule, backends []*spec.Backend) {
	for i, backend := range backends {
		owner := b.ownerOf(&rule.BackendRefs[i])
		if backend.Provider == "" || owner == nil {
			continue
		}
		p := &owner.item.Object
		if _, has := ruleConfigs(p)[rule.Name]; !has || b.t.settingsApply(p, b.object.Namespace) {
			continue
		}
		backend.DefaultSettings = true
		b.faults = append(b.faults, *foreignSettings(path, p))
	}
}

func (b *routeBuilder) match(path string, match *v1beta1.LLMRouteMatch) builtMatch {
	out := builtMatch{matcher: b.headers(path+".headers", match.Headers), workload: object.HasLabels(b.t.workload.Identity.Labels, match.SourceLabels)}
	switch {
	case len(match.Gateways) > 0:
		b.checkGateways(path+".gateways", match.Gateways)
		out.tables = b.gateways(match.Gateways)
	case len(match.SourceLabels) > 0 && !b.t.workload.Known:
		b.warn(object.ReasonUnknownIdentity, "%s.sourceLabels: not compared, because the labels of the workload are not known; give the source the option labels", path)
		out.workload = true
	}
	return out
}

// headers makes the matcher for an entry's headers.
func (b *routeBuilder) headers(path string, headers map[string]v1beta1.StringMatch) caddy.ModuleMap {
	m := header.New(path, headers)
	b.matched = append(b.matched, m.Matched...)
	b.faults = append(b.faults, m.Faults...)
	return m.Matcher
}

// backends looks up where a rule sends requests.
func (b *routeBuilder) backends(path string, refs []v1beta1.LLMBackendRef) []*spec.Backend {
	switch {
	case len(refs) == 0:
		b.fault(object.ReasonInvalidBackend, "%s.backendRefs: there are none; write at least one with a providerHost", path)
	case len(refs) > object.MaxBackends:
		b.fault(object.ReasonInvalidBackend, "%s.backendRefs: "+object.TooMany, path, object.MaxBackends)
	}
	out := make([]*spec.Backend, 0, len(refs))
	for i := range refs {
		out = append(out, b.backend(fmt.Sprintf("%s.backendRefs[%d]", path, i), &refs[i]))
	}
	b.weights(path, refs, out)
	return out
}

// weights checks the weights and fills them in: of several backends those
// without one have none if others have one.
func (b *routeBuilder) weights(path string, refs []v1beta1.LLMBackendRef, backends []*spec.Backend) {
	set, sum, wrong := false, int64(0), false
	for i := range refs {
		w := refs[i].Weight
		if w == nil {
			continue
		}
		set = true
		sum += int64(*w)
		switch {
		case *w < 0:
			wrong = true
			b.fault(object.ReasonInvalidWeights, "%s.backendRefs[%d].weight: this is negative; write 0 or more", path, i)
		case *w > object.MaxWeight:
			wrong = true
			b.fault(object.ReasonInvalidWeights, "%s.backendRefs[%d].weight: this is too large; write at most %d", path, i, object.MaxWeight)
		}
	}
	if !set || wrong || len(refs) == 1 {
		return // equal shares, or everything
	}
	if sum == 0 {
		b.fault(object.ReasonInvalidWeights, "%s.backendRefs: the weights add up to 0, so no backend would ever be used; give at least one of them a weight above 0, or none of them any for equal shares", path)
	}
	for i := range refs {
		weight := 0
		if refs[i].Weight != nil {
			weight = int(*refs[i].Weight)
		}
		backends[i].Weight = &weight
	}
}

func (b *routeBuilder) backend(path string, ref *v1beta1.LLMBackendRef) *spec.Backend {
	out := &spec.Backend{Priority: int(ref.Priority), Model: ref.Model}
	switch {
	case len(ref.Model) > object.MaxModel:
		b.fault(object.ReasonInvalidBackend, "%s.model: "+object.TooLong, path, object.MaxModel)
	case ref.Priority < 0:
		b.fault(object.ReasonInvalidBackend, "%s.priority: this is negative; write 0 for the first choice and higher numbers for standbys", path)
	case ref.ProviderHost != "" && ref.BackendRef != nil:
		b.fault(object.ReasonInvalidBackend, "%s: providerHost and backendRef are both set; keep one of them", path)
	case ref.BackendRef != nil && isPool(ref.BackendRef):
		b.lookUpPool(path+".backendRef", ref.BackendRef, out)
	case ref.BackendRef != nil:
		out.Unusable = object.ReasonUnsupportedBackend
		b.warn(object.ReasonUnsupportedBackend, "%s.backendRef: %s is not supported yet, and requests for it are answered with 503; write an InferencePool of the group "+object.PoolGroup+", or a providerHost", path, kindOfBackend(ref.BackendRef))
	case ref.ProviderHost == "":
		b.fault(object.ReasonInvalidBackend, "%s: there is no providerHost; write the host of an LLMProvider", path)
	default:
		b.lookUp(path+".providerHost", object.CanonicalHost(ref.ProviderHost), out)
	}
	return out
}

// lookUp finds the provider of a host among those that apply to the workload.
func (b *routeBuilder) lookUp(path, host string, out *spec.Backend) {
	owner := b.t.owners[host]
	switch {
	case owner == nil:
		out.Unusable = object.ReasonProviderNotFound
		b.warn(object.ReasonProviderNotFound, "%s: no LLMProvider for this workload has this host, and requests for it are answered with 503; %s", path, b.t.elsewhere(host))
	case owner.unusable != "":
		out.Unusable = owner.unusable
		b.warn(object.ReasonProviderRefused, "%s: LLMProvider %s is not used (%s), and requests for it are answered with 503; correct it", path, object.ShownKey(&owner.item.Object), owner.unusable)
	default:
		out.Provider = object.Key(&owner.item.Object)
	}
}

// elsewhere says what to do about a host without a provider.
func (t *translation) elsewhere(host string) string {
	if because := t.others[host]; because != "" {
		return because
	}
	return "create one, or correct the host"
}

func kindOfBackend(r *v1beta1.ObjectRef) string {
	if r.Kind == "" {
		return "an object of another kind"
	}
	return object.ShownName(r.Kind)
}
