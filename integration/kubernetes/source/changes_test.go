package source_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
)

// TestChanges changes objects while requests go on, and sees each change come into
// force.
func TestChanges(t *testing.T) {
	c := cluster.Shared(t)
	c.InstallCRDs(crds)
	w := newWorld(t, c)
	route := w.ns + "-route.example.com"
	w.apply(providerObject("p", w.host, "model: m0, apiKey: sk-1"), routeObject("r", route, w.host))
	g := w.start(settings{})
	g.answers(route, 200, "m0")
	g.answers(w.host, 200, "m0") // its own route

	stop, failed := make(chan struct{}), make(chan string, 1)
	go func() {
		defer close(failed)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if a := g.post(route); a.status != 200 {
				select {
				case failed <- fmt.Sprintf("%d %s", a.status, a.body):
				default:
				}
			}
		}
	}()
	var slowest time.Duration
	for i := range 20 {
		model := fmt.Sprint("m", i+1)
		patch := fmt.Sprintf(`{"spec":{"configs":{"defaultConfig":{"openAIConfig":{"model":%q}}}}}`, model)
		if r := w.Kubectl("patch", "llmprovider", "p", "-n", w.ns, "--type=merge", "-p", patch); r.Code != 0 {
			t.Fatal(r.Stderr)
		}
		slowest = max(slowest, g.answers(route, 200, model))
	}
	close(stop)
	if f, ok := <-failed; ok {
		t.Errorf("a request failed meanwhile: %s", f)
	}
	t.Logf("20 changes; the slowest was in force %v after kubectl returned", slowest.Round(time.Millisecond))

	w.Kubectl("delete", "llmroute", "r", "-n", w.ns)
	g.answers(route, 404, "")
	w.Kubectl("delete", "llmprovider", "p", "-n", w.ns)
	g.answers(w.host, 404, "")
}

// TestWorkload gives a workload only what is for it.
func TestWorkload(t *testing.T) {
	c := cluster.Shared(t)
	c.InstallCRDs(crds)
	w := newWorld(t, c)
	root := c.Namespace()
	selecting := func(name, host, app string) string {
		return strings.Replace(providerObject(name, host, "model: "+name), "spec:", "spec:\n  workloadSelector: {labels: {app: "+app+"}}", 1)
	}
	c.Apply(providerObject("everywhere", w.host, "model: everywhere"), "-n", root)
	w.apply(selecting("mine", "mine."+w.host, w.ns), selecting("other", "other."+w.host, "other"))
	elsewhere := c.Namespace()
	c.Apply(providerObject("elsewhere", "elsewhere."+w.host, "model: elsewhere"), "-n", elsewhere)
	g := w.start(settings{workload: w.ns, root: root})
	g.answers(w.host, 200, "everywhere")
	for _, host := range []string{"other." + w.host, "elsewhere." + w.host} {
		if a := g.post(host); a.status != 404 {
			t.Errorf("%s: %d %s", host, a.status, a.body)
		}
	}
	if a := g.post("mine." + w.host); a.status == 404 || a.status == 503 {
		t.Errorf("the provider that selects the workload: %d %s", a.status, a.body)
	}
}

// TestHostAliases has a route for a Service, which is known by its metadata alone.
func TestHostAliases(t *testing.T) {
	c := cluster.Shared(t)
	c.InstallCRDs(crds)
	w := newWorld(t, c)
	w.apply(providerObject("p", w.host, "model: m"), routeObject("r", "demo."+w.ns, w.host))
	g := w.start(settings{})
	g.answers("demo."+w.ns, 200, "m")
	w.Kubectl("create", "service", "clusterip", "demo", "-n", w.ns, "--tcp=80")
	for _, host := range []string{"demo", "demo." + w.ns, "demo." + w.ns + ".svc", "demo." + w.ns + ".svc.cluster.local"} {
		g.answers(host, 200, "m")
	}
}
