package source_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
)

// says sends a text to a host.
func (g *running) says(host, text string) answer {
	g.t.Helper()
	body := fmt.Sprintf(`{"model":"m","messages":[{"role":"user","content":%q}]}`, text)
	req, err := http.NewRequest(http.MethodPost, g.url+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	req.Host = host
	req.Header.Set("Content-Type", "application/json")
	return g.do(req)
}

// saysUntil sends a text until it is answered with the status.
func (g *running) saysUntil(host, text string, status int, code string) {
	g.t.Helper()
	until(g.t, fmt.Sprintf("%q answered with %d %s", text, status, code), func() (bool, string) {
		a := g.says(host, text)
		return a.status == status && strings.Contains(a.body, code), fmt.Sprintf("%d %s", a.status, a.body)
	})
}

// TestLLMPolicy has a policy deny, be changed while requests go on, be wrong, and go.
func TestLLMPolicy(t *testing.T) {
	c := cluster.Shared(t)
	c.InstallCRDs(crds)
	w := newWorld(t, c)
	route := "route." + w.host
	policy := func(name, target, guards string) string {
		return fmt.Sprintf("apiVersion: caddy-llm.github.io/v1alpha1\nkind: LLMPolicy\nmetadata: {name: %s}\nspec:\n  targetRefs: [%s]\n  guards: [%s]\n---\n", name, target, guards)
	}
	denies := func(word string) string { return "{name: words, deny: [{regex: " + word + "}]}" }
	const toRoute, toProvider = "{group: istio.alibabacloud.com, kind: LLMRoute, name: r}", "{kind: LLMProvider, name: good}"
	w.apply(providerObject("good", w.host, "model: m"), routeObject("r", route, w.host), policy("p", toRoute, denies("zebra")))
	g := w.start(settings{})
	g.answers(route, 200, "m")
	g.saysUntil(route, "a zebra", 403, "content_policy")
	if a := g.says(w.host, "a zebra"); a.status != 200 {
		t.Errorf("the provider's own host: %d %s", a.status, a.body)
	}
	for _, condition := range []string{"Accepted True Accepted 1", "ResolvedRefs True ResolvedRefs 1", "Programmed True Programmed 1"} {
		name, want, _ := strings.Cut(condition, " ")
		w.awaits("llmpolicy", "p", name, want)
	}

	// Requests that neither version denies all pass while it changes.
	lost, stop, done := 0, make(chan bool), make(chan bool)
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if a := g.says(route, "fine"); a.status != 200 {
				lost++
			}
			time.Sleep(2 * time.Millisecond)
		}
	}()
	for i := range 5 {
		word := []string{"yak", "zebra"}[i%2]
		w.apply(policy("p", toRoute, denies(word)))
		g.saysUntil(route, "a "+word, 403, "content_policy")
	}
	close(stop)
	<-done
	if lost > 0 {
		t.Errorf("%d requests were lost", lost)
	}

	// One that the API server takes and the gateway cannot use lets nothing pass.
	w.apply(policy("p", toRoute, `{name: words, deny: [{regex: "(a"}]}`))
	g.saysUntil(route, "fine", 503, "guard_unavailable")
	until(t, "Accepted", func() (bool, string) {
		got := w.condition("llmpolicy", "p", "Accepted")
		return strings.HasPrefix(got, "False InvalidField"), got
	})
	if text := w.Kubectl("get", "llmpolicy", "p", "-n", w.ns, "-o", "jsonpath={.status}").Stdout; strings.Contains(text, "(a") {
		t.Errorf("the status repeats the expression: %s", text)
	}

	// A provider's policy holds by whatever way a request comes to it.
	w.apply(policy("p", toProvider, denies("zebra")))
	g.saysUntil(w.host, "a zebra", 403, "content_policy")
	g.saysUntil(route, "a zebra", 403, "content_policy")
	g.saysUntil(route, "a yak", 200, "")
	w.Kubectl("delete", "llmpolicy", "p", "-n", w.ns)
	g.saysUntil(route, "a zebra", 200, "")

	// Its cache answers equal requests of all, as long as it is there.
	cached := func(want bool) {
		t.Helper()
		until(t, fmt.Sprintf("a stored response: %v", want), func() (bool, string) {
			req, err := http.NewRequest(http.MethodPost, g.url+"/v1/chat/completions", strings.NewReader(`{"model":"m","messages":[{"role":"user","content":"again"}]}`))
			if err != nil {
				t.Fatal(err)
			}
			req.Host = route
			req.Header.Set("Content-Type", "application/json")
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				return false, err.Error()
			}
			res.Body.Close()
			got := res.Header.Get("Cache-Status")
			return strings.HasPrefix(got, "llm; hit; ttl=") == want, got
		})
	}
	w.apply(fmt.Sprintf("apiVersion: caddy-llm.github.io/v1alpha1\nkind: LLMPolicy\nmetadata: {name: c}\nspec:\n  targetRefs: [%s]\n  cache: {ttl: 10m, scope: Everyone}\n---\n", toRoute))
	cached(true)
	w.awaits("llmpolicy", "c", "Programmed", "True Programmed 1")
	w.Kubectl("delete", "llmpolicy", "c", "-n", w.ns)
	cached(false)

	// One for nothing that is there says so.
	w.apply(policy("q", "{kind: LLMRoute, name: none}", denies("zebra")))
	w.awaits("llmpolicy", "q", "ResolvedRefs", "False TargetNotFound 1")
}
