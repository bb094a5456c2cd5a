package k8ssource

import (
	"cmp"
	"slices"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/llmroute"
)

// Reference names an object that other objects refer to.
type Reference struct {
	Kind, Namespace, Name string
	// Labels is a selector instead of a name: all objects that it matches.
	Labels string
}

// KindPod is the kind of a Pod.
const KindPod = "Pod"

// KindService is the kind of a Service.
const KindService = "Service"

// KindSecret is the kind of a Secret.
const KindSecret = "Secret"

// References returns what the objects that are used for the workload refer to and
// Translate needs beside them, in order and without repetition.
func References(objects *Objects, identity llmroute.Identity, options Options) []Reference {
	t := newTranslation(objects, identity, options)
	t.readPools(latest(t, KindInferencePool, objects.Pools))
	t.claimHosts(latest(t, KindLLMProvider, objects.Providers))
	var out []Reference
	for _, owner := range t.owners {
		out = append(out, providerReferences(&owner.item.Object)...)
	}
	out = append(out, t.poolReferences()...)
	for _, gateway := range latest(t, kindGateway, objects.Gateways) {
		if t.selects(&gateway.Object) {
			out = append(out, gateway.Object.references(credentialNamespaces(t, &gateway.Object))...)
		}
	}
	out = append(out, t.meshReference()...)
	out = append(out, t.keysReference()...)
	slices.SortFunc(out, func(a, b Reference) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Labels, b.Labels))
	})
	return slices.Compact(out)
}

// providerReferences are the Secrets that the provider refers to, all in its namespace.
func providerReferences(p *v1beta1.LLMProvider) []Reference {
	var out []Reference
	add := func(ref *v1beta1.SecretKeyRef) {
		if ref != nil && objectName.MatchString(ref.Name) {
			out = append(out, Reference{Kind: KindSecret, Namespace: p.Namespace, Name: ref.Name})
		}
	}
	addConfig := func(c *v1beta1.ProviderConfig) {
		for _, settings := range kindConfigs(c) {
			add(settings.APIKeySecretRef)
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

// references are the Secrets of the Gateway's certificates, in these namespaces.
func (g *Gateway) references(namespaces []string) []Reference {
	var out []Reference
	for _, server := range g.Spec.Servers {
		if server.TLS == nil || !objectName.MatchString(server.TLS.CredentialName) {
			continue
		}
		for _, namespace := range namespaces {
			out = append(out, Reference{Kind: KindSecret, Namespace: namespace, Name: server.TLS.CredentialName})
			if server.TLS.Mode == "MUTUAL" {
				out = append(out, Reference{Kind: KindSecret, Namespace: namespace, Name: server.TLS.CredentialName + caSuffix})
			}
		}
	}
	return out
}
