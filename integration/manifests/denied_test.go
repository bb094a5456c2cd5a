package manifests_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/gateway"
)

const denied = "RBAC: access denied"

// TestDeniedAddress is the documents' last step: who comes from that address no
// longer gets through to that host.
func TestDeniedAddress(t *testing.T) {
	port := gateway.FreePort(t)
	manifests := scenario(t, "documented-ingress-denied")
	g, servers := start(t, manifests, "LLM_NAMESPACE=istio-system", "LLM_LABELS=istio=ingressgateway", fmt.Sprint("LLM_PORT_MAP=80:", port))
	provider := servers["dashscope.aliyuncs.com"]
	for _, host := range []string{"test.com", "TEST.com", "test.com:80", "test.com.", fmt.Sprint("test.com:", port)} {
		if status, _, body := ask(t, port, host); status != 403 || body != denied {
			t.Errorf("%s: %d %q, want 403 %q", host, status, body, denied)
		}
	}
	if n := provider.Count(); n != 0 {
		t.Errorf("the provider got %d requests", n)
	}
	for host, want := range map[string]int{"dashscope.aliyuncs.com": 200, "other.com": 404} {
		if status, _, body := ask(t, port, host); status != want {
			t.Errorf("%s: %d %s", host, status, body)
		}
	}

	// Another address is denied, and then all but another.
	until := func(what string, want int) {
		t.Helper()
		deadline := time.Now().Add(15 * time.Second)
		for {
			status, _, body := ask(t, port, "test.com")
			if status == want {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %d %s, want %d", what, status, body, want)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	g.WriteFile("config.llm-manifests", strings.ReplaceAll(manifests, "- 127.0.0.1", "- 192.0.2.1"))
	until("another address", 200)
	g.WriteFile("config.llm-manifests", strings.ReplaceAll(strings.ReplaceAll(manifests, "ipBlocks", "notIpBlocks"), "- 127.0.0.1", "- 192.0.2.1"))
	until("all but another address", 403)
	// What cannot be read denies more.
	g.WriteFile("config.llm-manifests", strings.ReplaceAll(manifests, "- 127.0.0.1", "- ${YOUR_LOCAL_IP}"))
	g.WaitLog("this is neither an address nor a CIDR range")
	until("an address that is none", 403)
	if status, _, body := ask(t, port, "dashscope.aliyuncs.com"); status != 200 {
		t.Errorf("another host: %d %s", status, body)
	}
}

// TestExternalAuthorization runs the example of external authorization, service
// included, on other ports.
func TestExternalAuthorization(t *testing.T) {
	port, service := gateway.FreePort(t), gateway.FreePort(t)
	data, err := os.ReadFile(filepath.Join("..", "..", "examples", "kubernetes", "ext-authz.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	example := strings.NewReplacer("ext-authz.istio-system.svc.cluster.local", "127.0.0.1", "8000", fmt.Sprint(service), "admin off\n", "\n").Replace(string(data))
	_, caddyfile, found := strings.Cut(example, "  Caddyfile: |\n")
	if !found {
		t.Fatal("the example has no Caddyfile")
	}
	caddyfile, _, _ = strings.Cut(caddyfile, "---")
	gateway.Start(t, strings.ReplaceAll(caddyfile, "    \t", "\t"))

	_, servers := start(t, scenario(t, "documented-ingress")+"---\n"+example, "LLM_NAMESPACE=istio-system", "LLM_LABELS=istio=ingressgateway", fmt.Sprint("LLM_PORT_MAP=80:", port))
	const refused = "denied by ext-authz: write the header x-ext-authz: allow"
	for _, host := range []string{"test.com", "other.com"} {
		if status, _, body := ask(t, port, host); status != 403 || body != refused {
			t.Errorf("%s: %d %q", host, status, body)
		}
	}
	if n := servers["dashscope.aliyuncs.com"].Count(); n != 0 {
		t.Errorf("the provider got %d requests", n)
	}
	for host, want := range map[string]int{"test.com": 200, "other.com": 404} {
		if status, _, body := ask(t, port, host, "X-Ext-Authz", "allow"); status != want {
			t.Errorf("%s: %d %s", host, status, body)
		}
	}
}
