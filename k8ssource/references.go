package k8ssource

import (
	"cmp"
	"slices"

	"github.com/caddy-llm/gateway/k8ssource/authorization"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/k8ssource/policy"
	"github.com/caddy-llm/gateway/k8ssource/provider"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// References returns what the objects that are used for the workload refer to and
// Translate needs beside them, in order and without repetition.
func References(objects *object.Set, identity spec.Identity, options Options) []object.Reference {
	t := newTranslation(objects, identity, options)
	t.readPools(latest(t, object.KindInferencePool, objects.Pools))
	t.claimHosts(latest(t, object.KindLLMProvider, objects.Providers))
	var out []object.Reference
	for _, owner := range t.owners {
		out = append(out, provider.References(&owner.item.Object)...)
	}
	t.api = t.readGatewayAPI()
	certificates, pools := t.gatewayAPIReferences()
	out = append(out, certificates...)
	out = append(out, t.poolReferences(pools)...)
	for _, gateway := range latest(t, object.KindGateway, objects.Gateways) {
		if t.selects(&gateway.Object) {
			out = append(out, gatewayReferences(&gateway.Object, credentialNamespaces(t, &gateway.Object))...)
		}
	}
	for _, gateway := range objects.Gateways {
		t.gateways[object.Key(&gateway.Object)] = gateway
	}
	for _, item := range latest(t, object.KindLLMPolicy, objects.LLMPolicies) {
		if t.policyApplies(&item.Object) {
			out = append(out, policy.References(&item.Object)...)
		}
	}
	out = append(out, authorization.MeshReference(t.objects.Policies, t.workload, t.gatewaysOfTarget)...)
	out = append(out, t.keysReference()...)
	slices.SortFunc(out, func(a, b object.Reference) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Labels, b.Labels))
	})
	return slices.Compact(out)
}

// gatewayReferences are the Secrets of a Gateway's certificates, in these namespaces.
func gatewayReferences(g *object.Gateway, namespaces []string) []object.Reference {
	var out []object.Reference
	for _, server := range g.Spec.Servers {
		if server.TLS == nil || !object.IsName(server.TLS.CredentialName) {
			continue
		}
		for _, namespace := range namespaces {
			out = append(out, object.Reference{Kind: object.KindSecret, Namespace: namespace, Name: server.TLS.CredentialName})
			if server.TLS.Mode == "MUTUAL" {
				out = append(out, object.Reference{Kind: object.KindSecret, Namespace: namespace, Name: server.TLS.CredentialName + caSuffix})
			}
		}
	}
	return out
}
