// Package manifests_test runs the documented manifests as they are printed, with
// caddy run --adapter llm-manifests and without a cluster.
package manifests_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/gateway"
	"github.com/caddy-llm/gateway/integration/testclient"
)

// meshPort is where the adapter's configurations listen for sidecar routes.
const meshPort = 15001

// scenario returns the manifests of a documented scenario.
func scenario(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "k8ssource", "testdata", name, "input.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// start runs the manifests, with fake providers of the documented names.
func start(t *testing.T, manifests string, env ...string) (*gateway.Gateway, map[string]*fakeprovider.Server) {
	t.Helper()
	servers := make(map[string]*fakeprovider.Server)
	for _, host := range []string{"dashscope.aliyuncs.com", "api.moonshot.cn"} {
		servers[host] = fakeprovider.New(t, fakeprovider.Names(host))
	}
	proxy := fakeprovider.NewProxy(t, servers)
	options := []gateway.Option{
		gateway.Adapter("llm-manifests"), gateway.Env("HTTPS_PROXY", proxy.URL()), gateway.Env("SSL_CERT_FILE", servers["api.moonshot.cn"].CAFile()),
	}
	for _, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		options = append(options, gateway.Env(name, value))
	}
	return gateway.Start(t, manifests, options...), servers
}

// ask sends the documented request and returns the status, and the model that
// answered.
func ask(t *testing.T, port int, host string, header ...string) (status int, model, body string) {
	t.Helper()
	r := testclient.Post(t, fmt.Sprint("http://127.0.0.1:", port), `{
    "messages": [
        {"role": "user", "content": "Please introduce yourself."}
    ]
}`, append(header, "Host", host)...)
	return r.Status, r.Model(), r.Body
}

func TestDefaultModel(t *testing.T) {
	_, servers := start(t, scenario(t, "documented-default-model"))
	status, model, body := ask(t, meshPort, "dashscope.aliyuncs.com")
	if status != 200 || model != "qwen1.5-72b-chat" {
		t.Errorf("%d %s", status, body)
	}
	got := servers["dashscope.aliyuncs.com"].Requests()[0]
	if got.Path != "/compatible-mode/v1/chat/completions" || got.Header.Get("Authorization") != "Bearer sk-dashscope" || got.Host != "dashscope.aliyuncs.com" {
		t.Errorf("the provider got %s for %s with %q", got.Path, got.Host, got.Header.Get("Authorization"))
	}
}

func TestSubscriberRoute(t *testing.T) {
	start(t, scenario(t, "documented-subscriber-route"))
	for name, test := range map[string]struct {
		header []string
		model  string
	}{
		"everyone":    {nil, "qwen1.5-72b-chat"},
		"subscribers": {[]string{"user-type", "subscriber"}, "qwen-turbo"},
		"others":      {[]string{"user-type", "guest"}, "qwen1.5-72b-chat"},
	} {
		t.Run(name, func(t *testing.T) {
			if status, model, body := ask(t, meshPort, "dashscope.aliyuncs.com", test.header...); status != 200 || model != test.model {
				t.Errorf("%d %s; want the model %s", status, body, test.model)
			}
		})
	}
}

func TestWeightedSplit(t *testing.T) {
	start(t, scenario(t, "documented-weighted-split"))
	const requests = 400
	count := make(map[string]int)
	for range requests {
		status, model, body := ask(t, meshPort, "demo-llm-server")
		if status != 200 {
			t.Fatalf("%d %s", status, body)
		}
		count[model]++
	}
	for _, model := range []string{"qwen1.5-72b-chat", "moonshot-v1-8k"} {
		if n := count[model]; n < requests*48/100 || n > requests*52/100 {
			t.Errorf("%d of %d requests went to %s", n, requests, model)
		}
	}
}

func TestIngress(t *testing.T) {
	port := gateway.FreePort(t)
	g, servers := start(t, scenario(t, "documented-ingress"),
		"LLM_NAMESPACE=istio-system", "LLM_LABELS=istio=ingressgateway", fmt.Sprint("LLM_PORT_MAP=80:", port))
	for host, want := range map[string]int{"test.com": 200, "dashscope.aliyuncs.com": 200, "other.com": 404, "test.com:80": 200} {
		if status, _, body := ask(t, port, host); status != want {
			t.Errorf("%s: %d %s; want %d", host, status, body, want)
		}
	}
	for _, r := range servers["dashscope.aliyuncs.com"].Requests() {
		if r.Host != "dashscope.aliyuncs.com" {
			t.Errorf("the provider saw the host %s", r.Host)
		}
	}
	if n := len(servers["dashscope.aliyuncs.com"].Requests()); n != 3 {
		t.Errorf("the provider got %d requests, want 3", n)
	}

	// A change of the file is in use without a reload.
	g.WriteFile("config.llm-manifests", strings.ReplaceAll(scenario(t, "documented-ingress"), "test.com", "changed.com"))
	deadline := time.Now().Add(15 * time.Second)
	for status := 0; status != 200; time.Sleep(20 * time.Millisecond) {
		status, _, _ = ask(t, port, "changed.com")
		if time.Now().After(deadline) {
			t.Fatalf("the change is not in use; last status %d", status)
		}
	}
	if status, _, _ := ask(t, port, "test.com"); status != 404 {
		t.Errorf("the old host: %d", status)
	}
	// No key is in the configuration.
	if _, config := g.AdminGet("/config/"); strings.Contains(string(config), "sk-") || !strings.Contains(string(config), "files") {
		t.Errorf("GET /config/: %s", config)
	}
}

// TestAllDocuments runs every object that the documents print, for no workload in
// particular.
func TestAllDocuments(t *testing.T) {
	port := gateway.FreePort(t)
	start(t, scenario(t, "documented-all-without-identity"), fmt.Sprint("LLM_PORT_MAP=80:", port))
	for _, test := range []struct {
		port, want int
		host       string
	}{{meshPort, 200, "demo-llm-server"}, {meshPort, 200, "api.moonshot.cn"}, {port, 200, "test.com"}, {port, 404, "demo-llm-server"}} {
		if status, _, body := ask(t, test.port, test.host); status != test.want {
			t.Errorf("%s at %d: %d %s", test.host, test.port, status, body)
		}
	}
}
