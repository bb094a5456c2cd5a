package meter

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// maxPoolSeries is the most endpoints of a pool that have metrics of their own.
const maxPoolSeries = 100

// poolCollector shows the state of each pool in use.
type poolCollector struct{}

func poolDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, append([]string{"provider"}, labels...), nil)
}

var (
	descPoolEndpoints = poolDesc(metricPoolEndpoints, "Endpoints of a pool.")
	descPoolCooling   = poolDesc(metricPoolCooling, "Endpoints of a pool to which others are preferred for a while.")
	descPoolChoices   = poolDesc(metricPoolChoices, "Choices of an endpoint, by reason.", "reason")
	descPoolRetries   = poolDesc(metricPoolRetries, "Requests that went on to another endpoint of their pool.")
	descPickerFailed  = poolDesc(metricPickerFailures, "Requests for which a pool's endpoint picker made no choice.")
	descPoolScrapes   = poolDesc(metricPoolScrapes, "Questions for an endpoint's metrics, by whether they brought values.", "result")
	descPoolRequests  = poolDesc(metricPoolRequests, "Requests that were sent to an endpoint.", "endpoint")
	descPoolFailures  = poolDesc(metricPoolFailures, "Requests that came to nothing at an endpoint.", "endpoint")
	descPoolInFlight  = poolDesc(metricPoolInFlight, "Requests under way at an endpoint.", "endpoint")
	descPoolWaiting   = poolDesc(metricPoolWaiting, "Requests that wait at an endpoint, by its own metrics.", "endpoint")
	descPoolRunning   = poolDesc(metricPoolRunning, "Requests that run at an endpoint, by its own metrics.", "endpoint")
	descPoolCache     = poolDesc(metricPoolCache, "The used part of an endpoint's KV cache, by its own metrics.", "endpoint")
)

// Describe implements prometheus.Collector.
func (poolCollector) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		descPoolEndpoints, descPoolCooling, descPoolChoices, descPoolRetries, descPickerFailed, descPoolScrapes, descPoolRequests, descPoolFailures, descPoolInFlight,
		descPoolWaiting, descPoolRunning, descPoolCache,
	} {
		out <- desc
	}
}

// Collect implements prometheus.Collector.
func (poolCollector) Collect(out chan<- prometheus.Metric) {
	now := time.Now()
	known.Range(func(key, value any) bool {
		name := key.(string)
		view, ok := value.(*Provider).Endpoints.View(now, maxPoolSeries)
		if !ok {
			return true
		}
		gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
			out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, append([]string{name}, labels...)...)
		}
		counter := func(desc *prometheus.Desc, value int64, labels ...string) {
			out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value), append([]string{name}, labels...)...)
		}
		gauge(descPoolEndpoints, float64(view.Endpoints))
		gauge(descPoolCooling, float64(view.Cooling))
		for reason, n := range view.Choices {
			counter(descPoolChoices, n, reason)
		}
		counter(descPoolRetries, view.Retries)
		counter(descPickerFailed, view.PickerFailures)
		counter(descPoolScrapes, view.Scrapes, "read")
		counter(descPoolScrapes, view.Unread, "failed")
		for i := range view.Rows {
			e := &view.Rows[i]
			counter(descPoolRequests, e.Chosen, e.Address)
			counter(descPoolFailures, e.Failed, e.Address)
			gauge(descPoolInFlight, float64(e.InFlight), e.Address)
			if e.Load == nil {
				continue
			}
			gauge(descPoolWaiting, float64(e.Load.Waiting), e.Address)
			gauge(descPoolRunning, float64(e.Load.Running), e.Address)
			if e.Load.Cache != nil {
				gauge(descPoolCache, *e.Load.Cache, e.Address)
			}
		}
		return true
	})
}

// Interface guards
var _ prometheus.Collector = poolCollector{}
