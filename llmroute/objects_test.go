package llmroute

import (
	"maps"
	"slices"
	"testing"

	"github.com/caddy-llm/gateway/llmroute/authz"
	"github.com/caddy-llm/gateway/llmroute/meter"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

func TestObjectsAreCounted(t *testing.T) {
	entries := []*routeEntry{
		{Route: &spec.Route{Origin: "LLMRoute default/a in a.yaml"}},
		{Route: &spec.Route{Origin: "LLMRoute default/a in a.yaml"}}, // for another host
		{Route: &spec.Route{Origin: "LLMRoute default/b in a.yaml"}},
		{Route: &spec.Route{Origin: "LLMRoute default/wrong in a.yaml", Unusable: "InvalidRoute"}},
		{Route: &spec.Route{Origin: "LLMProvider default/refused in a.yaml", Unusable: "InvalidKey"}},
		{Route: &spec.Route{}}, // of the configuration
	}
	got := (&snapshot{
		state: &spec.State{
			Providers:     []*spec.Provider{{Name: "default/p", Origin: "LLMProvider default/p in a.yaml"}, {Name: "default/q", Origin: "LLMProvider default/q in a.yaml"}},
			Authorization: &authz.Config{Policies: []*authz.Policy{{Name: "default/one"}, {Name: "default/wrong"}}},
			Findings: []spec.Finding{
				{Object: "AuthorizationPolicy default/wrong", Reason: "InvalidField"},
				{Object: "LLMProvider default/refused", Reason: "InvalidKey"}, {Object: "LLMProvider default/p", Reason: "Conflict", Used: true},
				{Object: "Gateway default/g", Reason: "UnsupportedServer"},
			},
		},
		providers: map[string]*provider{"default/p": {}}, // q could not be set up
		tables:    map[string]*table{"mesh": {entries: entries}},
	}).source()
	accepted := []string{"AuthorizationPolicy default/one", "LLMProvider default/p", "LLMRoute default/a", "LLMRoute default/b"}
	if got := slices.Sorted(maps.Keys(got.Accepted)); !slices.Equal(got, accepted) {
		t.Errorf("accepted are %q, want %q", got, accepted)
	}
	rejected := []string{"AuthorizationPolicy default/wrong", "Gateway default/g", "LLMProvider default/q", "LLMProvider default/refused", "LLMRoute default/wrong"}
	if got := slices.Sorted(maps.Keys(got.Rejected)); !slices.Equal(got, rejected) {
		t.Errorf("rejected are %q, want %q", got, rejected)
	}
	findings := map[meter.Finding]int{
		{Reason: "InvalidField"}: 1, {Reason: "InvalidKey"}: 1, {Reason: "UnsupportedServer"}: 1, {Reason: "Conflict", Used: true}: 1,
	}
	if !maps.Equal(got.Findings, findings) {
		t.Errorf("findings are %v, want %v", got.Findings, findings)
	}
}
