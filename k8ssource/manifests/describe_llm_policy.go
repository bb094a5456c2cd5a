package manifests

import (
	"fmt"
	"strings"

	"github.com/caddy-llm/gateway/k8ssource/api/v1alpha1"
	"github.com/caddy-llm/gateway/k8ssource/object"
)

// llmPolicy says what a policy does, and for what.
func (d *describer) llmPolicy(p *v1alpha1.LLMPolicy) string {
	if !d.attached[object.Key(p)] {
		return otherWorkloads
	}
	var does, at []string
	for i := range p.Spec.Guards {
		does = append(does, "guard "+object.ShownName(p.Spec.Guards[i].Name))
	}
	if p.Spec.Prompt != nil {
		does = append(does, "a prompt")
	}
	if p.Spec.Cache != nil {
		does = append(does, "a cache")
	}
	for i := range p.Spec.TargetRefs {
		ref := &p.Spec.TargetRefs[i]
		text := fmt.Sprintf("%s %s", ref.Kind, object.ShownName(ref.Name))
		if ref.SectionName != "" {
			text = "rule " + object.ShownName(ref.SectionName) + " of " + text
		}
		at = append(at, text)
	}
	return "applies " + strings.Join(does, " and ") + " to requests by " + strings.Join(at, " and ")
}
