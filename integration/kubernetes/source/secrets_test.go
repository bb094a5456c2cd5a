package source_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
)

// lastKey is the key that the provider was sent last.
func (w *world) lastKey() string {
	requests := w.provider.Requests()
	if len(requests) == 0 {
		return ""
	}
	return requests[len(requests)-1].Header.Get("Authorization")
}

// TestSecretRotation changes a key, takes its Secret away and brings it back.
func TestSecretRotation(t *testing.T) {
	c := cluster.Shared(t)
	c.InstallCRDs(crds)
	w := newWorld(t, c)
	w.apply(providerObject("p", w.host, secretRef("keys")), secretObject("keys", "sk-0"), secretObject("unused", "sk-unused"))
	g := w.start(settings{})
	g.answers(w.host, 200, "m")
	var slowest time.Duration
	for i := range 5 {
		key := fmt.Sprint("sk-", i+1)
		w.apply(secretObject("keys", key))
		slowest = max(slowest, until(t, "request with "+key, func() (bool, string) {
			if a := g.post(w.host); a.status != 200 {
				t.Errorf("a request failed: %d %s", a.status, a.body)
			}
			return w.lastKey() == "Bearer "+key, w.lastKey()
		}))
	}
	w.apply(secretObject("more", "sk-more"), providerObject("second", "second."+w.host, secretRef("more")))
	until(t, "second provider", func() (bool, string) { a := g.post("second." + w.host); return a.status == 502, a.body })
	for _, line := range g.Logs() {
		if line.Message == "object is not used" && strings.Contains(line.Raw, w.ns) { // and not what other tests left
			t.Errorf("an object was refused while its Secret was on the way: %s", line.Raw)
		}
	}
	t.Logf("5 rotations; the slowest was in use %v after kubectl returned", slowest.Round(time.Millisecond))

	w.Kubectl("delete", "secret", "keys", "-n", w.ns)
	g.answers(w.host, 503, "")
	if f := g.findings(); !strings.Contains(f, "SecretNotFound") {
		t.Errorf("findings %s", f)
	}
	w.apply(secretObject("keys", "sk-9"))
	g.answers(w.host, 200, "m")
	for _, line := range g.Logs() {
		if strings.Contains(line.Raw, "sk-") {
			t.Errorf("a key is in the log: %s", line.Raw)
		}
	}
}
