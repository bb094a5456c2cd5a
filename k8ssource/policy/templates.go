package policy

import (
	"maps"
	"slices"

	"github.com/caddy-llm/gateway/k8ssource/api/v1alpha1"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/prompt"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// template is a template of an LLMPolicy.
type template struct{ policy, name string }

// ReportTemplates reports templates of policies that are not used, since another policy for the
// same requests has one of that name. The state has its providers and routes, with what policies
// attach to them.
func ReportTemplates(items []*object.Item[v1alpha1.LLMPolicy], state *spec.State, findings *object.Findings) {
	if len(state.Prompts) < 2 {
		return
	}
	ofProviders := make(map[string][]string)
	for _, spec := range state.Providers {
		ofProviders[spec.Name] = spec.Prompts
	}
	replaced := make(map[template]string)
	for _, routes := range state.Tables {
		for _, route := range routes {
			for _, rule := range route.Rules {
				policies := slices.Clone(rule.Prompts)
				for _, b := range rule.Backends {
					policies = append(policies, ofProviders[b.Provider]...)
				}
				findReplaced(state.Prompts, policies, replaced)
			}
		}
	}
	if len(replaced) == 0 {
		return
	}
	for _, item := range items {
		var faults []object.Fault
		key := object.Key(&item.Object)
		for _, name := range slices.Sorted(maps.Keys(templatesOf(&item.Object))) {
			if by := replaced[template{key, name}]; by != "" {
				faults = append(faults, *object.Warningf(object.ReasonConflict, "spec.prompt.templates[%s]: LLMPolicy %s has a template of this name for some of the same requests, and that one is used; give one of them another name", object.ShownName(name), object.ShownName(by)))
			}
		}
		findings.Report(object.OriginOf(object.KindLLMPolicy, item), faults)
	}
}

// findReplaced adds the templates that are not used where prompts are added in this order:
// the later one of two is.
func findReplaced(prompts map[string]*prompt.Definition, policies []string, replaced map[template]string) {
	used := make(map[string]string)
	for i, policy := range policies {
		p := prompts[policy]
		if p == nil || slices.Contains(policies[:i], policy) {
			continue
		}
		for name := range p.Templates {
			at := template{used[name], name}
			if last := replaced[at]; at.policy != "" && (last == "" || policy < last) {
				replaced[at] = policy
			}
			used[name] = policy
		}
	}
}

// templatesOf are the templates of a policy, by their names.
func templatesOf(p *v1alpha1.LLMPolicy) map[string]v1alpha1.PromptTemplate {
	if p.Spec.Prompt == nil {
		return nil
	}
	return p.Spec.Prompt.Templates
}
