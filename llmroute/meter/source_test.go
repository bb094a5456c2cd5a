package meter

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestSourcesAreCounted(t *testing.T) {
	m := newSourceMetrics()
	registry := prometheus.NewRegistry()
	registry.MustRegister(m.objects, m.findings, m.snapshots)
	set := func(objects ...string) map[string]bool {
		out := make(map[string]bool)
		for _, object := range objects {
			out[object] = true
		}
		return out
	}
	m.use(time.Now(), &Source{
		Accepted: set("LLMRoute default/a", "LLMRoute default/b", "LLMProvider default/p", "AuthorizationPolicy default/one"),
		Rejected: set("LLMRoute default/wrong", "LLMProvider default/refused", "LLMProvider default/q", "AuthorizationPolicy default/wrong", "Gateway default/g"),
		Findings: map[Finding]int{{"InvalidField", false}: 1, {"InvalidKey", false}: 1, {"Conflict", true}: 1, {"UnsupportedServer", false}: 1},
	})
	first := []string{
		"llm_snapshots_total partial 1",
		"llm_source_findings Conflict true 1",
		"llm_source_findings InvalidField false 1",
		"llm_source_findings InvalidKey false 1",
		"llm_source_findings UnsupportedServer false 1",
		"llm_source_objects AuthorizationPolicy accepted 1",
		"llm_source_objects AuthorizationPolicy rejected 1",
		"llm_source_objects Gateway rejected 1",
		"llm_source_objects LLMProvider accepted 1",
		"llm_source_objects LLMProvider rejected 2",
		"llm_source_objects LLMRoute accepted 2",
		"llm_source_objects LLMRoute rejected 1",
	}
	if got := gather(t, registry); !slices.Equal(got, first) {
		t.Errorf("got\n%s, want\n%s", strings.Join(got, "\n"), strings.Join(first, "\n"))
	}
	m.use(time.Now(), &Source{Findings: map[Finding]int{{"Conflict", true}: 1}})
	m.use(time.Now(), &Source{Accepted: set("LLMRoute default/a", "LLMRoute default/b"), Rejected: set("LLMRoute default/wrong")})
	want := []string{
		"llm_snapshots_total complete 1",
		"llm_snapshots_total partial 2",
		"llm_source_findings Conflict true 0", // a series that goes away would leave an alert undecided
		"llm_source_findings InvalidField false 0",
		"llm_source_findings InvalidKey false 0",
		"llm_source_findings UnsupportedServer false 0",
		"llm_source_objects AuthorizationPolicy accepted 0",
		"llm_source_objects AuthorizationPolicy rejected 0",
		"llm_source_objects Gateway rejected 0",
		"llm_source_objects LLMProvider accepted 0",
		"llm_source_objects LLMProvider rejected 0",
		"llm_source_objects LLMRoute accepted 2",
		"llm_source_objects LLMRoute rejected 1",
	}
	if got := gather(t, registry); !slices.Equal(got, want) {
		t.Errorf("got\n%s, want\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// gather lists the values of counters and gauges with their names and labels.
func gather(t *testing.T, registry *prometheus.Registry) (out []string) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			line := family.GetName()
			for _, l := range m.GetLabel() {
				line += " " + l.GetValue()
			}
			out = append(out, fmt.Sprint(line, " ", m.GetCounter().GetValue()+m.GetGauge().GetValue()))
		}
	}
	slices.Sort(out)
	return out
}
