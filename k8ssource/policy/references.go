package policy

import (
	"slices"
	"strings"

	"github.com/caddy-llm/gateway/k8ssource/api/v1alpha1"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// References are the Secrets that a policy refers to, all in its namespace.
func References(p *v1alpha1.LLMPolicy) (out []object.Reference) {
	for i := range p.Spec.Guards {
		w := p.Spec.Guards[i].Webhook
		if w == nil {
			continue
		}
		for _, h := range w.SecretHeaders {
			if h.SecretRef != nil && object.IsName(h.SecretRef.Name) {
				out = append(out, object.Reference{Kind: object.KindSecret, Namespace: p.Namespace, Name: h.SecretRef.Name})
			}
		}
	}
	return out
}

// InState are the policies that are attached to anything of a state, those that
// cannot be used included, by namespace and name.
func InState(state *spec.State) map[string]bool {
	out := make(map[string]bool)
	add := func(lists ...[]string) {
		for _, name := range slices.Concat(lists...) {
			namespace, rest, _ := strings.Cut(name, "/")
			policy, _, _ := strings.Cut(rest, "/") // after which comes a guard's own name
			out[namespace+"/"+policy] = true
		}
	}
	for _, spec := range state.Providers {
		add(spec.Guards, spec.Prompts)
	}
	for _, routes := range state.Tables {
		for _, route := range routes {
			for _, rule := range route.Rules {
				add(rule.Guards, rule.Prompts)
				if rule.Cache != nil {
					out[rule.Cache.Policy] = true
				}
			}
		}
	}
	return out
}
