package meter

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-llm/gateway/llmroute/limit"
)

// limitCollector shows where limits stand. It belongs to one configuration, and to
// its registry; what it counts goes on through reloads. Labels come from the
// configuration alone.
type limitCollector struct {
	set    func() *limit.Set
	engine *limit.Engine
}

// Limits returns the collector of where limits stand; set returns those that hold now, nil
// without any. It belongs to one configuration.
func Limits(set func() *limit.Set, engine *limit.Engine) prometheus.Collector {
	return limitCollector{set, engine}
}

var (
	amountLabels = []string{"limit", "unit", "window"}

	descLimitAdmitted     = prometheus.NewDesc(metricLimitAdmitted, "Requests that a limit had room for.", []string{"limit"}, nil)
	descLimitRefused      = prometheus.NewDesc(metricLimitRefused, "Requests that a limit refused, by reason.", []string{"limit", "reason"}, nil)
	descLimitWouldRefuse  = prometheus.NewDesc(metricLimitWouldRefuse, "Requests that a shadow limit would have refused.", []string{"limit"}, nil)
	descLimitUsageMissing = prometheus.NewDesc(metricLimitUsageMissing, "Responses without usage, charged by estimate or reservation.", []string{"limit"}, nil)
	descLimitSpent        = prometheus.NewDesc(metricLimitSpent, "What was used, in the limit's unit.", amountLabels, nil)
	descLimitReserved     = prometheus.NewDesc(metricLimitReserved, "What open requests have reserved, in the limit's unit.", amountLabels, nil)
	descLimitOverrun      = prometheus.NewDesc(metricLimitOverrun, "What responses took beyond their reservations, in the limit's unit.", amountLabels, nil)
	descLimitLeased       = prometheus.NewDesc(metricLimitLeased, "What may be used without asking the store, in the limit's unit.", amountLabels, nil)
	descLimitUsedRatio    = prometheus.NewDesc(metricLimitUsedRatio, "The used part of the fullest counter in the running window: 1 for all of it.", amountLabels, nil)
	descLimitStoreErrors  = prometheus.NewDesc(metricLimitStoreErrors, "Times that the store of limits could not be read or written.", nil, nil)
	descLimitStoreDown    = prometheus.NewDesc(metricLimitStoreDown, "1 if the store of limits failed at the last try, else 0.", nil, nil)
)

// Describe implements prometheus.Collector.
func (limitCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descLimitAdmitted, descLimitRefused, descLimitWouldRefuse, descLimitUsageMissing, descLimitSpent, descLimitReserved, descLimitOverrun, descLimitLeased,
		descLimitUsedRatio, descLimitStoreErrors, descLimitStoreDown,
	} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c limitCollector) Collect(out chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	set := c.set()
	if set == nil {
		return
	}
	for _, v := range set.Stats() {
		counter(descLimitAdmitted, float64(v.Admitted), v.Name)
		for reason, n := range v.Refused {
			counter(descLimitRefused, float64(n), v.Name, reason.String())
		}
		if v.Shadow {
			counter(descLimitWouldRefuse, float64(v.WouldRefuse), v.Name)
		}
		counter(descLimitUsageMissing, float64(v.UsageMissing), v.Name)
		for i := range v.Amounts {
			a := &v.Amounts[i]
			labels := []string{v.Name, string(a.Unit), a.Window}
			gauge(descLimitReserved, a.Reserved, labels...)
			if a.Unit != limit.UnitConcurrent {
				counter(descLimitSpent, a.Spent, labels...)
				counter(descLimitOverrun, a.Overrun, labels...)
			}
			if a.Stored {
				gauge(descLimitLeased, a.Leased, labels...)
			}
			gauge(descLimitUsedRatio, a.Used, labels...)
		}
	}
	counter(descLimitStoreErrors, float64(c.engine.StoreErrors()))
	down := 0.0
	if c.engine.StoreDown() {
		down = 1
	}
	gauge(descLimitStoreDown, down)
}

// Interface guards
var _ prometheus.Collector = limitCollector{}
