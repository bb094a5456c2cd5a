// Package examples_test runs what the README and examples/ tell a newcomer to
// run, on other ports.
package examples_test

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/gateway"
	"github.com/caddy-llm/gateway/integration/testclient"
)

// start runs an example as it is, but for its ports.
func start(t *testing.T, name string) (url string, g *gateway.Gateway) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(root, "examples", name, "Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	public, mock := gateway.FreePort(t), gateway.FreePort(t)
	config := strings.NewReplacer(
		":8080", fmt.Sprint(":", public), ":8081", fmt.Sprint(":", mock),
		":8082", fmt.Sprint(":", gateway.FreePort(t)), ":8083", fmt.Sprint(":", gateway.FreePort(t)), ":8084", fmt.Sprint(":", gateway.FreePort(t)),
		"examples/live-files/manifests", manifests(t, root, mock), "examples/", filepath.Join(root, "examples")+"/",
		"\tllm {\n", "\tllm {\n\t\tstatus_listen off\n",
	).Replace(string(data))
	g = gateway.Start(t, config)
	return fmt.Sprintf("http://localhost:%d", public), g
}

// manifests is a copy of the live-files example's folder with another port.
func manifests(t *testing.T, root string, mock int) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "examples/live-files/manifests/demo.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	text := strings.ReplaceAll(string(data), "8081", fmt.Sprint(mock))
	if err := os.WriteFile(filepath.Join(dir, "demo.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// call posts what the examples' curl commands post.
func call(t *testing.T, url, body string, header ...string) (int, string) {
	t.Helper()
	r := testclient.Post(t, url+"/", body, header...)
	return r.Status, r.Body
}

const hello = `{"messages": [{"role": "user", "content": "Hello"}]}`

func modelOf(t *testing.T, body string) string {
	t.Helper()
	var answer struct{ Model string }
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return answer.Model
}

func TestQuickstart(t *testing.T) {
	url, _ := start(t, "quickstart")
	if status, body := call(t, url, hello); status != 200 || modelOf(t, body) != "mock-small" {
		t.Errorf("%d %s", status, body)
	}
	if status, body := call(t, url, hello, "user-type", "subscriber"); status != 200 || modelOf(t, body) != "mock-large" {
		t.Errorf("a subscriber: %d %s", status, body)
	}
	status, body := call(t, url, strings.Replace(hello, "}]", `}], "stream": true`, 1))
	if status != 200 || !strings.HasPrefix(body, "data: {") || !strings.HasSuffix(body, "data: [DONE]\n\n") {
		t.Errorf("a stream: %d %s", status, body)
	}
	if status, body := call(t, url, hello, "Host", "host.docker.internal:8080"); status != 200 {
		t.Errorf("from a container: %d %s", status, body)
	}
	_, port, _ := strings.Cut(strings.TrimPrefix(url, "http://"), ":")
	for _, address := range addresses(t) {
		if status, body := call(t, "http://"+net.JoinHostPort(address, port), hello); status != 200 {
			t.Errorf("at %s: %d %s", address, status, body)
		}
	}
}

// addresses are the machine's IPv4 addresses, that of loopback included.
func addresses(t *testing.T) []string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, address := range all {
		if network, ok := address.(*net.IPNet); ok && network.IP.To4() != nil {
			out = append(out, network.IP.String())
		}
	}
	return out
}

func TestVirtualKeys(t *testing.T) {
	url, _ := start(t, "virtual-keys")
	if status, body := call(t, url, hello); status != 401 || !strings.Contains(body, "invalid_api_key") {
		t.Errorf("without a key: %d %s", status, body)
	}
	if status, body := call(t, url, hello, "Authorization", "Bearer sk-llm-example-key-for-alice-only"); status != 200 {
		t.Errorf("with the key: %d %s", status, body)
	}
}

func TestPrices(t *testing.T) {
	url, g := start(t, "prices")
	if status, body := call(t, url, hello, "Authorization", "Bearer sk-llm-example-key-for-alice-only"); status != 200 {
		t.Errorf("%d %s", status, body)
	}
	// 1000 tokens at 0.50 and 200 at 1.50 for a million; from 2027 on at 0.40 and 1.20.
	want := "0.0008"
	if time.Now().UTC().Year() >= 2027 {
		want = "0.00064"
	}
	if line := g.WaitLog("handled request"); fmt.Sprint(line.Fields["cost"], line.Fields["cost_currency"]) != want+"USD" {
		t.Errorf("the access log says %v %v, want %s", line.Fields["cost"], line.Fields["cost_currency"], want)
	}
}

func TestBudgets(t *testing.T) {
	url, _ := start(t, "budgets")
	for i := range 6 {
		status, body := call(t, url, hello, "Authorization", "Bearer sk-llm-example-key-for-alice-only")
		if want := map[bool]int{true: 200, false: 429}[i < 5]; status != want || want == 429 && !strings.Contains(body, "per-client") {
			t.Errorf("request %d: %d %s", i+1, status, body)
		}
	}
}

func TestLiveFiles(t *testing.T) {
	url, _ := start(t, "live-files")
	seen := make(map[string]int)
	for range 20 {
		status, body := call(t, url, hello, "Host", "demo-llm-server")
		if status != 200 {
			t.Fatalf("%d %s", status, body)
		}
		seen[modelOf(t, body)]++
	}
	if seen["mock-small"] < 9 || seen["mock-large"] < 9 {
		t.Errorf("models %v, want both in equal parts", seen)
	}
}

// TestOwnModelsPool holds that conversations are spread over the pool's own servers, and that
// the cloud gets none while they can serve them.
func TestOwnModelsPool(t *testing.T) {
	url, _ := start(t, "own-models-pool")
	seen := make(map[string]int)
	for i := range 20 {
		status, body := call(t, url, fmt.Sprintf(`{"messages": [{"role": "user", "content": "Hello %d"}]}`, i))
		if status != 200 {
			t.Fatalf("%d %s", status, body)
		}
		for _, from := range []string{"fast", "slow", "busy", "cloud"} {
			if strings.Contains(body, "from the "+from) {
				seen[from]++
			}
		}
	}
	if seen["fast"] == 0 || seen["slow"] == 0 || seen["cloud"] > 0 {
		t.Errorf("servers %v, want the own ones alone", seen)
	}
}

// TestStartsWithoutItsProviders holds for the examples whose providers are not
// there in a test: the gateway starts, and says what is missing.
func TestStartsWithoutItsProviders(t *testing.T) {
	url, _ := start(t, "own-models")
	if status, body := call(t, url, hello); status != 502 || !strings.Contains(body, "provider_unreachable") {
		t.Errorf("no Ollama: %d %s", status, body)
	}
	url, g := start(t, "fallback")
	if status, body := call(t, url, hello); status != 503 || !strings.Contains(body, "provider_key_missing") {
		t.Errorf("no keys: %d %s", status, body)
	}
	g.WaitLog("DASHSCOPE_API_KEY")
}

// TestAuthorization holds that the example's tokens do what it says.
func TestAuthorization(t *testing.T) {
	url, _ := start(t, "authorization")
	token := func(name string) string {
		data, err := os.ReadFile(filepath.Join("../../examples/authorization", name+".jwt"))
		if err != nil {
			t.Fatal(err)
		}
		return "Bearer " + strings.TrimSpace(string(data))
	}
	const denied = "RBAC: access denied"
	for _, test := range []struct {
		name, authorization string
		status              int
		body                string // all of it, if it is not 200
	}{
		{"alice", token("alice"), 200, ""},
		{"bob", token("bob"), 403, denied},
		{"an SDK's made-up key", "Bearer unused", 401, "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"},
		{"nobody", "", 403, denied},
	} {
		var header []string
		if test.authorization != "" {
			header = []string{"Authorization", test.authorization}
		}
		if status, body := call(t, url, hello, header...); status != test.status || status != 200 && body != test.body {
			t.Errorf("%s: %d %q, want %d %q", test.name, status, body, test.status, test.body)
		}
	}
}
