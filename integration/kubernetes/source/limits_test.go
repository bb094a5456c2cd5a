package source_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
	"github.com/caddy-llm/gateway/integration/redisserver"
)

// limitObject is an LLMLimit of that many requests in a year.
func limitObject(name, amount, more string) string {
	return fmt.Sprintf(`apiVersion: caddy-llm.github.io/v1alpha1
kind: LLMLimit
metadata: {name: %s}
spec: {amounts: [{unit: requests, amount: %s, window: year}]%s}
---
`, name, amount, more)
}

// limiters are definitions of the documented system's rate limiters, without a schema. Its Go types call them
// asmlocalratelimiters and asmglobalratelimiters, and have them in a namespace, in two versions and with a status:
// https://github.com/aliyun/alibabacloud-servicemesh-api/tree/master/alibabacloudservicemesh/v1.
func limiters() string {
	var all strings.Builder
	for _, kind := range []string{"ASMLocalRateLimiter", "ASMGlobalRateLimiter"} {
		singular := strings.ToLower(kind)
		fmt.Fprintf(&all, lax, singular+"s", kind, singular, "istio.alibabacloud.com", "v1beta1")
		all.WriteString(`  - name: v1
    served: true
    storage: false
    subresources: {status: {}}
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
---
`)
	}
	return all.String()
}

// TestLimits holds that the limits of a cluster's objects hold.
func TestLimits(t *testing.T) {
	c := cluster.Start(t)
	c.InstallCRDs(crds)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "limiters.yaml"), []byte(limiters()), 0o600); err != nil {
		t.Fatal(err)
	}
	c.InstallCRDs(dir)
	for name, test := range map[string]func(*testing.T, *cluster.Cluster){"LLMLimits": llmLimits, "rate limiters": rateLimiters, "workloads": limitedWorkloads} {
		t.Run(name, func(t *testing.T) { test(t, c.For(t)) })
	}
}

// llmLimits holds that LLMLimits hold, with their status, and that what was used stays used while their numbers change.
func llmLimits(t *testing.T, c *cluster.Cluster) {
	w := newWorld(t, c)
	w.apply(providerObject("p", w.host, "model: m"), routeObject("r", "chat", w.host), limitObject("budget", "2", ", targetRefs: [{kind: LLMRoute, name: r}]"))
	g := w.start(settings{})
	w.awaits("llmlimit", "budget", "Programmed", "True Programmed 1")
	send := func(host string, want int) {
		t.Helper()
		if a := g.post(host); a.status != want {
			t.Errorf("%s is answered with %d %s, want %d", host, a.status, a.body, want)
		}
	}
	send("chat", 200)
	send("chat", 200)
	send("chat", 429)
	send(w.host, 200) // by the provider's own route

	w.apply(limitObject("budget", "3", ", targetRefs: [{kind: LLMRoute, name: r}]"))
	w.awaits("llmlimit", "budget", "Accepted", "True Accepted 2")
	send("chat", 200)
	send("chat", 429)

	w.apply(limitObject("budget", "3", ", targetRefs: [{kind: LLMRoute, name: none}]"))
	w.awaits("llmlimit", "budget", "ResolvedRefs", "False TargetNotFound 3")
	send("chat", 200)

	w.apply(limitObject("namespace", "1", ""))
	w.awaits("llmlimit", "namespace", "Programmed", "True Programmed 1")
	send("chat", 200)
	send(w.host, 429)
	w.Kubectl("delete", "llmlimit", "namespace", "-n", w.ns)
	until(t, "no limit", func() (bool, string) {
		a := g.post("chat")
		return a.status == 200, a.body
	})
}

