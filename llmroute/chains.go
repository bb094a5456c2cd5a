package llmroute

import (
	"slices"

	"github.com/caddy-llm/gateway/llmroute/cache"
	"github.com/caddy-llm/gateway/llmroute/filter"
	"github.com/caddy-llm/gateway/llmroute/guard"
	"github.com/caddy-llm/gateway/llmroute/limit/limithttp"
	"github.com/caddy-llm/gateway/llmroute/prompt"
	"github.com/caddy-llm/gateway/llmroute/spec"
	"github.com/caddy-llm/gateway/llmroute/virtualkey"
)

// chains are the filters of a snapshot's requests, in their order, by what looks at a
// request beside those that look at all.
type chains struct {
	guards  *guard.Filter
	prompts *prompt.Filter

	all, guarded, prompted, both []filter.Filter
}

// newChains puts guards first, so that whatever else looks at a request sees it masked,
// prompts next, so that limits count what is sent, and limits last, which may be nil: what
// others refuse uses nothing.
func newChains(guards *guard.Filter, prompts *prompt.Filter, limits *limithttp.Filter) chains {
	var all []filter.Filter
	if limits != nil {
		all = []filter.Filter{limits}
	}
	return chains{
		guards: guards, prompts: prompts, all: all,
		guarded: slices.Concat([]filter.Filter{guards}, all), prompted: slices.Concat([]filter.Filter{prompts}, all),
		both: slices.Concat([]filter.Filter{guards, prompts}, all),
	}
}

// of returns the filters that look at a request of the rule and the client, which may be nil,
// and of the targets, in their order. What a rule, a client or a provider names is looked up by
// the filters: a name without a definition refuses the request.
func (c *chains) of(rule *spec.Rule, client *virtualkey.Client, targets []target) []filter.Filter {
	guards, prompts := c.guards.Everything(), false
	if rule != nil {
		guards, prompts = guards || len(rule.Guards) > 0, len(rule.Prompts) > 0
	}
	if client != nil {
		guards, prompts = guards || len(client.Guards) > 0, prompts || len(client.Prompts) > 0
	}
	for i := range targets {
		if p := targets[i].provider; p != nil {
			guards, prompts = guards || len(p.guards) > 0, prompts || len(p.prompts) > 0
		}
	}
	if rule != nil && rule.CacheFilter() != nil {
		return c.caching(rule.CacheFilter(), guards, prompts)
	}
	switch {
	case guards && prompts:
		return c.both
	case guards:
		return c.guarded
	case prompts:
		return c.prompted
	}
	return c.all
}

// caching returns the filters of a request whose rule uses the cache, and whether guards and
// prompts are among them. Those come before it, since what they change changes the response,
// and limits after it, since what is stored uses nothing.
func (c *chains) caching(cache *cache.Filter, guards, prompts bool) []filter.Filter {
	list := make([]filter.Filter, 0, 3+len(c.all))
	if guards {
		list = append(list, c.guards)
	}
	if prompts {
		list = append(list, c.prompts)
	}
	return append(append(list, cache), c.all...)
}

// guardsOf returns the names of the guards that look at a request: the rule's, those of the
// client, which may be nil, and those of every provider that it may be sent to, since a request
// is looked at once, before the first attempt.
func guardsOf(rule *spec.Rule, client *virtualkey.Client, targets []target) []string {
	names := rule.Guards
	if client != nil {
		names = with(names, client.Guards)
	}
	return withProviders(names, targets, func(p *provider) []string { return p.guards })
}

// promptsOf is guardsOf for prompts.
func promptsOf(rule *spec.Rule, client *virtualkey.Client, targets []target) []string {
	names := rule.Prompts
	if client != nil {
		names = with(names, client.Prompts)
	}
	return withProviders(names, targets, func(p *provider) []string { return p.prompts })
}

// withProviders returns the names and those of the targets' providers, each once.
func withProviders(names []string, targets []target, of func(*provider) []string) []string {
	for i := range targets {
		if p := targets[i].provider; p != nil {
			names = with(names, of(p))
		}
	}
	return names
}

// with returns the names and more of them, each once. It changes neither list.
func with(names, more []string) []string {
	for _, name := range more {
		if !slices.Contains(names, name) {
			names = append(names[:len(names):len(names)], name)
		}
	}
	return names
}
