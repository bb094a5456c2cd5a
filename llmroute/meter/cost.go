package meter

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-llm/gateway/llmroute/price"
)

// costCollector adds up costs. It counts whole billionths, since a sum of
// fractions would drift.
type costCollector struct {
	series sync.Map // costKey to *costSeries

	mu      sync.Mutex
	removed map[costKey]uint64 // what was added to series that are gone, without client and model
}

type costKey struct{ client, currency, model, provider, rule string }

type costSeries struct {
	key   costKey
	tally // in billionths of the currency
}

var descCost = prometheus.NewDesc(metricCost, "What the responses cost, as far as prices are known, in units of the currency.",
	[]string{"client", "currency", "model", "provider", "rule"}, nil)

// add adds the cost of one response of the provider.
func (c *costCollector) add(p *Provider, key costKey, nano uint64) {
	key.provider = p.name
	s := p.lastCost.Load()
	if s == nil || s.key != key {
		known, ok := c.series.Load(key)
		if !ok {
			known, _ = c.series.LoadOrStore(key, &costSeries{key: key})
		}
		s = known.(*costSeries)
		p.lastCost.Store(s)
	}
	s.n.Add(nano)
}

// remove removes the series of a name that has expired. Their sum stays known.
func (c *costCollector) remove(name nameKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.series.Range(func(k, value any) bool {
		if key := k.(costKey); key.provider == name.provider && key.model == name.model && key.rule == name.rule {
			c.series.Delete(k)
			if c.removed == nil {
				c.removed = make(map[costKey]uint64)
			}
			c.removed[costKey{currency: key.currency, provider: key.provider, rule: key.rule}] += value.(*costSeries).n.Load()
		}
		return true
	})
}

// Describe implements prometheus.Collector.
func (c *costCollector) Describe(out chan<- *prometheus.Desc) { out <- descCost }

// Collect implements prometheus.Collector.
func (c *costCollector) Collect(out chan<- prometheus.Metric) {
	c.series.Range(func(_, value any) bool {
		s := value.(*costSeries)
		out <- prometheus.MustNewConstMetric(descCost, prometheus.CounterValue, float64(s.n.Load())/price.Nano,
			s.key.client, s.key.currency, s.key.model, s.key.provider, s.key.rule)
		return true
	})
}

// unpriced counts an answer with usage that has no price.
func (m *Metrics) unpriced(p *Provider, key costKey) {
	m.costUnknown.WithLabelValues(key.client, key.model, p.name, key.rule).Inc()
}

// Interface guards
var _ prometheus.Collector = (*costCollector)(nil)
