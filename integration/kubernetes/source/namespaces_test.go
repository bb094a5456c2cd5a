package source_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
)

// mayReadOwnObjects lets the ServiceAccount gw read what a sidecar needs, in its
// namespace alone.
func (w *world) mayReadOwnObjects() {
	w.Apply(`apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: own}
rules:
- {apiGroups: [istio.alibabacloud.com], resources: [llmproviders, llmroutes], verbs: [list, watch]}
- {apiGroups: [caddy-llm.github.io], resources: [llmlimits, llmpolicies], verbs: [list, watch]}
- {apiGroups: [""], resources: [services], verbs: [list, watch]}
`, "-n", w.ns)
	w.Kubectl("create", "rolebinding", "own", "-n", w.ns, "--role=own", "--serviceaccount="+w.ns+":gw")
}

// TestNamespaces follows some namespaces, with rights in these alone: what is
// elsewhere is as if it were not there, and Gateways are done without.
func TestNamespaces(t *testing.T) {
	c := cluster.Shared(t)
	c.InstallCRDs(crds)
	c.InstallIstioCRDs("Gateway", "AuthorizationPolicy", "RequestAuthentication")
	w := newWorld(t, c)
	shared := c.Namespace()
	w.apply(providerObject("p", w.host, "model: own"))
	c.Apply(providerObject("p", "shared."+w.host, "model: shared"), "-n", shared)
	kubeconfig := w.Kubeconfig(w.Token(w.ns, "gw"))
	w.mayReadOwnObjects()

	t.Run("the workload's own", func(t *testing.T) {
		g := w.start(settings{kubeconfig: kubeconfig, root: shared, options: "status off\nnamespaces ."})
		g.answers(w.host, 200, "own")
		if a := g.post("shared." + w.host); a.status != 404 {
			t.Errorf("a provider of another namespace: %d %s", a.status, a.body)
		}
		line := g.WaitLog("resources: [requestauthentications]") // rules are told as they are found to be missing
		want := "a Role in namespace " + w.ns + ` needs the rule {apiGroups: [\"networking.istio.io\"], resources: [gateways], verbs: [list, watch]}`
		if line.Level != "warn" || !strings.Contains(line.Raw, want) || !strings.Contains(line.Raw, "requestauthentications") {
			t.Errorf("want %s: %s", want, line.Raw)
		}
		n := 0
		for _, line := range g.Logs() {
			if strings.HasPrefix(line.Logger, "llm.sources") && (line.Level == "warn" || line.Level == "error") && !strings.Contains(line.Raw, "Gateways disabled") {
				n++
				t.Log(line.Raw)
			}
		}
		if n != 0 {
			t.Errorf("%d other complaints", n)
		}

		// Once Gateways may be read, the policies that hold at them must be too.
		w.Kubectl("create", "role", "gateways", "-n", w.ns, "--verb=list,watch", "--resource=gateways.networking.istio.io")
		w.Kubectl("create", "rolebinding", "gateways", "-n", w.ns, "--role=gateways", "--serviceaccount="+w.ns+":gw")
		g.WaitLog("no permission to read policies for the Gateways; waiting for it")
		w.Kubectl("create", "role", "policies", "-n", w.ns, "--verb=list,watch", "--resource=authorizationpolicies.security.istio.io,requestauthentications.security.istio.io")
		w.Kubectl("create", "rolebinding", "policies", "-n", w.ns, "--role=policies", "--serviceaccount="+w.ns+":gw")
		w.apply(providerObject("later", "later."+w.host, "model: later"))
		g.answers("later."+w.host, 502, "") // the proxy does not know it; before it was 404
	})
	w.Kubectl("delete", "rolebinding", "gateways", "policies", "-n", w.ns)

	t.Run("two, without Gateways", func(t *testing.T) {
		g := w.start(settings{kubeconfig: kubeconfig, root: shared, options: "status off\ngateways off\nnamespaces . " + shared})
		line := g.WaitLog("a Role in namespace " + shared + ` needs the rule {apiGroups: [\"istio.alibabacloud.com\"], resources: [llmproviders], verbs: [list, watch]}`)
		if line.Level != "error" || g.ready() {
			t.Errorf("it is %s, ready %v: %s", line.Level, g.ready(), line.Raw)
		}
		c.Apply(`apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: shared}
rules:
- {apiGroups: [istio.alibabacloud.com], resources: [llmproviders, llmroutes], verbs: [list, watch]}
- {apiGroups: [caddy-llm.github.io], resources: [llmlimits, llmpolicies], verbs: [list, watch]}
- {apiGroups: [""], resources: [services], verbs: [list, watch]}
`, "-n", shared)
		c.Kubectl("create", "rolebinding", "shared", "-n", shared, "--role=shared", "--serviceaccount="+w.ns+":gw")
		g.answers(w.host, 200, "own")
		until(t, "provider of the other namespace", func() (bool, string) { // the proxy does not know its host
			a := g.post("shared." + w.host)
			return a.status == 502, fmt.Sprint(a.status, a.body)
		})
		for _, line := range g.Logs() {
			if strings.Contains(line.Raw, "Gateways disabled") {
				t.Errorf("what is not wanted is not missed: %s", line.Raw)
			}
		}
	})
}

