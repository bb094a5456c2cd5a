package source_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
)

// manifests are those of the deployment, as users apply them.
const manifests = "../../../examples/kubernetes/gateway.yaml"

// TestLeastPrivilege runs the source with the rights that the deployment's manifests
// give, and no others.
func TestLeastPrivilege(t *testing.T) {
	data, err := os.ReadFile(manifests)
	if err != nil {
		t.Fatal(err)
	}
	c := cluster.Start(t)
	c.InstallCRDs(crds)
	c.InstallIstioCRDs("Gateway", "AuthorizationPolicy", "RequestAuthentication")
	c.Kubectl("create", "namespace", "istio-system")
	w := newWorld(t, c)
	w.ns = "istio-system"
	var rights []string
	for _, object := range strings.Split(string(data), "\n---\n") {
		if strings.Contains(object, "apiVersion: rbac.authorization.k8s.io/") {
			rights = append(rights, object)
		}
	}
	c.Apply(strings.Join(rights, "\n---\n"))
	kubeconfig := w.Kubeconfig(w.Token("istio-system", "llm-gateway"))
	w.apply(secretObject("llm-keys", "sk-allowed"), secretObject("others", "sk-others"))
	w.apply(providerObject("p", w.host, secretRef("llm-keys")), providerObject("q", "other."+w.host, secretRef("others")))

	g := w.start(settings{kubeconfig: kubeconfig, workload: "llm-gateway", root: "istio-system", options: "lease llm-gateway"})
	g.answers(w.host, 200, "m")
	if got := w.lastKey(); got != "Bearer sk-allowed" {
		t.Errorf("the provider was sent %q", got)
	}
	w.awaits("llmprovider", "p", "Programmed", "True Programmed 1")
	w.awaits("llmprovider", "q", "Accepted", "False SecretForbidden 1")
	until(t, "event", func() (bool, string) {
		got := w.eventsOf("q")
		return strings.Contains(got, "SecretForbidden"), got
	})
	g.answers("other."+w.host, 503, "")
	const rule = `a Role in namespace istio-system needs the rule {apiGroups: [\"\"], resources: [secrets], resourceNames: [others], verbs: [list, watch]}`
	if f := g.findings(); !strings.Contains(f, rule) {
		t.Errorf("the finding does not name the rule %s: %s", rule, f)
	}
	for _, args := range [][]string{{"secret", "others"}, {"secrets"}, {"secrets", "--all-namespaces"}, {"configmaps"}, {"configmap", "llm-gateway"}} {
		if r := w.Kubectl(append([]string{"get", "-n", "istio-system", "--kubeconfig=" + kubeconfig}, args...)...); r.Code == 0 || strings.Contains(r.Stdout, "llm-keys") {
			t.Errorf("the token may get %v: %+v", args, r)
		}
	}

	// Policies are read, and the mesh's configuration, once one needs it.
	w.apply(meshConfig("extensionProviders: [{name: known, envoyExtAuthzHttp: {service: 127.0.0.1, port: 1}}]"),
		policy("asks", `{action: CUSTOM, provider: {name: known}, rules: [{to: [{operation: {hosts: [asked.example.com]}}]}]}`),
		policy("asks-nobody", `{action: CUSTOM, provider: {name: unknown}, rules: [{to: [{operation: {hosts: [asked.example.com]}}]}]}`))
	until(t, "finding about who is not known, and no other", func() (bool, string) {
		got := g.findings()
		return strings.Contains(got, "istio-system/asks-nobody") && strings.Contains(got, "ExtensionProviderNotFound") && !strings.Contains(got, "istio-system/asks\"") && !strings.Contains(got, "MeshConfig"), got
	})

	// The Role that the finding asks for is enough.
	w.Kubectl("create", "role", "others", "-n", w.ns, "--verb=list,watch", "--resource=secrets", "--resource-name=others")
	w.Kubectl("create", "rolebinding", "others", "-n", w.ns, "--role=others", "--serviceaccount=istio-system:llm-gateway")
	w.awaits("llmprovider", "q", "Accepted", "True Accepted 1")
	for _, line := range g.Logs() {
		if line.Level == "error" && !strings.Contains(line.Raw, "SecretForbidden") && strings.HasPrefix(line.Logger, "llm.sources") {
			t.Errorf("an error is logged: %s", line.Raw)
		}
	}
}

