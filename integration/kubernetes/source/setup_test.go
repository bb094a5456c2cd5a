// Package source_test tests the built gateway's Kubernetes source against a real
// API server.
package source_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/gateway"
	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
	"github.com/caddy-llm/gateway/integration/testclient"
)

func TestMain(m *testing.M) { cluster.Main(m) }

const crds = "../../../examples/kubernetes/crds"

// patience is how long anything may take on a busy machine.
const patience = 60 * time.Second

const config = `{
	shutdown_delay 0s
	llm {
		status_listen 127.0.0.1:{{.Status}}
		source kubernetes {
			kubeconfig {{.Kubeconfig}}
			namespace {{.Namespace}}
			labels app={{.Workload}} {{.Labels}}
			workload {{.Workload}}
			root_namespace {{.Root}}
			{{.Options}}
		}
		{{.App}}
	}
}
http://:{{.Port}} {
	llm_route {
		table mesh
	}
}
`

// settings are what a test may want to be otherwise.
type settings struct {
	kubeconfig string
	workload   string
	root       string
	labels     string
	options    string // of the source
	app        string // further ones of the llm app
}

// world is a namespace of a cluster with the providers its objects name.
type world struct {
	*cluster.Cluster
	t        *testing.T
	ns       string
	host     string // of a provider, unique in the cluster
	provider *fakeprovider.Server
	proxy    *fakeprovider.Proxy
}

func newWorld(t *testing.T, c *cluster.Cluster) *world {
	t.Helper()
	w := &world{Cluster: c, t: t, ns: c.Namespace()}
	w.host = w.ns + ".example.com"
	w.provider = fakeprovider.New(t, fakeprovider.Names(w.host))
	w.proxy = fakeprovider.NewProxy(t, map[string]*fakeprovider.Server{w.host: w.provider})
	return w
}

// running is a gateway with one site.
type running struct {
	*gateway.Gateway
	t           *testing.T
	url, status string
	client      *http.Client
}

// start starts a gateway that acts for a workload of the namespace.
func (w *world) start(s settings) *running {
	w.t.Helper()
	if s.kubeconfig == "" {
		s.kubeconfig = w.Kubeconfig(w.AdminToken)
	}
	if s.workload == "" {
		s.workload = "gw"
	}
	if s.root == "" {
		s.root = "no-such-namespace"
	}
	port, status := gateway.FreePort(w.t), gateway.FreePort(w.t)
	g := gateway.Start(w.t, gateway.Render(w.t, config, map[string]any{
		"Kubeconfig": s.kubeconfig, "Namespace": w.ns, "Workload": s.workload, "Root": s.root, "Labels": s.labels, "Options": s.options, "App": s.app, "Port": port, "Status": status,
	}), gateway.Env("HTTPS_PROXY", w.proxy.URL()), gateway.Env("SSL_CERT_FILE", w.provider.CAFile()))
	return &running{g, w.t, fmt.Sprint("http://127.0.0.1:", port), fmt.Sprint("http://127.0.0.1:", status), &http.Client{Timeout: patience}}
}

// answer is what a client got.
type answer struct {
	status int
	model  string
	body   string
}

// post sends one chat completion for a host.
func (g *running) post(host string) answer {
	req, err := http.NewRequest(http.MethodPost, g.url+"/", strings.NewReader(`{"messages":[{"role":"user","content":"hello"}]}`))
	if err != nil {
		g.t.Fatal(err)
	}
	req.Host = host
	req.Header.Set("Content-Type", "application/json")
	return g.do(req)
}

// do sends a request.
func (g *running) do(req *http.Request) answer {
	r := testclient.Try(g.client, req)
	return answer{r.Status, r.Model(), r.Body}
}

// answers waits until a host is answered with a status and a model.
func (g *running) answers(host string, status int, model string) (took time.Duration) {
	g.t.Helper()
	return until(g.t, fmt.Sprintf("%s answered with %d %s", host, status, model), func() (bool, string) {
		a := g.post(host)
		return a.status == status && a.model == model, fmt.Sprintf("%d %s", a.status, a.body)
	})
}

// ready is what the gateway says of its readiness.
func (g *running) ready() bool {
	res, err := http.Get(g.status + "/readyz")
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// findings are what the gateway says is wrong, as text.
func (g *running) findings() string {
	_, body := g.AdminGet("/llm")
	var v struct{ Findings json.RawMessage }
	_ = json.Unmarshal(body, &v)
	return string(v.Findings)
}

// until polls until something is so, and returns how long that took.
func until(t *testing.T, what string, ok func() (bool, string)) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		done, state := ok()
		if done {
			return time.Since(began)
		}
		if time.Since(began) > patience {
			t.Fatalf("after %v there is no %s; the last was: %s", patience, what, state)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// providerObject is an LLMProvider; config is what openAIConfig has.
func providerObject(name, host, config string) string {
	return fmt.Sprintf(`apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMProvider
metadata: {name: %s}
spec:
  host: %s
  configs: {defaultConfig: {openAIConfig: {%s}}}
---
`, name, host, config)
}

// routeObject is an LLMRoute with one rule without matches.
func routeObject(name, host, providerHost string) string {
	return fmt.Sprintf(`apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMRoute
metadata: {name: %s}
spec:
  host: %s
  rules: [{backendRefs: [{providerHost: %s}]}]
---
`, name, host, providerHost)
}

func secretObject(name, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: %s}\nstringData: {key: %s}\n---\n", name, value)
}

// secretRef is an openAIConfig with a key from a Secret.
func secretRef(name string) string {
	return fmt.Sprintf("model: m, apiKeySecretRef: {name: %s, key: key}", name)
}

// apply applies manifests in the namespace.
func (w *world) apply(manifests ...string) {
	w.t.Helper()
	w.Apply(strings.Join(manifests, ""), "-n", w.ns)
}

// condition returns status and reason of a condition, or nothing.
func (w *world) condition(resource, name, condition string) string {
	w.t.Helper()
	return w.Kubectl("get", resource, name, "-n", w.ns, "-o",
		fmt.Sprintf(`jsonpath={range .status.conditions[?(@.type=="%s")]}{.status} {.reason} {.observedGeneration}{end}`, condition)).Stdout
}

// awaits waits until a condition is as wanted.
func (w *world) awaits(resource, name, condition, want string) {
	w.t.Helper()
	until(w.t, fmt.Sprintf("condition %s %s of %s %s", condition, want, resource, name), func() (bool, string) {
		got := w.condition(resource, name, condition)
		return got == want, got
	})
}