// TestWritesWhereItMay has a namespace whose objects may be read, while nothing may be
// written about them. The objects of another have their status and their events.
func TestWritesWhereItMay(t *testing.T) {
	c := cluster.Shared(t)
	c.InstallCRDs(crds)
	w := newWorld(t, c)
	unwritten := c.Namespace()
	if unwritten > w.ns { // objects are gone through by namespace
		w.ns, unwritten = unwritten, w.ns
	}
	w.apply(providerObject("good", w.host, "model: m"), providerObject("bad", "bad."+w.host, secretRef("missing")))
	c.Apply(providerObject("good", "shared."+w.host, "model: m")+providerObject("bad", "bad.shared."+w.host, secretRef("missing")), "-n", unwritten)
	kubeconfig := w.Kubeconfig(w.Token(w.ns, "gw"))
	const reading = `apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: gw}
rules:
- {apiGroups: [istio.alibabacloud.com], resources: [llmproviders, llmroutes], verbs: [list, watch]}
- {apiGroups: [caddy-llm.github.io], resources: [llmlimits, llmpolicies], verbs: [list, watch]}
- {apiGroups: [""], resources: [services, secrets], verbs: [list, watch]}
`
	c.Apply(reading, "-n", unwritten)
	w.apply(reading, `- {apiGroups: [istio.alibabacloud.com], resources: [llmproviders/status, llmroutes/status], verbs: [patch]}
- {apiGroups: [events.k8s.io], resources: [events], verbs: [create]}
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, create, update]}
`)
	for _, ns := range []string{unwritten, w.ns} {
		c.Kubectl("create", "rolebinding", "gw", "-n", ns, "--role=gw", "--serviceaccount="+w.ns+":gw")
	}
	g := w.start(settings{kubeconfig: kubeconfig, root: unwritten, options: "gateways off\nnamespaces . " + unwritten})
	g.WaitLog("a Role in namespace " + unwritten + " needs the rule {apiGroups: [istio.alibabacloud.com], resources: [llmproviders/status], verbs: [patch]}")
	g.WaitLog("a Role in namespace " + unwritten + " needs the rule {apiGroups: [events.k8s.io], resources: [events], verbs: [create]}")
	w.awaits("llmprovider", "good", "Programmed", "True Programmed 1")
	w.awaits("llmprovider", "bad", "Accepted", "False SecretNotFound 1")
	until(t, "event", func() (bool, string) {
		got := w.eventsOf("bad")
		return strings.Contains(got, "SecretNotFound"), got
	})
	complaints := 0
	for _, line := range g.Logs() {
		if strings.Contains(line.Message, "no permission to write object status") || strings.Contains(line.Message, "cannot write events") {
			complaints++
		}
	}
	if complaints != 2 {
		t.Errorf("%d complaints, want two", complaints)
	}
}
