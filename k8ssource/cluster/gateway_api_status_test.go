package cluster

import (
	"encoding/json"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/caddy-llm/gateway/k8ssource"
	"github.com/caddy-llm/gateway/k8ssource/gatewayapi"
)

// TestParentsKeepTheirPlaces holds that the entries of a route's parents stay where they are,
// those of other controllers and those of the gateway's own: two controllers that put their own
// last would write for ever.
func TestParentsKeepTheirPlaces(t *testing.T) {
	parent := func(controller, name string) map[string]any {
		return map[string]any{"controllerName": controller, "parentRef": map[string]any{"name": name}, "conditions": []any{}}
	}
	status := &gatewayapi.Status{Kind: gatewayapi.KindHTTPRoute, Object: new(gatewayapi.HTTPRoute)}
	for _, name := range []string{"new", "b"} {
		p := gatewayapi.ParentStatus{Controller: k8ssource.ControllerName, Conditions: []metav1.Condition{{Type: "Accepted", Status: metav1.ConditionTrue}}}
		p.Ref.Name = name
		status.Parents = append(status.Parents, p)
	}
	next := func(parents ...any) (names string, after map[string]any, settled bool) {
		raw := map[string]any{"parents": parents}
		out, _ := nextAPIStatus(raw, status, time.Unix(1e9, 0))
		data, err := json.Marshal(out)
		if err != nil || json.Unmarshal(data, &after) != nil {
			t.Fatal(err)
		}
		for _, p := range after["parents"].([]any) {
			names += p.(map[string]any)["parentRef"].(map[string]any)["name"].(string) + " "
		}
		return names, after, sameJSON(out, raw)
	}
	names, after, _ := next(parent(k8ssource.ControllerName, "gone"), parent(k8ssource.ControllerName, "b"), parent("example.com/theirs", "theirs"))
	if names != "b theirs new " {
		t.Errorf("the parents are %s", names)
	}
	if again, _, settled := next(after["parents"].([]any)...); again != names || !settled {
		t.Errorf("the parents are %s after %s, and as they should be: %v", again, names, settled)
	}
}
