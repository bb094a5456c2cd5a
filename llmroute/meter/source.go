package meter

import (
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// sourceMetrics tell what became of what a source said.
type sourceMetrics struct {
	snapshots         *prometheus.CounterVec
	since             prometheus.Gauge
	objects, findings *prometheus.GaugeVec

	mu           *sync.Mutex // guards what follows
	shownObjects map[objectKey]int
	shownFound   map[Finding]int
}

type objectKey struct{ kind, result string }

// What became of an object, and of all of them together.
const (
	resultAccepted = "accepted"
	resultRejected = "rejected"
	resultComplete = "complete"
	resultPartial  = "partial"
)

func newSourceMetrics() sourceMetrics {
	gauge := func(name, help string) prometheus.GaugeOpts { return prometheus.GaugeOpts{Name: name, Help: help} }
	return sourceMetrics{
		snapshots: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: metricSnapshots, Help: "States that were put in use, by whether objects of the source had to be left out.",
		}, []string{"result"}),
		since:   prometheus.NewGauge(gauge(metricSnapshotTime, "When the state in use was made, in seconds since 1970.")),
		objects: prometheus.NewGaugeVec(gauge(metricObjects, "Objects of the source by kind, and whether they are in use."), []string{"kind", "result"}),
		findings: prometheus.NewGaugeVec(gauge(metricFindings,
			"What is wrong with objects of the source now, by reason, and whether the object is used all the same."), []string{"reason", "used"}),
		mu: new(sync.Mutex),
	}
}

// Source is what became of what a source said.
type Source struct {
	// Accepted are the objects in use, Rejected those that had to be left out, by kind,
	// namespace and name.
	Accepted, Rejected map[string]bool
	// Findings are how many there are of each kind.
	Findings map[Finding]int
}

// Finding is a kind of what is wrong with objects: its reason, and whether the object is used
// all the same.
type Finding struct {
	Reason string
	Used   bool
}

// UseSource notes that a snapshot which was made then is in use from now on.
func (m *Metrics) UseSource(made time.Time, s *Source) { m.source.use(made, s) }

func (m *sourceMetrics) use(made time.Time, s *Source) {
	objects, found := make(map[objectKey]int), make(map[Finding]int)
	for object := range s.Accepted {
		objects[objectKey{kindOf(object), resultAccepted}]++
	}
	for object := range s.Rejected {
		objects[objectKey{kindOf(object), resultRejected}]++
	}
	maps.Copy(found, s.Findings)
	result := resultComplete
	if len(s.Rejected) > 0 {
		result = resultPartial
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.snapshots.WithLabelValues(result).Inc()
	m.since.Set(float64(made.UnixMilli()) / 1000)
	keepShown(objects, m.shownObjects)
	keepShown(found, m.shownFound)
	m.shownObjects, m.shownFound = objects, found
	for key, n := range objects {
		m.objects.WithLabelValues(key.kind, key.result).Set(float64(n))
	}
	for key, n := range found {
		m.findings.WithLabelValues(key.Reason, strconv.FormatBool(key.Used)).Set(float64(n))
	}
}

// keepShown leaves what was shown before at 0: a series that goes away would
// leave an alert undecided.
func keepShown[K comparable](now, before map[K]int) {
	for key := range before {
		now[key] += 0
	}
}

func kindOf(object string) string {
	kind, _, _ := strings.Cut(object, " ")
	return kind
}
