package source_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/integration/gateway"
	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
)

// keysSecret is a Secret with one client of a virtual key.
func keysSecret(client, key string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: virtual-keys}\nstringData: {keys: \"%s sha256:%x\"}\n", client, sha256.Sum256([]byte(key)))
}

// TestKeysFromASecret holds that virtual keys of a Secret are asked for at a Gateway's
// port, are followed, and stay in use while the Secret is gone.
func TestKeysFromASecret(t *testing.T) {
	c := cluster.Shared(t)
	c.InstallCRDs(crds)
	c.InstallIstioCRDs("Gateway")
	w := newWorld(t, c)
	port := gateway.FreePort(t)
	w.apply(
		fmt.Sprintf("apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: gw}\nspec: {selector: {app: %s}, servers: [{bind: 127.0.0.1, port: {number: %d, name: http, protocol: HTTP}, hosts: [%s]}]}\n---\n", w.ns, port, w.host),
		providerObject("p", w.host, secretRef("provider")), secretObject("provider", "sk-of-the-provider"),
		strings.Replace(routeObject("r", w.host, w.host), "  rules:", "  gateways: ["+w.ns+"/gw]\n  rules:", 1),
	)
	g := w.start(settings{workload: w.ns, app: "keys {\nsecret " + w.ns + "/virtual-keys\n}"})
	const first, second = "sk-llm-first-0123456789", "sk-llm-second-0123456789"
	answers := func(what, key string, status int) {
		t.Helper()
		until(t, what, func() (bool, string) {
			req, err := http.NewRequest(http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d/", port), strings.NewReader(`{"messages":[{"role":"user","content":"hello"}]}`))
			if err != nil {
				t.Fatal(err)
			}
			req.Host = w.host
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", "Bearer "+key)
			a := g.do(req)
			return a.status == status, fmt.Sprint(a.status, " ", a.body)
		})
	}
	answers("401 before there is a Secret", first, 401)
	if f := g.findings(); !strings.Contains(f, "SecretNotFound") || !strings.Contains(f, "virtual-keys") {
		t.Errorf("findings %s", f)
	}
	w.apply(keysSecret("alice", first))
	answers("200 with the first key", first, 200)
	answers("401 with another", second, 401)
	if key := w.lastKey(); key != "Bearer sk-of-the-provider" {
		t.Errorf("the provider was sent %s", key)
	}
	w.apply(keysSecret("alice", second))
	answers("401 with the key that was replaced", first, 401)
	answers("200 with the second key", second, 200)
	w.Kubectl("delete", "secret", "virtual-keys", "-n", w.ns)
	until(t, "a finding", func() (bool, string) {
		f := g.findings()
		return strings.Contains(f, "the last good keys stay in use"), f
	})
	answers("200 while the Secret is gone", second, 200)
}
