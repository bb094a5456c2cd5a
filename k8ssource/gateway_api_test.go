package k8ssource_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/k8ssource"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

const gatewayAPIObjects = `
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: llm}
spec: {controllerName: istio.alibabacloud.com/llm-gateway}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: infra}
spec:
  gatewayClassName: llm
  listeners:
    - {name: http, port: 8080, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}
---
apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMProvider
metadata: {name: cloud, namespace: app}
spec: {host: api.example.com}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: chat, namespace: app}
spec:
  parentRefs: [{name: edge, namespace: infra}]
  hostnames: [llm.example.com]
  rules:
    - name: any
      backendRefs: [{group: istio.alibabacloud.com, kind: LLMProvider, name: cloud}]
    - name: exact
      matches:
        - {path: {type: Exact, value: /v1/chat/completions}, method: POST}
      backendRefs: [{group: istio.alibabacloud.com, kind: LLMProvider, name: cloud}]
    - name: service
      matches: [{path: {value: /plain}}]
      backendRefs: [{name: web, port: 80}]
    - name: foreign
      matches: [{path: {value: /foreign}}]
      backendRefs: [{group: istio.alibabacloud.com, kind: LLMProvider, name: cloud, namespace: other}]
`

func TestHTTPRoute(t *testing.T) {
	objects, err := object.Decode("a.yaml", []byte(gatewayAPIObjects))
	if err != nil {
		t.Fatal(err)
	}
	var translator k8ssource.Translator
	state := translator.Translate(objects, spec.Identity{}, k8ssource.Options{})
	if len(state.Listeners) != 1 || state.Listeners[0].Address != ":8080" {
		t.Fatalf("listeners %+v", state.Listeners)
	}
	routes := state.Tables[state.Listeners[0].Servers[0].Table]
	if len(routes) != 1 || strings.Join(routes[0].Hosts, " ") != "llm.example.com" {
		t.Fatalf("routes %+v", routes)
	}
	var names []string
	for _, rule := range routes[0].Rules {
		what := string(rule.HandlerRaw)
		for _, b := range rule.Backends {
			what += b.Provider + b.Unusable
		}
		names = append(names, rule.Name+"="+what)
	}
	if got, want := strings.Join(names, " "), `exact=app/cloud foreign=RefNotPermitted service={"handler":"llm_http_route","services":[{"name":"app/web:80","unusable":"ServiceNotFound","weight":1}]} any=app/cloud`; got != want {
		t.Errorf("the rules are %s, want %s", got, want)
	}
	got, err := json.Marshal(translator.GatewayAPI()(nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"attachedRoutes":1`, `"reason":"BackendNotFound"`, `there is no Service of this name`, `"controllerName":"istio.alibabacloud.com/llm-gateway"`, `"parentRef":{"namespace":"infra","name":"edge"}`} {
		if !strings.Contains(string(got), want) {
			t.Errorf("the status has no %s: %s", want, got)
		}
	}
}

// TestHTTPRouteMatchesThatCannotBeUsed holds that what such an entry was meant for does not go
// where a broader rule leads: it is answered with 503.
func TestHTTPRouteMatchesThatCannotBeUsed(t *testing.T) {
	for match, want := range map[string]string{
		`{path: {type: RegularExpression, value: "("}}`:                                                                          ``,
		`{path: {type: Suffix, value: /x}}`:                                                                                      ``,
		`{method: POST, path: {value: /v1}, headers: [{type: RegularExpression, name: a, value: "("}]}`:                          `llm_http_route={"path_prefix":"/v1"} method=["POST"]`,
		`{headers: [{name: A, value: b}, {type: Odd, name: c, value: d}]}`:                                                       `llm_header={"a":{"exact":"b"}}`,
		`{headers: [{name: a, value: b}, {name: A, value: c}, {name: ":path", value: d}]}`:                                       `llm_header={"a":{"exact":"b"}}`,
		`{headers: [{name: Host, value: "A.example:80"}, {name: "x y", value: d}]}`:                                              `llm_header={"host":{"exact":"a.example"}}`,
		`{headers: [{name: x, type: RegularExpression, value: "` + strings.Repeat("a", 5000) + `"}]}`:                            ``,
		`{path: {type: Exact}, queryParams: [{name: a, type: Odd}]}`:                                                             `llm_http_route={"path_exact":"/"}`,
		`{path: {type: Exact, value: /x}, queryParams: [{type: RegularExpression, name: a, value: "a)"}, {name: "", value: b}]}`: `llm_http_route={"path_exact":"/x"}`,
	} {
		objects, err := object.Decode("a.yaml", []byte(strings.Replace(gatewayAPIObjects, "{path: {type: Exact, value: /v1/chat/completions}, method: POST}", match, 1)))
		if err != nil {
			t.Fatal(err)
		}
		var translator k8ssource.Translator
		state := translator.Translate(objects, spec.Identity{}, k8ssource.Options{})
		found := false
		for _, rule := range state.Tables[state.Listeners[0].Servers[0].Table][0].Rules {
			if rule.Name != "exact" {
				continue
			}
			found = true
			var parts []string
			for _, set := range rule.MatcherSetsRaw {
				for _, name := range slices.Sorted(maps.Keys(set)) {
					parts = append(parts, name+"="+string(set[name]))
				}
			}
			got := strings.Join(parts, " ")
			if len(rule.Backends) != 1 || rule.Backends[0].Unusable != object.ReasonInvalidField || got != want {
				t.Errorf("%s: the rule matches %s and leads to %+v", match, got, rule.Backends[0])
			}
		}
		status, err := json.Marshal(translator.GatewayAPI()(nil))
		if err != nil {
			t.Fatal(err)
		}
		if !found || !strings.Contains(string(status), `"reason":"UnsupportedValue"`) || !strings.Contains(string(status), "are answered with 503") {
			t.Errorf("%s: %s", match, status)
		}
	}
}

// TestGatewayAPIOfWorkloads holds who serves such Gateways: everything but sidecars, also what
// listens for the mesh and has no identity, as manifests that are run by the adapter.
func TestGatewayAPIOfWorkloads(t *testing.T) {
	known := spec.Identity{Namespace: "app"}
	for _, c := range []struct {
		name     string
		identity spec.Identity
		mesh     string
		served   bool
	}{
		{"a gateway", known, "", true}, {"a sidecar", known, ":15001", false},
		{"an adapter", spec.Identity{}, ":15001", true}, {"no mesh", spec.Identity{}, "", true},
	} {
		objects, err := object.Decode("a.yaml", []byte(gatewayAPIObjects))
		if err != nil {
			t.Fatal(err)
		}
		state := k8ssource.Translate(objects, c.identity, k8ssource.Options{MeshListen: c.mesh})
		served := false
		for _, l := range state.Listeners {
			served = served || l.Address == ":8080"
		}
		if served != c.served {
			t.Errorf("%s: served is %t", c.name, served)
		}
	}
}

// TestHTTPRouteHeaders holds that listeners expect the headers with _ and . that HTTPRoutes
// match by, and that those are reported that cannot arrive.
func TestHTTPRouteHeaders(t *testing.T) {
	for headers, want := range map[string]struct {
		expected string
		lost     bool
	}{
		`{name: User_Type, value: a}`:                              {"user_type", false},
		`{name: user.type, value: a}, {name: other, value: b}`:     {"user.type", false},
		`{name: user_type, value: a}, {name: user-type, value: b}`: {"", true}, // Caddy drops one of the two
		`{name: api_key, value: a}`:                                {"", true}, // the credential would be lost
		`{name: user-type, value: a}`:                              {"", false},
	} {
		objects, err := object.Decode("a.yaml", []byte(strings.Replace(gatewayAPIObjects, "{path: {type: Exact, value: /v1/chat/completions}, method: POST}", "{headers: ["+headers+"]}", 1)))
		if err != nil {
			t.Fatal(err)
		}
		var translator k8ssource.Translator
		state := translator.Translate(objects, spec.Identity{}, k8ssource.Options{})
		if got := strings.Join(state.Listeners[0].Headers, " "); got != want.expected {
			t.Errorf("%s: the listener expects %q, want %q", headers, got, want.expected)
		}
		status, err := json.Marshal(translator.GatewayAPI()(nil))
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, f := range state.Findings {
			found = found || f.Reason == object.ReasonDroppedHeader
		}
		if said := strings.Contains(string(status), "Caddy drops headers"); found != want.lost || said != want.lost {
			t.Errorf("%s: reported %t, in the status %t, want %t", headers, found, said, want.lost)
		}
	}
}

// TestRefusedHTTPRouteKeepsItsHosts holds that requests for the hosts of a route that cannot be
// used do not go where a route for more hosts leads.
func TestRefusedHTTPRouteKeepsItsHosts(t *testing.T) {
	broken := strings.Replace(gatewayAPIObjects, "    - name: any\n", "    - name: any\n      mathces: []\n", 1) + `---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: all, namespace: app}
spec:
  parentRefs: [{name: edge, namespace: infra}]
  hostnames: ["*.example.com"]
  rules:
    - backendRefs: [{group: istio.alibabacloud.com, kind: LLMProvider, name: cloud}]
`
	objects, err := object.Decode("a.yaml", []byte(broken))
	if err != nil {
		t.Fatal(err)
	}
	state := k8ssource.Translate(objects, spec.Identity{}, k8ssource.Options{})
	led := make(map[string]string)
	for _, route := range state.Tables[state.Listeners[0].Servers[0].Table] {
		for _, rule := range route.Rules {
			led[route.Hosts[0]] += rule.Backends[0].Provider + rule.Backends[0].Unusable
		}
	}
	if led["llm.example.com"] != object.ReasonUnknownField || led["*.example.com"] != "app/cloud" {
		t.Errorf("requests go to %v; found is %+v", led, state.Findings)
	}
}
