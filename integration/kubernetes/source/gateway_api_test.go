package source_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/integration/gateway"
	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
)

// TestGatewayAPI has a Gateway of Gateway API, with an HTTPRoute to an LLMProvider.
func TestGatewayAPI(t *testing.T) {
	c := cluster.Shared(t)
	c.InstallCRDs(crds)
	c.InstallGatewayAPICRDs()
	w := newWorld(t, c)
	port := gateway.FreePort(t)
	t.Cleanup(func() { w.Kubectl("delete", "gatewayclass", w.ns) }) // or other gateways would serve it
	route := func(host, provider string) string {
		return `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: chat}
spec:
  parentRefs: [{name: edge, sectionName: http}, {name: edge, sectionName: nowhere}]
  hostnames: [` + host + `]
  rules:
  - matches: [{path: {value: /v1}, headers: [{name: tier, value: gold}]}]
    backendRefs: [{group: istio.alibabacloud.com, kind: LLMProvider, name: ` + provider + `}]
`
	}
	w.apply(`apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: `+w.ns+`}
spec: {controllerName: istio.alibabacloud.com/llm-gateway}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  gatewayClassName: `+w.ns+`
  listeners:
  - {name: http, port: 80, protocol: HTTP, hostname: "*.example.com", allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {kubernetes.io/metadata.name: `+w.ns+`}}}}}
  - {name: tcp, port: 81, protocol: TCP}
---
`, providerObject("one", w.host, "model: m"), route("llm.example.com", "one"))
	g := w.start(settings{options: fmt.Sprint("gateway_addresses 203.0.113.7 llm.example.com\n\t\t\tport_map 80:", port)})
	status := func(resource, name, path, want string) {
		t.Helper()
		until(t, "status of "+resource+" "+path, func() (bool, string) {
			r := w.Kubectl("get", resource, name, "-n", w.ns, "-o", "jsonpath="+path)
			return r.Stdout == want, r.Stdout + r.Stderr
		})
	}
	all := func(of string) string {
		return `{range ` + of + `}{.type}={.status}/{.reason}/{.observedGeneration} {end}`
	}
	status("gatewayclass", w.ns, all(".status.conditions[*]"), "Accepted=True/Accepted/1 ")
	status("gateways.gateway.networking.k8s.io", "edge", all(".status.conditions[*]"), "Accepted=True/ListenersNotValid/1 Programmed=True/Programmed/1 ")
	status("gateways.gateway.networking.k8s.io", "edge", "{range .status.addresses[*]}{.type}={.value} {end}", "IPAddress=203.0.113.7 Hostname=llm.example.com ")
	status("gateways.gateway.networking.k8s.io", "edge", "{.status.listeners[0].attachedRoutes} {.status.listeners[1].attachedRoutes}", "1 0")
	status("httproute", "chat", all(".status.parents[0].conditions[*]"), "Accepted=True/Accepted/1 ResolvedRefs=True/ResolvedRefs/1 ")
	status("httproute", "chat", all(".status.parents[1].conditions[*]"), "Accepted=False/NoMatchingParent/1 ResolvedRefs=True/ResolvedRefs/1 ")

	post := func(tier string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d/v1/chat/completions", port), strings.NewReader(`{"messages":[]}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "llm.example.com"
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Tier", tier)
		return g.do(req).status
	}
	until(t, "a response", func() (bool, string) { s := post("gold"); return s == http.StatusOK, fmt.Sprint(s) })
	if got := post("silver"); got != http.StatusNotFound {
		t.Errorf("a request that no rule matches gets %d, want 404", got)
	}

	w.apply(route("llm.example.com", "two"))
	status("httproute", "chat", all(".status.parents[0].conditions[*]"), "Accepted=True/Accepted/2 ResolvedRefs=False/BackendNotFound/2 ")
	if got := post("gold"); got != http.StatusServiceUnavailable {
		t.Errorf("a request for a provider that is not there gets %d, want 503", got)
	}
	w.apply(route("other.example.org", "one"))
	status("httproute", "chat", all(".status.parents[0].conditions[*]"), "Accepted=False/NoMatchingListenerHostname/3 ResolvedRefs=True/ResolvedRefs/3 ")
	w.Kubectl("patch", "httproute", "chat", "-n", w.ns, "--type=merge", "-p", `{"spec":{"parentRefs":[{"name":"elsewhere"}]}}`)
	status("httproute", "chat", "{.status.parents}", "[]")
}

