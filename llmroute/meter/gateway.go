package meter

import (
	"runtime"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-llm/gateway/internal/version"
	"github.com/caddy-llm/gateway/llmprovider"
)

// gatewayCollector shows what is known of the gateway as a whole. Unlike most others it
// belongs to one configuration, and to its registry.
type gatewayCollector struct {
	metrics *Metrics
	ready   func() bool
	bodies  *llmprovider.Budget
}

// Gateway returns the collector of what is known of the gateway as a whole: whether it is
// ready, and the request bodies that it holds. It belongs to one configuration.
func (m *Metrics) Gateway(ready func() bool, bodies *llmprovider.Budget) prometheus.Collector {
	return gatewayCollector{m, ready, bodies}
}

var (
	descReady    = prometheus.NewDesc(metricReady, "1 if the gateway is ready, as /readyz tells, else 0.", nil, nil)
	descHeld     = prometheus.NewDesc(metricBodiesHeld, "Request bodies that are held now.", nil, nil)
	descLimit    = prometheus.NewDesc(metricBodiesLimit, "The most of request bodies that may be held.", nil, nil)
	descWorkload = prometheus.NewDesc(metricWorkload, "1, with the workload that the gateway acts for.",
		[]string{"llmproxy_source_workload", "llmproxy_source_workload_namespace"}, nil)
	descBuild = prometheus.NewDesc(metricBuild, "1, with the versions of the gateway, of Caddy and of Go in this build.",
		[]string{"version", "caddy_version", "go_version"}, nil)
)

// Describe implements prometheus.Collector.
func (gatewayCollector) Describe(out chan<- *prometheus.Desc) {
	out <- descReady
	out <- descWorkload
	out <- descBuild
	out <- descHeld
	out <- descLimit
}

// Collect implements prometheus.Collector.
func (c gatewayCollector) Collect(out chan<- prometheus.Metric) {
	ready := 0.0
	if c.ready() {
		ready = 1
	}
	w := c.metrics.workload.Load()
	out <- prometheus.MustNewConstMetric(descReady, prometheus.GaugeValue, ready)
	out <- prometheus.MustNewConstMetric(descWorkload, prometheus.GaugeValue, 1, w.Name, w.Namespace)
	caddyVersion, _ := caddy.Version()
	out <- prometheus.MustNewConstMetric(descBuild, prometheus.GaugeValue, 1, version.Gateway(), caddyVersion, runtime.Version())
	out <- prometheus.MustNewConstMetric(descHeld, prometheus.GaugeValue, float64(c.bodies.Held()))
	out <- prometheus.MustNewConstMetric(descLimit, prometheus.GaugeValue, float64(c.bodies.Limit()))
}

// Interface guards
var _ prometheus.Collector = gatewayCollector{}
