package k8ssource

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/k8ssource/gatewayapi"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

func TestPoolOutcomes(t *testing.T) {
	const pool = `apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata: {name: p, namespace: ns}
spec: {selector: {matchLabels: {app: p}}, targetPorts: [{number: 8000}], appProtocol: %s}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: ours, namespace: ns}
spec: {selector: {app: gw}, servers: [{port: {number: 80, name: a, protocol: HTTP}, hosts: ["*"]}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: theirs, namespace: ns}
spec: {selector: {app: other}, servers: [{port: {number: 80, name: a, protocol: HTTP}, hosts: ["*"]}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: llm}
spec: {controllerName: istio.alibabacloud.com/llm-gateway}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: api, namespace: ns}
spec: {gatewayClassName: llm, listeners: [{name: http, port: 81, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: foreign, namespace: ns}
spec: {gatewayClassName: other, listeners: [{name: http, port: 82, protocol: HTTP}]}
`
	route := func(namespace, name, gateways, backend string) string {
		return fmt.Sprintf("---\napiVersion: istio.alibabacloud.com/v1beta1\nkind: LLMRoute\nmetadata: {name: %s, namespace: %s}\nspec:\n  host: %s.example.com\n  gateways: [%s]\n  rules: [{backendRefs: [%s]}]\n",
			name, namespace, name, gateways, backend)
	}
	const ref = "{backendRef: {group: inference.networking.k8s.io, kind: InferencePool, namespace: ns, name: p}}"
	for name, test := range map[string]struct{ protocol, routes, want string }{
		"no route":                      {"http", "", ""},
		"another pool":                  {"http", route("ns", "r", "ours", strings.Replace(ref, "name: p}", "name: q}", 1)), ""},
		"a route at a Gateway":          {"http", route("ns", "r", "ours", ref), "Gateway ns/ours Accepted ResolvedRefs"},
		"a Gateway of Gateway API":      {"http", route("ns", "r", "api", ref), "gateway.networking.k8s.io Gateway ns/api Accepted ResolvedRefs"},
		"one of another controller":     {"http", route("ns", "r", "foreign", ref), ""},
		"two routes at a Gateway":       {"http", route("ns", "r", "ours", ref) + route("ns", "s", "ours", ref), "Gateway ns/ours Accepted ResolvedRefs"},
		"a Gateway of another workload": {"http", route("ns", "r", "theirs", ref), ""},
		"a Gateway that is not there":   {"http", route("ns", "r", "nowhere", ref), ""},
		"a namespace without the right": {"http", route("other", "r", "ns/ours", ref), ""},
		"the root namespace":            {"http", route("istio-system", "r", "ns/ours", ref), "Gateway ns/ours Accepted ResolvedRefs"},
		"a route that is refused":       {"http", route("ns", "r", "ours", ref+", {providerHost: a, weight: -1}"), "Gateway ns/ours HTTPRouteNotAccepted ResolvedRefs"},
		"one of two is refused":         {"http", route("ns", "r", "ours", ref+", {providerHost: a, weight: -1}") + route("ns", "s", "ours", ref), "Gateway ns/ours Accepted ResolvedRefs"},
		"a pool that cannot be used":    {"ftp", route("ns", "r", "ours", ref), "Gateway ns/ours NotSupportedByParent ResolvedRefs"},
	} {
		t.Run(name, func(t *testing.T) {
			objects, err := object.Decode("a.yaml", []byte(fmt.Sprintf(pool, test.protocol)+test.routes))
			if err != nil {
				t.Fatal(err)
			}
			identity := spec.Identity{Namespace: "ns", Labels: map[string]string{"app": "gw"}}
			state := Translate(objects, identity, Options{})
			var got []string
			for _, o := range PoolOutcomes(objects, state, Options{}) {
				for _, p := range o.Parents {
					group := ""
					if p.Group == gatewayapi.Group {
						group = p.Group + " "
					}
					got = append(got, group+fmt.Sprintf("%s %s/%s %s %s", p.Kind, p.Namespace, p.Name, p.Conditions[0].Reason, p.Conditions[1].Reason))
				}
			}
			if text := strings.Join(got, "; "); text != test.want {
				t.Errorf("got %q, want %q; findings %+v", text, test.want, state.Findings)
			}
		})
	}
}
