package source_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
)

// modelServer is what runs in a pod: it answers with its own name as the model, or with
// the one that it is asked for. A host of 127.0.0.0/8 stands for the pod's address.
func modelServer(t *testing.T, name, address string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct{ Model string }
		_ = json.NewDecoder(r.Body).Decode(&asked)
		if asked.Model == "" {
			asked.Model = name
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"id":"1","object":"chat.completion","model":%q,"choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`, asked.Model)
	})}
	go server.Serve(l) //nolint:errcheck // ends with Close
	t.Cleanup(func() { _ = server.Close() })
}

func poolObject(name string, port int) string {
	return fmt.Sprintf(`apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata: {name: %s}
spec:
  selector: {matchLabels: {app: %s}}
  targetPorts: [{number: %d}]
  endpointPickerRef: {name: nobody, port: {number: 9002}, failureMode: FailOpen}
---
`, name, name, port)
}

func poolRoute(name, host, pool string) string {
	return fmt.Sprintf(`apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMRoute
metadata: {name: %s}
spec:
  host: %s
  rules:
  - backendRefs:
    - backendRef: {group: inference.networking.k8s.io, kind: InferencePool, name: %s}
`, name, host, pool)
}

// pod creates a pod of a pool, which is not ready.
func (w *world) pod(name, app string) {
	w.t.Helper()
	w.apply(fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: %s, labels: {app: %s}}\nspec: {containers: [{name: a, image: a}]}\n", name, app))
}

// ready has a pod be at an address, ready or not, as a kubelet would say.
func (w *world) ready(name, ip string, ready bool) {
	w.t.Helper()
	status := map[bool]string{true: "True", false: "False"}[ready]
	patch := fmt.Sprintf(`{"status":{"podIP":%q,"podIPs":[{"ip":%q}],"conditions":[{"type":"Ready","status":%q}]}}`, ip, ip, status)
	if r := w.Kubectl("patch", "pod", name, "-n", w.ns, "--subresource=status", "--type=merge", "-p", patch); r.Code != 0 {
		w.t.Fatal(r.Stderr)
	}
}

// snapshot is the number of the state in use.
func (g *running) snapshot() float64 {
	_, body := g.AdminGet("/llm")
	var view struct{ Snapshot float64 }
	if err := json.Unmarshal(body, &view); err != nil {
		g.t.Fatal(err)
	}
	return view.Snapshot
}

func TestInferencePool(t *testing.T) {
	c := cluster.Shared(t)
	c.InstallCRDs(crds)
	c.InstallInferenceCRDs()
	w := newWorld(t, c)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, number, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	port, _ := strconv.Atoi(number)
	modelServer(t, "a", "127.0.0.1:"+number)
	modelServer(t, "b", "127.0.0.2:"+number)

	host := "models." + w.ns
	w.apply(poolObject("vllm", port), poolRoute("r", host, "vllm"))
	g := w.start(settings{})
	g.answers(host, 503, "")

	w.pod("a", "vllm")
	w.pod("b", "vllm")
	w.pod("other", "other")
	w.ready("other", "127.0.0.3", true)
	w.ready("a", "127.0.0.1", true)
	g.answers(host, 200, "a")

	before := g.snapshot()
	w.ready("b", "127.0.0.2", true)
	w.ready("a", "127.0.0.1", false)
	until(t, "only b answers", func() (bool, string) {
		for range 20 {
			if a := g.post(host); a.status != 200 || a.model != "b" {
				return false, fmt.Sprint(a.status, a.body)
			}
		}
		return true, ""
	})
	w.ready("a", "127.0.0.1", true)
	w.Kubectl("delete", "pod", "b", "-n", w.ns, "--now")
	until(t, "only a answers", func() (bool, string) {
		for range 20 {
			if a := g.post(host); a.status != 200 || a.model != "a" {
				return false, fmt.Sprint(a.status, a.body)
			}
		}
		return true, ""
	})
	if after := g.snapshot(); after != before {
		t.Errorf("snapshot %v after %v: pods came and went with a new state", after, before)
	}

	w.apply(strings.Replace(providerObject("vllm", "HOST", "model: from-the-provider"), "host: HOST", "pool: {name: vllm}", 1))
	g.answers(host, 200, "from-the-provider")

	w.Kubectl("delete", "inferencepool", "vllm", "-n", w.ns)
	g.answers(host, 503, "")
}

