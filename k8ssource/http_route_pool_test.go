package k8ssource

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// TestHTTPRouteToAProviderOfAPool holds that an HTTPRoute may name an LLMProvider that is for an
// InferencePool, with the same effect as naming the pool.
func TestHTTPRouteToAProviderOfAPool(t *testing.T) {
	const objects = `apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: llm}
spec: {controllerName: istio.alibabacloud.com/llm-gateway}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: ns}
spec: {gatewayClassName: llm, listeners: [{name: http, port: 8080, protocol: HTTP}]}
---
apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata: {name: p, namespace: ns}
spec: {selector: {matchLabels: {app: p}}, targetPorts: [{number: 8000}], appProtocol: %s}
---
apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMProvider
metadata: {name: own, namespace: ns, creationTimestamp: "2026-01-01T00:00:00Z"}
spec: {pool: {name: p}}
---
apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMProvider
metadata: {name: second, namespace: ns, creationTimestamp: "2026-01-02T00:00:00Z"}
spec: {pool: {name: p}}
---
apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMProvider
metadata: {name: lost, namespace: ns}
spec: {pool: {name: nowhere}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: ns}
spec: {parentRefs: [{name: edge}], rules: [{backendRefs: [%s]}]}
`
	provider := func(name string) string {
		return "{group: istio.alibabacloud.com, kind: LLMProvider, name: " + name + "}"
	}
	for name, test := range map[string]struct{ protocol, ref, want, parents string }{
		"the pool":            {"http", "{group: inference.networking.k8s.io, kind: InferencePool, name: p}", "ns/own", "1"},
		"its provider":        {"http", provider("own"), "ns/own", "1"},
		"another provider":    {"http", provider("second"), "ProviderNotFound", "1"},
		"one without a pool":  {"http", provider("lost"), "PoolNotFound", "0"},
		"a pool not used":     {"ftp", provider("own"), "PoolRefused", "1"},
		"no provider of that": {"http", provider("nobody"), "ProviderNotFound", "0"},
	} {
		t.Run(name, func(t *testing.T) {
			decoded, err := object.Decode("a.yaml", fmt.Appendf(nil, objects, test.protocol, test.ref))
			if err != nil {
				t.Fatal(err)
			}
			state := Translate(decoded, spec.Identity{}, Options{})
			rule := state.Tables[state.Listeners[0].Servers[0].Table][0].Rules[0]
			if got := rule.Backends[0].Provider + rule.Backends[0].Unusable; got != test.want {
				t.Errorf("the backend is %s, want %s", got, test.want)
			}
			if got := fmt.Sprint(len(PoolOutcomes(decoded, state, Options{})[0].Parents)); got != test.parents {
				t.Errorf("the pool has %s parents, want %s", got, test.parents)
			}
			refused := false
			for _, f := range state.Findings {
				refused = refused || f.Object == "LLMProvider ns/own" && f.Reason == object.ReasonPoolRefused && f.Used && strings.HasPrefix(f.Message, "spec.pool.name: ")
			}
			if refused != (test.protocol == "ftp") {
				t.Errorf("the LLMProvider says that its pool is not used: %v", refused)
			}
		})
	}
}
