package llmroute

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/llmroute/cache"
	"github.com/caddy-llm/gateway/llmroute/filter"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// provisionCache sets up the cache, which rules may use whether it is configured or not.
func (a *App) provisionCache(ctx caddy.Context) error {
	config := a.Cache
	if config == nil {
		config = new(cache.Config)
	}
	store, err := config.LoadStore(ctx)
	if err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	if a.cache, err = cache.New(config, store, a.metrics.CacheStats(), a.logger); err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	a.caches.Store(a.Cache != nil)
	if err := ctx.GetMetricsRegistry().Register(a.metrics.Cache(a.cache, a.caches.Load)); err != nil {
		return fmt.Errorf("registering metrics of the cache: %w", err)
	}
	return nil
}

// cacheOf returns the filter of a rule that uses the cache.
func (a *App) cacheOf(rule *spec.Rule) *cache.Filter {
	a.caches.Store(true)
	return a.cache.For(rule.Name, rule.Cache)
}

// warnOfCache logs that the cache is configured for nothing, once all handlers are known.
func (a *App) warnOfCache() {
	if a.Cache == nil || a.source != nil {
		return
	}
	used := false
	a.eachRule(func(r *spec.Rule) { used = used || r.CacheFilter() != nil })
	if !used {
		a.logger.Warn("cache is unused: no rule has it; add cache to a rule")
	}
}

// providerConfig is the configuration of a provider, as a digest of it is made.
type providerConfig struct {
	raw    json.RawMessage // of one of the configuration
	once   sync.Once
	digest [sha256.Size]byte
}

// configDigest returns a digest of the provider's configuration: with another one, the same
// request may have another response.
func (p *provider) configDigest() [sha256.Size]byte {
	p.config.once.Do(func() {
		what := struct {
			Kind, Name, Host string
			Config           any
			Hidden           any
		}{fmt.Sprintf("%T", p.Provider), p.name, p.host, p.config.raw, nil}
		if p.spec != nil {
			what.Config = p.spec
			if h, ok := p.spec.(interface{ HiddenConfig() any }); ok {
				what.Hidden = h.HiddenConfig()
			}
		}
		data, err := json.Marshal(&what)
		if err != nil { // it came from JSON, or was made to be shown as such
			data = fmt.Appendf(nil, "%p %v", p, err)
		}
		p.config.digest = sha256.Sum256(data)
	})
	return p.config.digest
}

// sentTo is what the response of a target depends on, beside the request.
func (x *exchange) sentTo(t *target) *filter.Sent {
	settings := t.settings(x.rule)
	config := t.configDigest()
	sent := &filter.Sent{
		Config: sha256.Sum256(append(config[:], settings.Rule...)), Stream: x.streamOf(t), Strict: settings.Strict || x.wantsStrict(),
		Forwards: func(string) bool { return true },
	}
	if f, ok := t.provider.Provider.(interface {
		Forwards(name string, keyed bool) bool
	}); ok {
		keyed := t.CredentialRef(settings.Rule) != ""
		sent.Forwards = func(name string) bool {
			return f.Forwards(name, keyed) || !keyed && slices.Contains(x.in.TokenHeaders, name)
		}
	}
	return sent
}
