package policy

import (
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/k8ssource/api/v1alpha1"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/cache"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// cacheScopes are the scopes as policies have them.
var cacheScopes = []string{"", "Client", "Workload", "Route", "Everyone"}

// cache fills in how the policy has responses kept.
func (b *builder) cache(c *v1alpha1.PolicyCache) {
	out := &cache.Rule{Policy: object.Key(b.object), Scope: cache.Scope(strings.ToLower(c.Scope))}
	if !slices.Contains(cacheScopes, c.Scope) {
		b.wrong("spec.cache.scope: this is unknown; write Client, Workload, Route or Everyone")
	}
	if c.TTL != "" {
		d, err := time.ParseDuration(string(c.TTL))
		if err != nil || d <= 0 || d > cache.MaxTTL {
			b.wrong("spec.cache.ttl: this is not a duration above zero and up to 87600h; write one such as 1h")
		}
		out.TTL = caddy.Duration(d)
	}
	b.out.Attached.Cache = out
}

// CacheByProviders has the cache that policies attach to LLMProviders used by the rules whose
// backends all have one: which of them a request goes to is not known when it is looked up.
// That of the first is used, and none where a rule has its own.
func (m Attachments) CacheByProviders(state *spec.State) {
	caches := make(map[string]*cache.Rule)
	for at, to := range m {
		if at.Kind == object.KindLLMProvider && to.Cache != nil {
			caches[at.Key] = to.Cache
		}
	}
	if len(caches) == 0 {
		return
	}
	lacks := func(b *spec.Backend) bool { return caches[b.Provider] == nil }
	for _, routes := range state.Tables {
		for i, route := range routes {
			rules := slices.Clone(route.Rules)
			for j, rule := range rules {
				if rule.Cache == nil && len(rule.HandlerRaw) == 0 && len(rule.Backends) > 0 && !slices.ContainsFunc(rule.Backends, lacks) {
					with := *rule
					with.Cache = caches[rule.Backends[0].Provider]
					rules[j] = &with
				}
			}
			with := *route // which the next translation may use again, with other policies
			with.Rules = rules
			routes[i] = &with
		}
	}
}
