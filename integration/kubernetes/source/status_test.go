package source_test

import (
	"fmt"
	"net"
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
		if line.Message == "configuration from the source applied" {
			out = append(out, line.Raw)
		}
	}
	return out
}

// leads reports whether a gateway is the one that writes.
func leads(g *running) bool {
	for _, line := range g.Logs() {
		if strings.HasPrefix(line.Message, "writing object status") {
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

// TestThousandWrongRules holds that what is wrong with one object holds no status back,
// and is one event.
func TestThousandWrongRules(t *testing.T) {
	c := cluster.Shared(t)
	c.InstallCRDs(crds)
	w := newWorld(t, c)
	var rules strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&rules, "  - {name: r%d, matches: [{headers: {x: {exact: v%d}}}], backendRefs: [{providerHost: none.example.com}]}\n", i, i)
	}
	w.apply("apiVersion: istio.alibabacloud.com/v1beta1\nkind: LLMRoute\nmetadata: {name: a-wrong}\nspec:\n  host: wrong."+w.host+"\n  rules:\n"+rules.String()+"---\n",
		providerObject("p", w.host, "model: m"))
	g := w.start(settings{})
	until(t, "leader", func() (bool, string) { return leads(g), "" })
	began := time.Now()
	w.awaits("llmprovider", "p", "Programmed", "True Programmed 1")
	w.awaits("llmroute", "a-wrong", "ResolvedRefs", "False ProviderNotFound 1")
	w.apply(providerObject("p", w.host, "model: other")) // while events are written, if at all
	w.awaits("llmprovider", "p", "Programmed", "True Programmed 2")
	t.Logf("all statuses after %v", time.Since(began).Round(time.Millisecond))
	var event string
	until(t, "event", func() (bool, string) {
		event = w.eventsOf("a-wrong")
		return event != "", event
	})
	if !strings.HasPrefix(event, "Warning ProviderNotFound: 1000 findings;") || strings.Count(event, "Warning") != 1 {
		t.Errorf("the events are %.2000s", event)
	}
}

// TestProgrammed holds that a route is programmed only once requests can reach it.
func TestProgrammed(t *testing.T) {
	c := cluster.Shared(t)
	c.InstallCRDs(crds)
	c.InstallIstioCRDs("Gateway")
	w := newWorld(t, c)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	gateway := func(server string) string {
		return "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: edge}\nspec: {selector: {app: gw}, servers: [" + server + "]}\n---\n"
	}
	route := strings.Replace(routeObject("r", w.host, w.host), "spec:\n", "spec:\n  gateways: [edge]\n", 1)
	w.apply(providerObject("p", w.host, "model: m"), route)
	w.start(settings{})
	w.awaits("llmroute", "r", "Programmed", "False GatewayNotFound 1")
	w.apply(gateway("{bind: 127.0.0.1, port: {number: " + port + ", name: http, protocol: HTTP}, hosts: [other.example.com]}"))
	w.awaits("llmroute", "r", "Programmed", "False HostNotServed 1")
	w.apply(gateway("{bind: 127.0.0.1, port: {number: " + port + ", name: https, protocol: HTTPS}, hosts: ['*'], tls: {mode: SIMPLE, credentialName: none}}"))
	w.awaits("llmroute", "r", "Programmed", "False NotListening 1")
	w.apply(gateway("{bind: 127.0.0.1, port: {number: " + port + ", name: http, protocol: HTTP}, hosts: ['*']}"))
	w.awaits("llmroute", "r", "Programmed", "False NotListening 1")
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	w.awaits("llmroute", "r", "Programmed", "True Programmed 1")
}

// TestWorkloadGone holds that what the gateway of a workload that is gone wrote is
// corrected by another's, and by no sooner than its Lease has ended.
func TestWorkloadGone(t *testing.T) {
	c := cluster.Shared(t)
	c.InstallCRDs(crds)
	w := newWorld(t, c)
	w.apply(strings.Replace(providerObject("p", w.host, "model: m"), "spec:\n", "spec:\n  workloadSelector: {labels: {app: first}}\n", 1))
	first := w.start(settings{workload: "first"})
	w.awaits("llmprovider", "p", "Programmed", "True Programmed 1")
	if got := w.Kubectl("get", "llmprovider", "p", "-n", w.ns, "-o", "jsonpath={.status.lease}").Stdout; got != "llm-gateway-first" {
		t.Errorf("the Lease in the status is %q", got)
	}
	second := w.start(settings{workload: "second"})
	until(t, "leader of another workload", func() (bool, string) { return leads(second), "" })
	first.Kill()
	killed := time.Now()
	for {
		got := w.condition("llmprovider", "p", "Programmed")
		if got == "False WorkloadGone 1" {
			break
		}
		if got != "True Programmed 1" || time.Since(killed) > 2*time.Minute+patience {
			t.Fatalf("%v after the end of the workload the condition is %q", time.Since(killed), got)
		}
		time.Sleep(time.Second / 2)
	}
	if took := time.Since(killed); took < 30*time.Second {
		t.Errorf("the workload was given only %v", took)
	} else {
		t.Logf("corrected after %v", took.Round(time.Second))
	}
	if got := w.condition("llmprovider", "p", "Accepted"); got != "" {
		t.Errorf("what the workload wrote is still there: %s", got)
	}
	w.start(settings{workload: "first"})
	w.awaits("llmprovider", "p", "Programmed", "True Programmed 1")
}
