package webhook

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// The names of the webhook's metrics.
const (
	metricNamePods   = "llm_injection_pods_total"
	metricNameExpiry = "llm_injection_certificate_expiry_timestamp_seconds"
)

// What becomes of a pod, as it is counted.
const (
	resultInjected = "injected" // it gets the sidecar
	resultSkipped  = "skipped"  // it is left as it is
	resultRefused  = "refused"  // it should have the sidecar and cannot
	resultFailed   = "failed"   // the request could not be answered
)

// The collectors count on through reloads, and every configuration's registry gets
// the same ones.
var (
	metricPods = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: metricNamePods, Help: "Pods that API servers asked about, by what became of them, and why.",
	}, []string{"result", "reason"})
	metricExpiry = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: metricNameExpiry, Help: "When the certificate of this gateway's webhook ends; 0 while there is none.",
	})
)

// Register adds the webhook's metrics to a configuration's registry.
func Register(registry *prometheus.Registry) error {
	for _, c := range []prometheus.Collector{metricPods, metricExpiry} {
		var already prometheus.AlreadyRegisteredError
		if err := registry.Register(c); err != nil && !errors.As(err, &already) {
			return fmt.Errorf("registering metrics: %w", err)
		}
	}
	return nil
}
