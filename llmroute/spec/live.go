package spec

import (
	"github.com/caddy-llm/gateway/llmroute/cache"
	"github.com/caddy-llm/gateway/llmroute/life"
)

// What a snapshot makes of a rule.

// Life returns how long the rule's modules are in use, nil for a rule of the configuration
// and for one whose modules hold nothing.
func (r *Rule) Life() *life.Life { return r.life }

// SetLife sets what Life returns. It is called before the rule is in use.
func (r *Rule) SetLife(l *life.Life) { r.life = l }

// CacheFilter returns what looks for stored responses, nil if the rule does not use the cache.
func (r *Rule) CacheFilter() *cache.Filter { return r.cacheFilter }

// SetCacheFilter sets what CacheFilter returns. It is called before the rule is in use.
func (r *Rule) SetCacheFilter(f *cache.Filter) { r.cacheFilter = f }
