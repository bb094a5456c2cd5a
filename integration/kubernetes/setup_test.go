// Package kubernetes_test runs the built gateway with the Kubernetes source
// against a real API server.
package kubernetes_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/gateway"
	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
	"github.com/caddy-llm/gateway/integration/testclient"
)

const (
	dashscope = "dashscope.aliyuncs.com"
	moonshot  = "api.moonshot.cn"
)

// install follows the installation page: the CRDs, and the plain manifests,
// whose ServiceAccount gateways run as. It returns a kubeconfig for it.
func install(t *testing.T, c *cluster.Cluster) string {
	t.Helper()
	const examples = "../../examples/kubernetes/"
	c.InstallCRDs(examples + "crds")
	c.InstallIstioCRDs("Gateway", "AuthorizationPolicy", "RequestAuthentication")
	for _, args := range [][]string{{"create", "namespace", "istio-system"}, {"apply", "-f", examples + "gateway.yaml"}} {
		if r := c.Kubectl(args...); r.Code != 0 {
			t.Fatalf("kubectl %s: %s", strings.Join(args, " "), r.Stderr)
		}
	}
	return c.Kubeconfig(c.Token("istio-system", "llm-gateway"))
}

// scenario returns the manifests of a documented scenario.
func scenario(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "k8ssource", "testdata", name, "input.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// providers are fakes of the documented hosts.
type providers struct {
	servers map[string]*fakeprovider.Server
	proxy   *fakeprovider.Proxy
}

func startProviders(t *testing.T) *providers {
	t.Helper()
	servers := make(map[string]*fakeprovider.Server)
	for _, host := range []string{dashscope, moonshot} {
		servers[host] = fakeprovider.New(t, fakeprovider.Names(host))
	}
	return &providers{servers, fakeprovider.NewProxy(t, servers)}
}

// start starts a gateway that reaches the providers by their names.
func (p *providers) start(t *testing.T, config string, params any) *gateway.Gateway {
	t.Helper()
	return gateway.Start(t, gateway.Render(t, config, params),
		gateway.Env("HTTPS_PROXY", p.proxy.URL()), gateway.Env("SSL_CERT_FILE", p.servers[moonshot].CAFile()))
}

// answer is what a client got.
type answer struct {
	status      int
	model, body string
}

// ask sends the documented request. No connection is no response: status 0.
func ask(t *testing.T, port int, host string, header ...string) answer {
	t.Helper()
	r := testclient.Try(http.DefaultClient, testclient.NewRequest(t, http.MethodPost, fmt.Sprint("http://127.0.0.1:", port), `{
    "messages": [
        {"role": "user", "content": "Please introduce yourself."}
    ]
}`, append(header, "Host", host)...))
	return answer{r.Status, r.Model(), r.Body}
}

// until waits for what must become true soon after a change.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	start := time.Now()
	for deadline := start.Add(15 * time.Second); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 15 s: %s", what)
		}
	}
	t.Logf("after %v: %s", time.Since(start).Round(time.Millisecond), what)
}
