package llmroute

import (
	"strconv"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// sourceMetrics tell what became of what a source said.
type sourceMetrics struct {
	snapshots         *prometheus.CounterVec
	since             prometheus.Gauge
	objects, findings *prometheus.GaugeVec

	mu           *sync.Mutex // guards what follows
	shownObjects map[objectKey]int
	shownFound   map[findingKey]int
}

type objectKey struct{ kind, result string }

type findingKey struct {
	reason string
	used   bool
}

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

// use notes that a snapshot is in use from now on.
func (m *sourceMetrics) use(s *snapshot) {
	objects, found := make(map[objectKey]int), make(map[findingKey]int)
	accepted, rejected := s.objects()
	for object := range accepted {
		objects[objectKey{kindOf(object), resultAccepted}]++
	}
	for object := range rejected {
		objects[objectKey{kindOf(object), resultRejected}]++
	}
	if s.state != nil {
		for _, f := range s.state.Findings {
			found[findingKey{f.Reason, f.Used}]++
		}
	}
	result := resultComplete
	if len(rejected) > 0 {
		result = resultPartial
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.snapshots.WithLabelValues(result).Inc()
	m.since.Set(float64(s.made.UnixMilli()) / 1000)
	keepShown(objects, m.shownObjects)
	keepShown(found, m.shownFound)
	m.shownObjects, m.shownFound = objects, found
	for key, n := range objects {
		m.objects.WithLabelValues(key.kind, key.result).Set(float64(n))
	}
	for key, n := range found {
		m.findings.WithLabelValues(key.reason, strconv.FormatBool(key.used)).Set(float64(n))
	}
}

// keepShown leaves what was shown before at 0: a series that goes away would
// leave an alert undecided.
func keepShown[K comparable](now, before map[K]int) {
	for key := range before {
		now[key] += 0
	}
}

// objects are those of the source that the snapshot uses, and those that had to
// be left out, by kind, namespace and name.
func (s *snapshot) objects() (accepted, rejected map[string]bool) {
	accepted, rejected = make(map[string]bool), make(map[string]bool)
	if s.state == nil {
		return accepted, rejected
	}
	for _, f := range s.state.Findings {
		if !f.Used {
			rejected[f.Object] = true
		}
	}
	for _, spec := range s.state.Providers {
		if s.providers[spec.Name] != nil {
			accepted[objectOf(spec.Origin)] = true
		} else {
			rejected[objectOf(spec.Origin)] = true
		}
	}
	for _, t := range s.tables {
		for _, e := range t.entries {
			switch object := objectOf(e.Origin); {
			case object == "": // of the configuration
			case e.Unusable == "":
				accepted[object] = true
			default:
				rejected[object] = true
			}
		}
	}
	if s.state.Authorization != nil {
		for _, p := range s.state.Authorization.Policies {
			if object := "AuthorizationPolicy " + p.Name; !rejected[object] { // one that is wrong still denies
				accepted[object] = true
			}
		}
	}
	return accepted, rejected
}

// objectOf is the object that an origin, such as "LLMRoute default/a in a.yaml",
// is about, as findings name it.
func objectOf(origin string) string {
	kind, rest, _ := strings.Cut(origin, " ")
	name, _, _ := strings.Cut(rest, " ")
	if name == "" {
		return ""
	}
	return kind + " " + name
}

func kindOf(object string) string {
	kind, _, _ := strings.Cut(object, " ")
	return kind
}