// rateLimiters holds that the documented system's limiters hold for the workloads that they select, that changes of
// them are followed, and that fields without a meaning are findings.
func rateLimiters(t *testing.T, c *cluster.Cluster) {
	w := newWorld(t, c)
	const local = `apiVersion: istio.alibabacloud.com/v1beta1
kind: ASMLocalRateLimiter
metadata: {name: %s}
spec:
  workloadSelector: {labels: {app: %s}}
  isGateway: false
  configs:
  - match: {vhost: {name: "%s", port: 80, route: {header_match: [{name: x-team, exact_match: a}]}}}
    limit: {fill_interval: {seconds: 3600}, quota: %d}
---
`
	const global = `apiVersion: istio.alibabacloud.com/v1
kind: ASMGlobalRateLimiter
metadata: {name: all}
spec:
  workloadSelector: {labels: {app: gw}}
  rateLimitService: {host: ratelimit.default.svc.cluster.local, port: 8081, timeout: {seconds: 5}}
  configs:
  - {name: default, limit: {unit: HOUR, quota: 6}}
---
`
	w.apply(providerObject("p", w.host, "model: m"), routeObject("r", "chat", w.host), fmt.Sprintf(local, "team", "gw", "chat", 2), fmt.Sprintf(local, "others", "other", "*", 1), global)
	g := w.start(settings{})
	g.answers("nobody", 404, "")
	send := func(team string, want int) {
		t.Helper()
		req, err := http.NewRequest(http.MethodPost, g.url+"/", strings.NewReader(`{"messages":[]}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "chat"
		req.Header.Set("X-Team", team)
		if a := g.do(req); a.status != want {
			t.Errorf("team %s got %d %s, want %d", team, a.status, a.body, want)
		}
	}
	send("a", 200)
	send("a", 200)
	send("a", 429)
	send("b", 200)
	if got := g.findingsAbout("ASMLocalRateLimiter " + w.ns + "/team"); !strings.Contains(got, "vhost.port: not used") {
		t.Errorf("findings about the local limiter: %q", got)
	}
	if got := g.findingsAbout("ASMGlobalRateLimiter " + w.ns + "/all"); !strings.Contains(got, "spec.rateLimitService: not used") {
		t.Errorf("findings about the global limiter: %q", got)
	}
	w.apply(fmt.Sprintf(local, "team", "gw", "chat", 4))
	until(t, "a higher quota", func() (bool, string) {
		_, body := g.AdminGet("/llm/limits")
		return strings.Contains(string(body), `"amount":4`), string(body)
	})
	send("a", 429) // what was used stays used
	w.Kubectl("delete", "asmlocalratelimiter", "team", "-n", w.ns)
	until(t, "no limit of team a", func() (bool, string) {
		_, body := g.AdminGet("/llm/limits")
		return !strings.Contains(string(body), ".team.local-0"), string(body)
	})
	for range 3 {
		send("a", 200)
	}
	send("a", 429) // the seventh of all
}

// limitedWorkloads has sidecars of two workloads count in one store: those of one workload have a counter together.
func limitedWorkloads(t *testing.T, c *cluster.Cluster) {
	w := newWorld(t, c)
	w.apply(providerObject("p", w.host, "model: m"), limitObject("each", "3", ", key: [workload, namespace]"))
	store := "limits {\n\t\t\tstore redis " + redisserver.New(t).URL() + "\n\t\t}"
	first, second, other := w.start(settings{workload: "shop", app: store}), w.start(settings{workload: "shop", app: store}), w.start(settings{workload: "desk", app: store})
	w.awaits("llmlimit", "each", "Programmed", "True Programmed 1")
	total := func(gateways ...*running) (good int) {
		t.Helper()
		for i := range 8 {
			switch a := gateways[i%len(gateways)].post(w.host); a.status {
			case 200:
				good++
			case 429:
			default:
				t.Errorf("got %d %s", a.status, a.body)
			}
		}
		return good
	}
	for _, g := range []*running{first, second, other} { // each has read the limit
		until(t, "the limit", func() (bool, string) {
			_, body := g.AdminGet("/llm/limits")
			return strings.Contains(string(body), w.ns+".each"), string(body)
		})
	}
	if n := total(first, second); n != 3 {
		t.Errorf("sidecars of one workload had %d requests together, want 3", n)
	}
	if n := total(other); n != 3 {
		t.Errorf("the sidecar of another workload had %d requests, want 3", n)
	}
}