// TestMissingRightToPods has a gateway that may read no InferencePool, and then no pod: all
// else goes on, and the finding says what is missing.
func TestMissingRightToPods(t *testing.T) {
	c := cluster.Shared(t)
	c.InstallCRDs(crds)
	c.InstallInferenceCRDs()
	w := newWorld(t, c)
	host := "models." + w.ns
	w.apply(providerObject("p", w.host, "model: m"), poolObject("vllm", 8000), poolRoute("r", host, "vllm"))
	w.Kubectl("create", "serviceaccount", "gw", "-n", w.ns)
	w.mayReadObjects()
	g := w.start(settings{kubeconfig: w.Kubeconfig(w.Token(w.ns, "gw"))})
	g.answers(w.host, 200, "m")
	g.answers(host, 503, "")
	g.WaitLog("objects of these kinds are ignored: no permission to read them")
	name := "pools-" + w.ns
	w.Kubectl("create", "clusterrole", name, "--verb=list,watch", "--resource=inferencepools.inference.networking.k8s.io")
	w.Kubectl("create", "clusterrolebinding", name, "--clusterrole="+name, "--serviceaccount="+w.ns+":gw")
	until(t, "finding that names the rule", func() (bool, string) {
		got := g.findings()
		return strings.Contains(got, "PodsForbidden") && strings.Contains(got, "resources: [pods], verbs: [list, watch]"), got
	})
	g.answers(w.host, 200, "m")
}

// parents are the entries of a pool's status, each as "kind name controller accepted
// resolved".
func (w *world) parents(pool string) string {
	return strings.TrimSpace(w.Kubectl("get", "inferencepool", pool, "-n", w.ns, "-o",
		`jsonpath={range .status.parents[*]}{.parentRef.kind} {.parentRef.name} {.controllerName} {.conditions[?(@.type=="Accepted")].reason} {.conditions[?(@.type=="ResolvedRefs")].reason}{"\n"}{end}`).Stdout)
}

func (w *world) awaitsParents(pool, want string) {
	w.t.Helper()
	until(w.t, "status of the pool", func() (bool, string) {
		got := w.parents(pool)
		return got == want, got
	})
}

// TestStatusOfPools holds that a gateway writes its own entry into the status of a pool
// that a route refers to, and of no other, takes it away with the last of these routes,
// and leaves the entries of other controllers alone.
func TestStatusOfPools(t *testing.T) {
	c := cluster.Shared(t)
	c.InstallCRDs(crds)
	c.InstallInferenceCRDs()
	w := newWorld(t, c)
	plain := strings.Replace(poolObject("vllm", 8000), "  endpointPickerRef: {name: nobody, port: {number: 9002}, failureMode: FailOpen}\n", "", 1)
	w.apply(plain, poolObject("other", 8000))
	const foreign = `{"parentRef":{"group":"gateway.networking.k8s.io","kind":"Gateway","name":"theirs"},"controllerName":"example.com/theirs","conditions":[{"type":"Accepted","status":"True","reason":"Accepted","message":"","lastTransitionTime":"2026-01-31T12:00:00Z"}]}`
	theirs := "Gateway theirs example.com/theirs Accepted"
	if r := w.Kubectl("patch", "inferencepool", "vllm", "-n", w.ns, "--subresource=status", "--type=merge", "-p", `{"status":{"parents":[`+foreign+`]}}`); r.Code != 0 {
		t.Fatal(r.Stderr)
	}
	w.apply(poolRoute("r", "models."+w.ns, "vllm"), "---\n", poolRoute("second", "second."+w.ns, "vllm"))
	w.start(settings{})
	own := func(route, resolved string) string {
		return "LLMRoute " + route + " istio.alibabacloud.com/llm-gateway/" + w.ns + "/gw Accepted " + resolved
	}
	w.awaitsParents("vllm", theirs+" \n"+own("r", "ResolvedRefs")+"\n"+own("second", "ResolvedRefs"))
	before := w.version("inferencepool", "vllm")
	time.Sleep(2 * time.Second)
	if after := w.version("inferencepool", "vllm"); after != before {
		t.Errorf("the status is written again and again: version %s, then %s", before, after)
	}
	if got := w.parents("other"); got != "" {
		t.Errorf("a pool that nothing refers to has the status %q", got)
	}
	w.apply(poolObject("vllm", 8000)) // with a picker that is not there
	w.awaitsParents("vllm", theirs+" \n"+own("r", "InvalidExtensionRef")+"\n"+own("second", "InvalidExtensionRef"))
	w.Kubectl("delete", "llmroute", "second", "-n", w.ns)
	w.awaitsParents("vllm", theirs+" \n"+own("r", "InvalidExtensionRef"))
	w.apply(poolRoute("r", "models."+w.ns, "other"))
	w.awaitsParents("vllm", theirs)
	w.awaitsParents("other", own("r", "InvalidExtensionRef"))
	w.Kubectl("delete", "llmroute", "r", "-n", w.ns)
	w.awaitsParents("other", "")
}
