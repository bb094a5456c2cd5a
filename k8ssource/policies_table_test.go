package k8ssource

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/zap"
	"sigs.k8s.io/yaml"

	"github.com/caddy-llm/gateway/integration/policycases"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/authz"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// tokenHeader carries the tokens of the cases.
const tokenHeader = "X-Case-Token"

// TestPoliciesAsObjects runs the cases of package authz with policies, tokens and
// the mesh's configuration as objects of Kubernetes.
func TestPoliciesAsObjects(t *testing.T) {
	count := 0
	for _, group := range policycases.All(t) {
		t.Run(group.Name, func(t *testing.T) {
			straight, inverse := policySet(t, &group, false), policySet(t, &group, true)
			for i := range group.Requests {
				c := &group.Requests[i]
				if c.Token != nil && c.Token["iss"] == nil {
					continue // refused for its token, whatever policies say
				}
				count++
				if d := decidedBy(t, c, straight); (d.Refusal == nil) != c.Allowed {
					t.Errorf("%s: allowed is %v (%s), want %v", c.Name, d.Refusal == nil, d.Reason, c.Allowed)
				}
				want, said := group.AllowedInversely(c)
				if d := decidedBy(t, c, inverse); said && (d.Refusal == nil) != want {
					t.Errorf("%s, with ALLOW and DENY exchanged: allowed is %v (%s), want %v", c.Name, d.Refusal == nil, d.Reason, want)
				}
			}
		})
	}
	if count < 300 {
		t.Errorf("only %d cases", count)
	}
}

// policySet puts a group's policies in force, by way of a file.
func policySet(t *testing.T, g *policycases.Group, inverted bool) *authz.Set {
	t.Helper()
	objects := []map[string]any{
		{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "istio", "namespace": "istio-system"}, "data": map[string]any{
			"mesh": fmt.Sprintf("defaultConfig: {gatewayTopology: {numTrustedProxies: %d}}", g.NumTrustedProxies),
		}},
		// So that headers with _ in their names arrive.
		{"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": map[string]any{"name": "gw"}, "spec": map[string]any{
			"servers": []any{map[string]any{"port": map[string]any{"number": 80, "protocol": "HTTP"}, "hosts": []any{"*"}}},
		}},
	}
	issuers := make(map[string]bool)
	for _, c := range g.Requests {
		if issuer, _ := c.Token["iss"].(string); issuer != "" && !issuers[issuer] {
			issuers[issuer] = true
			objects = append(objects, map[string]any{"apiVersion": "security.istio.io/v1", "kind": object.KindRequestAuthentication,
				"metadata": map[string]any{"name": fmt.Sprint("r", len(issuers))},
				"spec":     map[string]any{"jwtRules": []any{map[string]any{"issuer": issuer, "jwks": policycases.TokenKeys(t), "fromHeaders": []any{map[string]any{"name": tokenHeader}}}}}})
		}
	}
	for i, spec := range g.Policies {
		if inverted {
			action := "DENY"
			if spec["action"] == "DENY" {
				action = "ALLOW"
			}
			spec["action"] = action
		}
		objects = append(objects, map[string]any{"apiVersion": "security.istio.io/v1", "kind": object.KindAuthorizationPolicy, "metadata": map[string]any{"name": fmt.Sprint("p", i)}, "spec": spec})
	}
	var text strings.Builder
	for _, o := range objects {
		data, err := yaml.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString("---\n" + string(data))
	}
	state := Translate(mustDecode(t, text.String()), spec.Identity{Namespace: "default"}, Options{})
	set, _ := authz.New(state.Authorization, zap.NewNop())
	return set
}

// decidedBy makes the request and asks the set.
func decidedBy(t *testing.T, c *policycases.Request, set *authz.Set) authz.Decision {
	t.Helper()
	token := ""
	if c.Token != nil {
		token = tokenHeader + ": " + policycases.Signed(t, c.Token) + "\r\n"
	}
	return set.Authorize(make(http.Header), c.HTTP(t, token), nil, c.GatewayPort())
}
