package meter

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// stateCollector shows the state of each provider in use.
type stateCollector struct{}

var (
	descCoolDowns = prometheus.NewDesc(metricCoolDowns, "Cool-downs that began: the provider asked for a pause, or earned one.", []string{"provider"}, nil)
	descCooling   = prometheus.NewDesc(metricCooling, "1 while other providers are preferred, else 0.", []string{"provider"}, nil)
	descInFlight  = prometheus.NewDesc(metricInFlight, "Attempts under way.", []string{"provider"}, nil)
)

// Describe implements prometheus.Collector.
func (stateCollector) Describe(out chan<- *prometheus.Desc) {
	out <- descCoolDowns
	out <- descCooling
	out <- descInFlight
}

// Collect implements prometheus.Collector.
func (stateCollector) Collect(out chan<- prometheus.Metric) {
	now := time.Now()
	known.Range(func(key, value any) bool {
		name, s := key.(string), value.(*Provider)
		cooling := 0.0
		if !s.Pauses.Until(now).IsZero() {
			cooling = 1
		}
		out <- prometheus.MustNewConstMetric(descCoolDowns, prometheus.CounterValue, float64(s.Pauses.Began()), name)
		out <- prometheus.MustNewConstMetric(descCooling, prometheus.GaugeValue, cooling, name)
		out <- prometheus.MustNewConstMetric(descInFlight, prometheus.GaugeValue, float64(s.InFlight.Load()), name)
		return true
	})
}

// Interface guards
var _ prometheus.Collector = stateCollector{}