// TestMissingRights has a ServiceAccount that lacks one right after the other.
func TestMissingRights(t *testing.T) {
	c := cluster.Shared(t)
	c.InstallCRDs(crds)
	c.InstallIstioCRDs("Gateway")
	w := newWorld(t, c)
	w.apply(providerObject("p", w.host, "model: m"))
	g := w.start(settings{kubeconfig: w.Kubeconfig(w.Token(w.ns, "gw"))})
	line := g.WaitLog("resources: [llmproviders], verbs: [list, watch]")
	if line.Level != "error" || g.ready() {
		t.Errorf("it is %s, ready %v: %s", line.Level, g.ready(), line.Raw)
	}
	if a := g.post(w.host); a.status != 503 {
		t.Errorf("without the right to read: %d %s", a.status, a.body)
	}
	w.mayReadObjects()
	g.answers(w.host, 200, "m")
	g.WaitLog("a Role in namespace " + w.ns + " needs the rules {apiGroups: [coordination.k8s.io]")
	g.WaitLog("permission to read objects granted")
}

// mayReadObjects lets the ServiceAccount gw read the objects, but for Secrets and
// ConfigMaps.
func (w *world) mayReadObjects() {
	name := "reader-" + w.ns
	w.Apply(`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: ` + name + `}
rules:
- {apiGroups: [istio.alibabacloud.com], resources: [llmproviders, llmroutes], verbs: [list, watch]}
- {apiGroups: [caddy-llm.github.io], resources: [llmlimits, llmpolicies], verbs: [list, watch]}
- {apiGroups: [networking.istio.io], resources: [gateways], verbs: [list, watch]}
- {apiGroups: [security.istio.io], resources: [authorizationpolicies, requestauthentications], verbs: [list, watch]}
- {apiGroups: [""], resources: [services], verbs: [list, watch]}
`)
	w.Kubectl("create", "clusterrolebinding", name, "--clusterrole="+name, "--serviceaccount="+w.ns+":gw")
}

// TestMissingRightToTheMesh has a ServiceAccount that may read policies, but not whom
// they ask.
func TestMissingRightToTheMesh(t *testing.T) {
	c := cluster.Shared(t)
	c.InstallCRDs(crds)
	c.InstallIstioCRDs("Gateway", "AuthorizationPolicy", "RequestAuthentication")
	w := newWorld(t, c)
	w.apply(providerObject("p", w.host, "model: m"), policy("addresses", `{action: DENY, rules: [{from: [{source: {remoteIpBlocks: [10.0.0.0/8]}}]}]}`))
	w.mayReadObjects()
	g := w.start(settings{kubeconfig: w.Kubeconfig(w.Token(w.ns, "gw")), root: w.ns})
	g.answers(w.host, 200, "m")
	const rule = `a Role in namespace %s needs the rule {apiGroups: [\"\"], resources: [configmaps], resourceNames: [istio], verbs: [list, watch]}`
	until(t, "finding that names the rule", func() (bool, string) {
		got := g.findings()
		return strings.Contains(got, "MeshConfigForbidden") && strings.Contains(got, fmt.Sprintf(rule, w.ns)) && strings.Contains(got, "remoteIpBlocks and remote.ip cannot be compared"), got
	})
	w.Kubectl("create", "role", "mesh", "-n", w.ns, "--verb=list,watch", "--resource=configmaps", "--resource-name=istio")
	w.Kubectl("create", "rolebinding", "mesh", "-n", w.ns, "--role=mesh", "--serviceaccount="+w.ns+":gw")
	until(t, "no finding", func() (bool, string) {
		got := g.findings()
		return !strings.Contains(got, "MeshConfig"), got
	})
}
