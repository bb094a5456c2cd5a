package k8ssource_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/k8ssource"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// serviceObjects are an HTTPRoute with one rule, the Service web of its namespace and
// EndpointSlices of that.
func serviceObjects(rule, service, slices string) string {
	head, _, _ := strings.Cut(gatewayAPIObjects, "apiVersion: istio.alibabacloud.com")
	return head + `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: app}
spec:
  parentRefs: [{name: edge, namespace: infra}]
  rules: [` + rule + `]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: app}
spec: ` + service + `
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: app, labels: {kubernetes.io/service-name: web}}
` + slices
}

// handlerOf translates the objects and returns the handler of the only rule, and the status of
// the route.
func handlerOf(t *testing.T, objects string, options k8ssource.Options) (handler, status string) {
	t.Helper()
	decoded, err := object.Decode("a.yaml", []byte(objects))
	if err != nil {
		t.Fatal(err)
	}
	var translator k8ssource.Translator
	state := translator.Translate(decoded, spec.Identity{}, options)
	rules := state.Tables[state.Listeners[0].Servers[0].Table][0].Rules
	if len(rules) != 1 || len(rules[0].Backends) > 0 {
		t.Fatalf("the rules are %+v", rules)
	}
	for _, s := range translator.GatewayAPI()(nil) {
		for _, p := range s.Parents {
			for _, c := range p.Conditions {
				status += fmt.Sprintf("%s=%s ", c.Type, c.Reason)
				if c.Message != "" {
					status += c.Message + " "
				}
			}
		}
	}
	handler = strings.Trim(string(rules[0].HandlerRaw), "{}")
	const name = `"handler":"llm_http_route"`
	if !strings.Contains(handler, name) {
		t.Fatalf("the handler is %s", rules[0].HandlerRaw)
	}
	return strings.Trim(strings.Replace(strings.Replace(","+handler, ","+name, "", 1), ",,", ",", 1), ","), status
}

