package meter

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-llm/gateway/llmroute/cache"
)

// cacheCollector shows what the cache does. It belongs to one configuration, and to its
// registry; what is counted of requests goes on through reloads. Labels come from the
// configuration alone.
type cacheCollector struct {
	stats *cache.Stats
	cache *cache.Cache
	used  func() bool
}

// Cache returns the collector of what the cache does, if it is used. It belongs to one
// configuration.
func (m *Metrics) Cache(c *cache.Cache, used func() bool) prometheus.Collector {
	return cacheCollector{&m.cache, c, used}
}

var (
	descCacheRequests    = prometheus.NewDesc(metricCacheRequests, "Requests of rules with a cache, by what it did about them.", []string{"rule", "result"}, nil)
	descCacheBypassed    = prometheus.NewDesc(metricCacheBypassed, "Requests that the cache had nothing to do with, by the reason.", []string{"rule", "reason"}, nil)
	descCacheStored      = prometheus.NewDesc(metricCacheStored, "Responses that were stored.", []string{"rule"}, nil)
	descCacheSavedTokens = prometheus.NewDesc(metricCacheSavedTokens, "Tokens of stored responses that were used again.", []string{"rule", "type"}, nil)
	descCacheSavedCost   = prometheus.NewDesc(metricCacheSavedCost, "What responses would have cost that were used again.", []string{"rule", "currency"}, nil)
	descCacheEntries     = prometheus.NewDesc(metricCacheEntries, "Responses in the store.", nil, nil)
	descCacheBytes       = prometheus.NewDesc(metricCacheBytes, "Memory that responses take in the store.", nil, nil)
	descCacheBytesLimit  = prometheus.NewDesc(metricCacheBytesLimit, "The most memory that responses may take in the store.", nil, nil)
	descCacheEvicted     = prometheus.NewDesc(metricCacheEvicted, "Responses that made room for others in the store.", nil, nil)
	descCacheStoreErrors = prometheus.NewDesc(metricCacheStoreErrors, "Times that the store of the cache could not be read or written.", nil, nil)
	descCacheStoreDown   = prometheus.NewDesc(metricCacheStoreDown, "1 if the store of the cache failed at the last try, else 0.", nil, nil)
)

// Describe implements prometheus.Collector.
func (cacheCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descCacheRequests, descCacheBypassed, descCacheStored, descCacheSavedTokens, descCacheSavedCost, descCacheEntries, descCacheBytes, descCacheBytesLimit,
		descCacheEvicted, descCacheStoreErrors, descCacheStoreDown,
	} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c cacheCollector) Collect(out chan<- prometheus.Metric) {
	if !c.used() {
		return
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	gauge := func(d *prometheus.Desc, v float64) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
	for _, r := range c.stats.Rules() {
		counter(descCacheRequests, float64(r.Hits), r.Rule, "hit")
		counter(descCacheRequests, float64(r.Collapsed), r.Rule, "collapsed")
		counter(descCacheRequests, float64(r.Missed), r.Rule, "miss")
		counter(descCacheRequests, float64(r.Refreshed), r.Rule, "refresh")
		bypassed := int64(0)
		for why, n := range r.Bypassed {
			bypassed += n
			counter(descCacheBypassed, float64(n), r.Rule, why)
		}
		counter(descCacheRequests, float64(bypassed), r.Rule, "bypass")
		counter(descCacheStored, float64(r.Stored), r.Rule)
		counter(descCacheSavedTokens, float64(r.SavedPromptTokens), r.Rule, "input")
		counter(descCacheSavedTokens, float64(r.SavedCompletionTokens), r.Rule, "output")
		for currency, cost := range r.Saved {
			counter(descCacheSavedCost, cost, r.Rule, currency)
		}
	}
	if use := c.cache.Use(); use.MaxBytes > 0 {
		gauge(descCacheEntries, float64(use.Entries))
		gauge(descCacheBytes, float64(use.Bytes))
		gauge(descCacheBytesLimit, float64(use.MaxBytes))
		counter(descCacheEvicted, float64(use.Evicted))
	}
	counter(descCacheStoreErrors, float64(c.stats.StoreErrors()))
	down := 0.0
	if c.cache.StoreDown() {
		down = 1
	}
	gauge(descCacheStoreDown, down)
}

// Interface guards
var _ prometheus.Collector = cacheCollector{}
