package source_test

import (
	"strings"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
)

// events are the events about an object, as "reason: note" lines.
func (w *world) eventsOf(name string) string {
	return w.Kubectl("get", "events.v1.events.k8s.io", "-n", w.ns, "-o",
		`jsonpath={range .items[?(@.regarding.name=="`+name+`")]}{.type} {.reason}: {.note}{"\n"}{end}`).Stdout
}

func (w *world) version(resource, name string) string {
	return w.Kubectl("get", resource, name, "-n", w.ns, "-o", "jsonpath={.metadata.resourceVersion}").Stdout
}

// TestBadObjects has one object that is wrong beside good ones, mends it, and sees
// what is said about it.
func TestBadObjects(t *testing.T) {
	c := cluster.Shared(t)
	c.InstallCRDs(crds)
	w := newWorld(t, c)
	bad := "bad." + w.host
	route := "route." + w.host
	w.apply(providerObject("good", w.host, "model: m"), providerObject("bad", bad, secretRef("missing")),
		routeObject("r", route, w.host), routeObject("nowhere", "nowhere."+w.host, "unknown.example.com"), routeObject("z-late", route, w.host))
	g := w.start(settings{})
	g.answers(w.host, 200, "m")
	g.answers(bad, 503, "")
	w.awaits("llmprovider", "good", "Accepted", "True Accepted 1")
	w.awaits("llmprovider", "good", "Programmed", "True Programmed 1")
	w.awaits("llmprovider", "bad", "Accepted", "False SecretNotFound 1")
	w.awaits("llmprovider", "bad", "ResolvedRefs", "False SecretNotFound 1")
	w.awaits("llmprovider", "bad", "Programmed", "False NotAccepted 1")
	w.awaits("llmroute", "r", "Conflict", "False NoConflict 1")
	w.awaits("llmroute", "nowhere", "ResolvedRefs", "False ProviderNotFound 1")
	w.awaits("llmroute", "z-late", "Conflict", "True Conflict 1")
	if got := w.Kubectl("get", "llmprovider", "bad", "-n", w.ns, "-o", "jsonpath={.status.workload}").Stdout; got != w.ns+"/gw" {
		t.Errorf("the status is by %q", got)
	}
	until(t, "event", func() (bool, string) {
		got := w.eventsOf("bad")
		return strings.HasPrefix(got, "Warning SecretNotFound: spec.configs.defaultConfig.openAIConfig.apiKeySecretRef.name: there is no Secret of that name in namespace "+w.ns+";"), got
	})
	if got := w.eventsOf("good"); got != "" {
		t.Errorf("events about a good object: %s", got)
	}

	// Nothing more is written when all is said.
	before := w.version("llmprovider", "bad")
	snapshots := len(snapshotLines(g))
	time.Sleep(3 * time.Second)
	if after := w.version("llmprovider", "bad"); after != before {
		t.Errorf("the status is written again and again: version %s, then %s", before, after)
	}
	if n := len(snapshotLines(g)); n != snapshots {
		t.Errorf("%d states were reported without a change of an object", n-snapshots)
	}
	if got := strings.Count(w.eventsOf("bad"), "\n"); got != 1 {
		t.Errorf("%d events about one finding", got)
	}

	// Somebody else's condition stays.
	w.Kubectl("patch", "llmprovider", "bad", "-n", w.ns, "--subresource=status", "--type=json", "-p",
		`[{"op":"add","path":"/status/conditions/-","value":{"type":"example.com/Reviewed","status":"True","reason":"Reviewed","message":"","lastTransitionTime":"2026-01-31T12:00:00Z"}}]`)
	w.apply(providerObject("bad", bad, "model: m"))
	w.awaits("llmprovider", "bad", "Accepted", "True Accepted 2")
	w.awaits("llmprovider", "bad", "Programmed", "True Programmed 2")
	if got := w.condition("llmprovider", "bad", "example.com/Reviewed"); !strings.HasPrefix(got, "True Reviewed") {
		t.Errorf("another writer's condition: %q", got)
	}
	// A status that somebody spoils is written again.
	w.Kubectl("patch", "llmprovider", "good", "-n", w.ns, "--subresource=status", "--type=merge", "-p", `{"status":{"conditions":[]}}`)
	w.awaits("llmprovider", "good", "Programmed", "True Programmed 1")
}

// snapshotLines are the log lines about a new configuration.
func snapshotLines(g *running) (out []string) {
	for _, line := range g.Logs() {
		if line.Message == "configuration from the source is in use" {
			out = append(out, line.Raw)
		}
	}
	return out
}

// leads tells whether a gateway is the one that writes.
func leads(g *running) bool {
	for _, line := range g.Logs() {
		if strings.HasPrefix(line.Message, "this gateway writes the status") {
			return true
		}
	}
	return false
}

// TestLeader has two gateways of one workload of which one writes, ends that one, and
// sees the other take over. A gateway of another workload leaves all alone.
func TestLeader(t *testing.T) {
	c := cluster.Shared(t)
	c.InstallCRDs(crds)
	w := newWorld(t, c)
	w.apply(providerObject("p", w.host, "model: m"))
	first := w.start(settings{})
	until(t, "leader", func() (bool, string) { return leads(first), "" })
	second := w.start(settings{})
	second.answers(w.host, 200, "m")
	w.awaits("llmprovider", "p", "Programmed", "True Programmed 1")

	other := w.start(settings{workload: "other"})
	until(t, "leader of another workload", func() (bool, string) { return leads(other), "" })
	other.answers(w.host, 200, "m")
	version := w.version("llmprovider", "p")
	time.Sleep(2 * time.Second)
	if got := w.version("llmprovider", "p"); got != version {
		t.Error("the gateways of two workloads fight over a status")
	}
	if leads(second) {
		t.Error("both gateways write")
	}

	first.Kill()
	other.Stop() // so that only the second one can
	w.apply(providerObject("p", w.host, secretRef("missing")))
	t.Logf("the other gateway took over after %v", until(t, "new leader", func() (bool, string) { return leads(second), "" }).Round(time.Second))
	w.awaits("llmprovider", "p", "Accepted", "False SecretNotFound 2")
	if holder := w.Kubectl("get", "lease", "llm-gateway-gw", "-n", w.ns, "-o", "jsonpath={.spec.holderIdentity}").Stdout; holder == "" {
		t.Error("the lease has no holder")
	}
}
