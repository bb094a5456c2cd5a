package source_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/integration/kubernetes/badobjects"
	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
)

// lax defines a kind as those define it who have definitions of their own: without a
// schema that would refuse anything.
const lax = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[1]s.%[4]s}
spec:
  group: %[4]s
  scope: Namespaced
  names: {kind: %[2]s, plural: %[1]s, singular: %[3]s}
  versions:
  - name: %[5]s
    served: true
    storage: true
    subresources: {status: {}}
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

// TestBadObjectsTable applies the bad objects that all readers of objects are tested
// with, where no definition refuses them, and compares what the gateway says of them.
func TestBadObjectsTable(t *testing.T) {
	c := cluster.Start(t)
	dir := t.TempDir()
	const ours, istios = "istio.alibabacloud.com", "security.istio.io"
	for _, names := range [][4]string{
		{"LLMProvider", "llmproviders", ours, "v1beta1"}, {"LLMRoute", "llmroutes", ours, "v1beta1"}, {"LLMLimit", "llmlimits", "caddy-llm.github.io", "v1alpha1"}, {"LLMPolicy", "llmpolicies", "caddy-llm.github.io", "v1alpha1"},
		{"AuthorizationPolicy", "authorizationpolicies", istios, "v1beta1"}, {"RequestAuthentication", "requestauthentications", istios, "v1beta1"},
	} {
		kind, plural := names[0], names[1]
		text := fmt.Sprintf(lax, plural, kind, strings.ToLower(kind), names[2], names[3])
		if err := os.WriteFile(filepath.Join(dir, plural+".yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c.InstallCRDs(dir)
	w := newWorld(t, c)
	c.Apply(strings.ReplaceAll(badobjects.Beside, "istio.alibabacloud.com/v1\n", "istio.alibabacloud.com/v1beta1\n"), "-n", w.ns)
	g := w.start(settings{})
	g.answers("good-service", 502, "") // nobody lends that name to a provider
	last := ""
	for _, bad := range badobjects.All(t) {
		if last != "" && bad.Kind != last {
			w.Kubectl("delete", last, "bad", "-n", w.ns)
		}
		last = bad.Kind
		if r := w.KubectlInput(bad.Manifest(t), "apply", "--validate=false", "-n", w.ns, "-f", "-"); r.Code != 0 {
			t.Fatalf("%s: %s", bad.Name, r.Stderr)
		}
		until(t, "finding about "+bad.Name, func() (bool, string) {
			got := g.findingsAbout(bad.Kind + " " + w.ns + "/bad")
			return got == bad.Text(w.ns), got + "\nand not\n" + bad.Text(w.ns)
		})
		if bad.Used || !bad.Ours() {
			continue
		}
		until(t, "condition about "+bad.Name, func() (bool, string) {
			got := w.Kubectl("get", bad.Kind, "bad", "-n", w.ns, "-o", `jsonpath={range .status.conditions[?(@.type=="Accepted")]}{.reason}: {.message}{end}`).Stdout
			return got == bad.Text(w.ns), got
		})
	}
	if a := g.post("good-service"); a.status != 502 {
		t.Errorf("the good route does not work: %d %s", a.status, a.body)
	}
}

// findingsAbout are the findings about an object, each on a line.
func (g *running) findingsAbout(object string) string {
	var findings []struct {
		Object, Reason, Message string
		Used                    bool
	}
	_ = json.Unmarshal([]byte(g.findings()), &findings)
	var lines []string
	for _, f := range findings {
		used := ""
		if f.Used {
			used = " (used)"
		}
		if f.Object == object {
			lines = append(lines, f.Reason+used+": "+f.Message)
		}
	}
	return strings.Join(lines, "\n")
}