func TestServiceBackends(t *testing.T) {
	const (
		rule    = `{backendRefs: [{name: web, port: 80}]}`
		service = `{ports: [{name: http, port: 80}, {name: h2, port: 81, appProtocol: kubernetes.io/h2c}, {name: dns, port: 53, protocol: UDP}]}`
		slice   = "addressType: IPv4\nports: [{name: http, port: 8080}, {name: h2, port: 8081}]\nendpoints: "
		good    = slice + `[{addresses: [10.0.0.2]}, {addresses: [10.0.0.1], conditions: {ready: true}}]`
		fine    = "Accepted=Accepted ResolvedRefs=ResolvedRefs"
	)
	for name, c := range map[string]struct {
		rule, service, slices string
		any                   bool
		want, status          string
	}{
		"ready ones, in order":        {rule, service, good, false, `"services":[{"endpoints":["10.0.0.1:8080","10.0.0.2:8080"],"name":"app/web:80","weight":1}]`, fine},
		"weights":                     {`{backendRefs: [{name: web, port: 80, weight: 7}, {name: web, port: 80, weight: 0}]}`, service, good, false, `"services":[{"endpoints":["10.0.0.1:8080","10.0.0.2:8080"],"name":"app/web:80","weight":7},{"endpoints":["10.0.0.1:8080","10.0.0.2:8080"],"name":"app/web:80","weight":0}]`, fine},
		"h2c":                         {`{backendRefs: [{name: web, port: 81}]}`, service, good, false, `"services":[{"endpoints":["10.0.0.1:8081","10.0.0.2:8081"],"h2c":true,"name":"app/web:81","weight":1}]`, fine},
		"not ready, or ending":        {rule, service, slice + `[{addresses: [10.0.0.1], conditions: {ready: false}}, {addresses: [10.0.0.2], conditions: {terminating: true}}]`, false, `"services":[{"name":"app/web:80","weight":1}]`, "no endpoint of the Service is ready"},
		"names are not followed":      {rule, service, slice + `[{addresses: [a.example]}]`, false, `"services":[{"name":"app/web:80","weight":1}]`, "no endpoint of the Service is ready"},
		"the metadata service":        {rule, service, slice + `[{addresses: [169.254.169.254]}, {addresses: [10.0.0.1]}]`, false, `"services":[{"endpoints":["10.0.0.1:8080"],"name":"app/web:80","weight":1}]`, fine},
		"the admin endpoint":          {rule, service, strings.Replace(slice, "8080", "2019", 1) + `[{addresses: [127.0.0.1]}]`, false, `"services":[{"name":"app/web:80","weight":1}]`, "admin endpoint, which is not sent requests"},
		"any host":                    {rule, service, strings.Replace(slice, "8080", "2019", 1) + `[{addresses: [127.0.0.1]}]`, true, `"allow_any_host":true,"services":[{"endpoints":["127.0.0.1:2019"],"name":"app/web:80","weight":1}]`, fine},
		"a slice without the port":    {rule, service, "ports: [{name: other, port: 1}]\nendpoints: [{addresses: [10.0.0.1]}]", false, `"services":[{"name":"app/web:80","weight":1}]`, "no endpoint of the Service is ready"},
		"no such port":                {`{backendRefs: [{name: web, port: 82}]}`, service, good, false, `"services":[{"name":"app/web:82","unusable":"ServiceNotFound","weight":1}]`, "ResolvedRefs=BackendNotFound"},
		"no TCP":                      {`{backendRefs: [{name: web, port: 53}]}`, service, good, false, `"services":[{"name":"app/web:53","unusable":"UnsupportedBackend","weight":1}]`, "ResolvedRefs=UnsupportedProtocol"},
		"another name":                {rule, `{type: ExternalName, externalName: a.example, ports: [{port: 80}]}`, good, false, `"services":[{"name":"app/web:80","unusable":"UnsupportedBackend","weight":1}]`, "ResolvedRefs=UnsupportedProtocol"},
		"no such Service":             {`{backendRefs: [{name: absent, port: 80}]}`, service, good, false, `"services":[{"name":"app/absent:80","unusable":"ServiceNotFound","weight":1}]`, "ResolvedRefs=BackendNotFound"},
		"of another namespace":        {`{backendRefs: [{name: web, namespace: infra, port: 80}]}`, service, good, false, `"services":[{"name":"infra/web:80","unusable":"RefNotPermitted","weight":1}]`, "ResolvedRefs=RefNotPermitted"},
		"another kind":                {`{backendRefs: [{group: example.com, kind: Service, name: web, port: 80}]}`, service, good, false, `"services":[{"name":"app/web:80","unusable":"UnsupportedBackend","weight":1}]`, "ResolvedRefs=InvalidKind"},
		"no backend":                  {`{}`, service, good, false, ``, fine},
		"filters of a backend":        {`{backendRefs: [{name: web, port: 80, filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: [a]}}]}]}`, service, good, false, `"services":[{"endpoints":["10.0.0.1:8080","10.0.0.2:8080"],"name":"app/web:80","request_headers":{"remove":["a"]},"weight":1}]`, fine},
		"a redirect of a backend":     {`{backendRefs: [{name: web, port: 80, filters: [{type: RequestRedirect, requestRedirect: {}}]}]}`, service, good, false, `"services":[{"name":"app/web:80","unusable":"UnsupportedField","weight":1}]`, "Accepted=UnsupportedValue"},
		"what is set, added, removed": {`{filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: A, value: '{env.X}'}], add: [{name: B, value: b}], remove: [c]}}, {type: RequestHeaderModifier, requestHeaderModifier: {remove: [d]}}, {type: ResponseHeaderModifier, responseHeaderModifier: {remove: [e]}}]}`, service, good, false, `"request_headers":{"add":[{"name":"B","value":"b"}],"remove":["c"],"set":[{"name":"A","value":"{env.X}"}]},"response_headers":{"remove":["e"]}`, fine},
		"a redirect":                  {`{matches: [{path: {value: /a}}], filters: [{type: RequestRedirect, requestRedirect: {scheme: https, hostname: B.example, port: 8443, statusCode: 301, path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}]}`, service, good, false, `"redirect":{"host":"B.example","path":{"of":"/a","prefix":"/b"},"port":8443,"scheme":"https","status":301}`, fine},
		"a rewrite":                   {`{filters: [{type: URLRewrite, urlRewrite: {hostname: b.example, path: {type: ReplaceFullPath, replaceFullPath: /b}}}], backendRefs: [{name: web, port: 80}]}`, service, good, false, `"rewrite":{"host":"b.example","path":{"full":"/b"}},"services":[{"endpoints":["10.0.0.1:8080","10.0.0.2:8080"],"name":"app/web:80","weight":1}]`, fine},
	} {
		t.Run(name, func(t *testing.T) {
			handler, status := handlerOf(t, serviceObjects(c.rule, c.service, c.slices), k8ssource.Options{AllowAnyHost: c.any})
			if handler != strings.TrimRight(c.want, "}") {
				t.Errorf("the handler is %s, want %s", handler, c.want)
			}
			if !strings.Contains(status, c.status) {
				t.Errorf("the status is %s, want %s", status, c.status)
			}
		})
	}
}

