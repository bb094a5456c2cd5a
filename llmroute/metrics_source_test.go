package llmroute

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-llm/gateway/llmroute/authz"
)

func TestObjectsAreCounted(t *testing.T) {
	m := newSourceMetrics()
	registry := prometheus.NewRegistry()
	registry.MustRegister(m.objects, m.findings, m.snapshots)
	entries := []*routeEntry{
		{Route: &Route{Origin: "LLMRoute default/a in a.yaml"}},
		{Route: &Route{Origin: "LLMRoute default/a in a.yaml"}}, // for another host
		{Route: &Route{Origin: "LLMRoute default/b in a.yaml"}},
		{Route: &Route{Origin: "LLMRoute default/wrong in a.yaml", Unusable: "InvalidRoute"}},
		{Route: &Route{Origin: "LLMProvider default/refused in a.yaml", Unusable: "InvalidKey"}},
		{Route: &Route{}}, // of the configuration
	}
	m.use(&snapshot{
		state: &State{
			Providers:     []*ProviderSpec{{Name: "default/p", Origin: "LLMProvider default/p in a.yaml"}, {Name: "default/q", Origin: "LLMProvider default/q in a.yaml"}},
			Authorization: &authz.Config{Policies: []*authz.Policy{{Name: "default/one"}, {Name: "default/wrong"}}},
			Findings: []Finding{
				{Object: "AuthorizationPolicy default/wrong", Reason: "InvalidField"},
				{Object: "LLMProvider default/refused", Reason: "InvalidKey"}, {Object: "LLMProvider default/p", Reason: "Conflict", Used: true},
				{Object: "Gateway default/g", Reason: "UnsupportedServer"},
			},
		},
		providers: map[string]*provider{"default/p": {}}, // q could not be set up
		tables:    map[string]*table{"mesh": {entries: entries}},
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
	m.use(&snapshot{state: &State{Findings: []Finding{{Object: "LLMProvider default/p", Reason: "Conflict", Used: true}}}})
	m.use(&snapshot{state: &State{}, tables: map[string]*table{"mesh": {entries: entries[:4]}}})
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
