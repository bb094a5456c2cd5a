package cluster_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
)

func TestMain(m *testing.M) { cluster.Main(m) }

// TestPrograms is first, and is what builds the programs in a step of its own.
func TestPrograms(t *testing.T) {
	c := cluster.Shared(t)
	version := c.Kubectl("version")
	for _, want := range []string{"Client Version: v1.", "Server Version: v1."} {
		if !strings.Contains(version.Stdout, want) {
			t.Errorf("kubectl version exits with %d and does not print %q: %s%s", version.Code, want, version.Stdout, version.Stderr)
		}
	}
	if ready := c.Kubectl("get", "--raw", "/readyz"); ready.Stdout != "ok" {
		t.Errorf("/readyz: %+v", ready)
	}
}

const settings = `
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {color: red}
`

func TestAppliedObjectsAreStored(t *testing.T) {
	c := cluster.Shared(t)
	ns := c.Namespace()
	if other := c.Namespace(); other == ns {
		t.Errorf("two namespaces have the name %s", ns)
	}
	c.Apply(settings, "-n", ns)
	if got := color(c, ns); got != "red" {
		t.Errorf("the color is %q, want red", got)
	}
	if r := c.Kubectl("get", "configmap", "settings"); r.Code != 1 || !strings.Contains(r.Stderr, "NotFound") {
		t.Errorf("in another namespace: %+v", r)
	}
}

func color(c *cluster.Cluster, ns string) string {
	return c.Kubectl("get", "configmap", "settings", "-n", ns, "-o", "jsonpath={.data.color}").Stdout
}

func TestServiceAccountsHaveTheRightsTheyAreGiven(t *testing.T) {
	c := cluster.Shared(t)
	ns := c.Namespace()
	c.Apply(settings, "-n", ns)
	kubeconfig := "--kubeconfig=" + c.Kubeconfig(c.Token(ns, "reader"))

	if who := c.Kubectl(kubeconfig, "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"); who.Stdout != "system:serviceaccount:"+ns+":reader" {
		t.Errorf("the token belongs to %q%s", who.Stdout, who.Stderr)
	}
	get := []string{kubeconfig, "get", "configmap", "settings", "-n", ns}
	if r := c.Kubectl(get...); r.Code != 1 || !strings.Contains(r.Stderr, "Forbidden") {
		t.Errorf("without a role: %+v", r)
	}
	c.Kubectl("create", "role", "reader", "-n", ns, "--verb=get", "--resource=configmaps")
	c.Kubectl("create", "rolebinding", "reader", "-n", ns, "--role=reader", "--serviceaccount="+ns+":reader")
	if r := c.Kubectl(get...); r.Code != 0 {
		t.Errorf("with a role: %+v", r)
	}
	c.Token(ns, "reader") // again, for an account that exists
}

const crd = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: lamps.test.example.com}
spec:
  group: test.example.com
  scope: Namespaced
  names: {kind: Lamp, plural: lamps, singular: lamp}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              watts: {type: integer, x-kubernetes-validations: [{rule: self < 100, message: use a smaller lamp}]}
`

func TestCustomResourcesAreServedAndValidated(t *testing.T) {
	c := cluster.Shared(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "lamp.yaml"), crd)
	write(t, filepath.Join(dir, "cord.yaml"), strings.NewReplacer("lamp", "cord", "Lamp", "Cord").Replace(crd))
	c.InstallCRDs(dir, "Lamp")

	ns := c.Namespace()
	lamp := "apiVersion: test.example.com/v1\nkind: Lamp\nmetadata: {name: a}\nspec: {watts: %}\n"
	c.Apply(strings.Replace(lamp, "%", "99", 1), "-n", ns)
	for _, test := range []struct{ name, watts, want string }{
		{"rule", "100", "use a smaller lamp"},
		{"type", "many", "must be of type integer"},
		{"field", "1, volts: 5", `unknown field "spec.volts"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := c.For(t).KubectlInput(strings.Replace(lamp, "%", test.watts, 1), "apply", "-n", ns, "-f", "-")
			if r.Code == 0 || !strings.Contains(r.Stderr, test.want) {
				t.Errorf("%+v, want %q", r, test.want)
			}
		})
	}
	if r := c.Kubectl("get", "cords", "-n", ns); r.Code == 0 {
		t.Errorf("a kind that was not asked for is served: %s", r.Stdout)
	}
	c.InstallCRDs(dir) // all, and the first again
	if r := c.Kubectl("get", "cords", "-n", ns); r.Code != 0 {
		t.Errorf("get cords: %s", r.Stderr)
	}
}

func TestIstioCustomResources(t *testing.T) {
	c := cluster.Shared(t)
	c.InstallIstioCRDs("Gateway", "AuthorizationPolicy")
	ns := c.Namespace()
	c.Apply(`
apiVersion: networking.istio.io/v1beta1
kind: Gateway
metadata: {name: edge}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: ["*"]
`, "-n", ns)
	if r := c.Kubectl("get", "gateways.v1.networking.istio.io,authorizationpolicies", "-n", ns, "-o", "name"); r.Stdout != "gateway.networking.istio.io/edge\n" {
		t.Errorf("%+v", r)
	}
	if r := c.Kubectl("get", "virtualservices", "-n", ns); r.Code == 0 {
		t.Errorf("a kind that was not asked for is served: %s", r.Stdout)
	}
}

func TestAPIServerKeepsItsDataOverARestart(t *testing.T) {
	c := cluster.Start(t)
	ns := c.Namespace()
	c.Apply(settings, "-n", ns)
	token := c.Token(ns, "reader")

	c.StopAPIServer()
	if r := c.Kubectl("get", "configmap", "settings", "-n", ns); r.Code == 0 || !strings.Contains(r.Stderr, "refused") {
		t.Errorf("while the API server is down: %+v", r)
	}
	c.StartAPIServer()

	if got := color(c, ns); got != "red" {
		t.Errorf("the color is %q, want red", got)
	}
	who := c.Kubectl("--kubeconfig="+c.Kubeconfig(token), "auth", "whoami")
	if who.Code != 0 {
		t.Errorf("a token from before: %+v", who)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
