package provider

import (
	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/object"
)

// References are the Secrets that the provider refers to, all in its namespace.
func References(p *v1beta1.LLMProvider) []object.Reference {
	var out []object.Reference
	add := func(ref *v1beta1.SecretKeyRef) {
		if ref != nil && object.IsName(ref.Name) {
			out = append(out, object.Reference{Kind: object.KindSecret, Namespace: p.Namespace, Name: ref.Name})
		}
	}
	addConfig := func(c *v1beta1.ProviderConfig) {
		for _, settings := range kindConfigs(c) {
			add(settings.APIKeySecretRef)
			for _, ref := range settings.Secrets {
				add(ref)
			}
		}
	}
	if p.Spec.TLS != nil {
		add(p.Spec.TLS.CASecretRef)
	}
	if configs := p.Spec.Configs; configs != nil {
		addConfig(configs.DefaultConfig)
		for _, c := range configs.RouteSpecificConfigs {
			addConfig(&c)
		}
	}
	return out
}