// TestFiltersThatCannotBeUsed holds that a rule with such a filter passes nothing on: a request
// that the filter was meant to change must not go as it is.
func TestFiltersThatCannotBeUsed(t *testing.T) {
	for _, filter := range []string{
		`{type: RequestMirror, requestMirror: {}}`, `{type: CORS, cors: {}}`, `{type: ExtensionRef, extensionRef: {}}`, `{type: ExternalAuth, externalAuth: {}}`, `{type: Odd}`, `{}`,
		`{type: RequestHeaderModifier}`, `{type: ResponseHeaderModifier}`, `{type: RequestRedirect}`, `{type: URLRewrite}`,
		`{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: "a b", value: c}]}}`, `{type: RequestHeaderModifier, requestHeaderModifier: {add: [{name: a, value: "b\nc"}]}}`,
		`{type: ResponseHeaderModifier, responseHeaderModifier: {remove: ["a\r"]}}`, `{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: "", value: a}]}}`,
		`{type: RequestRedirect, requestRedirect: {scheme: ftp}}`, `{type: RequestRedirect, requestRedirect: {port: 70000}}`, `{type: RequestRedirect, requestRedirect: {statusCode: 200}}`,
		`{type: RequestRedirect, requestRedirect: {hostname: "*.a"}}`, `{type: RequestRedirect, requestRedirect: {hostname: "a/b"}}`, `{type: RequestRedirect, requestRedirect: {path: {type: Odd}}}`,
		`{type: URLRewrite, urlRewrite: {hostname: "a b"}}`, `{type: URLRewrite, urlRewrite: {path: {type: Odd}}}`,
	} {
		rule := `{filters: [` + filter + `], backendRefs: [{name: web, port: 80}]}`
		handler, status := handlerOf(t, serviceObjects(rule, `{ports: [{port: 80}]}`, "ports: [{port: 80}]\nendpoints: [{addresses: [10.0.0.1]}]"), k8ssource.Options{})
		if handler != "" || !strings.Contains(status, "Accepted=UnsupportedValue") || !strings.Contains(status, "are answered with 500") {
			t.Errorf("%s: %q, %s", filter, handler, status)
		}
	}
	rule := `{matches: [{path: {type: Exact, value: /a}}], filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}], backendRefs: [{name: web, port: 80}]}`
	if handler, status := handlerOf(t, serviceObjects(rule, `{ports: [{port: 80}]}`, "endpoints: []"), k8ssource.Options{}); handler != "" || !strings.Contains(status, "match by that") {
		t.Errorf("a prefix in place of an exact path: %q, %s", handler, status)
	}
}

// TestServiceReferences holds that of Services and EndpointSlices only those are followed that
// a route may use.
func TestServiceReferences(t *testing.T) {
	rule := `{backendRefs: [{name: web, port: 80}, {name: web, namespace: infra, port: 80}, {kind: Odd, name: x, port: 80}]}`
	objects, err := object.Decode("a.yaml", []byte(serviceObjects(rule, `{}`, "")))
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(k8ssource.References(objects, spec.Identity{}, k8ssource.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"Kind":"EndpointSlice","Namespace":"app","Name":"","Labels":"kubernetes.io/service-name=web"},{"Kind":"Service","Namespace":"app","Name":"web","Labels":""}]`
	if string(got) != want {
		t.Errorf("the references are %s, want %s", got, want)
	}
}

// TestPoliciesOfGatewaysWithServices holds that what an LLMPolicy attaches to a Gateway is for
// the rules that lead to providers, and leaves alone those that do not.
func TestPoliciesOfGatewaysWithServices(t *testing.T) {
	objects := gatewayAPIObjects + `---
apiVersion: caddy-llm.github.io/v1alpha1
kind: LLMPolicy
metadata: {name: guards, namespace: infra}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}]
  guards: [{name: g, deny: [{regex: zebra}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: redirects, namespace: app}
spec:
  parentRefs: [{name: edge, namespace: infra}]
  rules: [{matches: [{path: {value: /old}}], filters: [{type: RequestRedirect, requestRedirect: {path: {type: ReplaceFullPath, replaceFullPath: /new}}}]}]
`
	decoded, err := object.Decode("a.yaml", []byte(objects))
	if err != nil {
		t.Fatal(err)
	}
	state := k8ssource.Translate(decoded, spec.Identity{}, k8ssource.Options{})
	handled, guarded := 0, 0
	for table, routes := range state.Tables {
		if table == k8ssource.MeshTable { // which is behind no Gateway
			continue
		}
		for _, route := range routes {
			for _, rule := range route.Rules {
				switch {
				case len(rule.HandlerRaw) > 0 && len(rule.Guards) == 0:
					handled++
				case len(rule.HandlerRaw) == 0 && len(rule.Guards) == 1:
					guarded++
				default:
					t.Errorf("%s %v: the guards of %s are %q", table, route.Hosts, rule.Name, rule.Guards)
				}
			}
		}
	}
	if handled == 0 || guarded == 0 {
		t.Errorf("%d rules with a handler, %d with guards; the findings are %+v", handled, guarded, state.Findings)
	}
}