// TestPolicyOfAGateway has a Gateway, its policy and its routes in a namespace that is not the
// workload's, and of one of the routes more is wrong than a condition can say.
func TestPolicyOfAGateway(t *testing.T) {
	c := cluster.Shared(t)
	c.InstallCRDs(crds)
	c.InstallGatewayAPICRDs()
	c.InstallIstioCRDs("AuthorizationPolicy", "RequestAuthentication")
	w := newWorld(t, c)
	port, infra := gateway.FreePort(t), c.Namespace()
	t.Cleanup(func() { w.Kubectl("delete", "gatewayclass", w.ns) }) // or other gateways would serve it
	route := func(name, rules string) string {
		return `---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: ` + name + `}
spec: {parentRefs: [{name: edge}], hostnames: [` + name + `.example.com], rules: [` + rules + `]}
`
	}
	crowd := "{backendRefs: [" + strings.Repeat("{group: example.com, kind: Nothing, name: x}, ", 16) + "]}, "
	c.Apply(`apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: `+w.ns+`}
spec: {controllerName: istio.alibabacloud.com/llm-gateway}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec: {gatewayClassName: `+w.ns+`, listeners: [{name: http, port: 80, protocol: HTTP}]}
`+route("a", strings.Repeat(crowd, 16))+route("b", "{}"), "-n", infra)
	g := w.start(settings{options: fmt.Sprint("port_map 80:", port)})
	for name, want := range map[string]string{"a": "True/Accepted False/InvalidKind", "b": "True/Accepted True/ResolvedRefs"} {
		until(t, "status of "+name, func() (bool, string) {
			r := c.Kubectl("get", "httproute", name, "-n", infra, "-o", "jsonpath={range .status.parents[0].conditions[*]}{.status}/{.reason} {end}")
			return r.Stdout == want+" ", r.Stdout + r.Stderr
		})
	}
	asked := func(want int) {
		t.Helper()
		until(t, fmt.Sprint("a response ", want), func() (bool, string) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/", port), nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = "b.example.com"
			got := g.do(req).status
			return got == want, fmt.Sprint(got)
		})
	}
	asked(http.StatusInternalServerError) // the rule has no backend
	c.Apply(`apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: closed}
spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}], action: DENY, rules: [{}]}
`, "-n", infra)
	asked(http.StatusForbidden)
}

// TestServiceBackend has an HTTPRoute to a Service, with a policy at the Gateway's port.
func TestServiceBackend(t *testing.T) {
	address := ownAddress(t)
	c := cluster.Shared(t)
	c.InstallCRDs(crds)
	c.InstallGatewayAPICRDs()
	c.InstallIstioCRDs("AuthorizationPolicy")
	w := newWorld(t, c)
	port := gateway.FreePort(t)
	t.Cleanup(func() { w.Kubectl("delete", "gatewayclass", w.ns) }) // or other gateways would serve it
	w.apply(`apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: ` + w.ns + `}
spec: {controllerName: istio.alibabacloud.com/llm-gateway}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  gatewayClassName: ` + w.ns + `
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{name: edge}]
  rules:
  - filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-a, value: b}]}}]
    backendRefs: [{name: web, port: 80}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: None, ports: [{name: http, port: 80}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: block}
spec: {action: DENY, rules: [{to: [{operation: {paths: [/admin*]}}]}]}
`)
	g := w.start(settings{options: fmt.Sprint("port_map 80:", port)})
	get := func(target string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", port, target), nil)
		if err != nil {
			t.Fatal(err)
		}
		a := g.do(req)
		return a.status, a.body
	}
	becomes := func(status int, body string) {
		t.Helper()
		until(t, fmt.Sprint(status, " ", body), func() (bool, string) {
			s, b := get("/page")
			return s == status && strings.HasPrefix(b, body), fmt.Sprint(s, " ", b)
		})
	}
	becomes(http.StatusServiceUnavailable, "")

	for _, name := range []string{"one", "two"} {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(rw, "%s %s %s", name, r.URL.Path, r.Header.Get("X-A"))
		}))
		listener, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
		if err != nil {
			t.Fatal(err)
		}
		s.Listener = listener
		s.Start()
		t.Cleanup(s.Close)
		w.apply(fmt.Sprintf(`apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: %d}]
endpoints: [{addresses: [%s], conditions: {ready: true}}]
`, listener.Addr().(*net.TCPAddr).Port, address))
		becomes(http.StatusOK, name+" /page b")
	}
	for _, target := range []string{"/admin/x", "//admin", "/x/%2e%2e/admin"} {
		if status, body := get(target); status != http.StatusForbidden {
			t.Errorf("%s: %d %s, want 403", target, status, body)
		}
	}
	w.Kubectl("delete", "service", "web", "-n", w.ns)
	becomes(http.StatusInternalServerError, "")
	until(t, "status", func() (bool, string) {
		r := w.Kubectl("get", "httproute", "web", "-n", w.ns, "-o", "jsonpath={.status.parents[0].conditions[?(@.type=='ResolvedRefs')].reason}")
		return r.Stdout == "BackendNotFound", r.Stdout + r.Stderr
	})
}

// ownAddress is an IPv4 address of this machine that an EndpointSlice may have.
func ownAddress(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			return n.IP.String()
		}
	}
	t.Skip("this machine has no IPv4 address that an EndpointSlice may have")
	return ""
}
