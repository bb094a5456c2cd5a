package policy

import "github.com/caddy-llm/gateway/k8ssource/object"

// provider is the name of an LLMProvider of the policy's namespace. Requests that it is sent
// are paid with its credentials, so those of other namespaces cannot be named.
func (b *builder) provider(path, name string, needed bool) string {
	key := b.object.Namespace + "/" + name
	if !object.IsName(name) {
		b.wrong("%s.provider: a provider is required; write the name of an LLMProvider of the object's namespace", path)
		return key
	}
	state := b.in.Provider(key)
	b.out.Providers[key] = state
	switch {
	case state.Unusable == object.ReasonProviderNotFound:
		b.fault(object.ReasonProviderNotFound, "%s.provider: there is no LLMProvider of this name in namespace %s for this workload; create it, or correct the name", path, b.object.Namespace)
	case state.Unusable != "":
		b.fault(object.ReasonProviderRefused, "%s.provider: the LLMProvider is not used (%s); correct it", path, state.Unusable)
	case !needed && !state.NamesModel:
		b.wrong("%s.model: neither this nor the LLMProvider names a model; write the one that decides", path)
	}
	return key
}
