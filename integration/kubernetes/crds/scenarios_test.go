package crds_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestScenarios holds that the API server takes every LLMProvider and LLMRoute
// that the sources are tested with, unless they find something that keeps it
// from being used, and every object of Istio's that nothing is wrong with; and of
// the documents' manifests all objects.
func TestScenarios(t *testing.T) {
	c := install(t)
	c.InstallIstioCRDs("Gateway", "AuthorizationPolicy", "RequestAuthentication")
	namespaces := map[string]bool{"default": true}
	inputs, err := filepath.Glob("../../../k8ssource/testdata/*/input.yaml")
	if err != nil || len(inputs) < 10 {
		t.Fatalf("found %d scenarios: %v", len(inputs), err)
	}
	for _, input := range inputs {
		dir := filepath.Dir(input)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			refused, wrong := refusals(t, filepath.Join(dir, "expected.json"))
			tried := 0
			for _, document := range strings.Split("\n"+read(t, input), "\n---") {
				object, namespace, group := identify(t, document)
				ours := group == "istio.alibabacloud.com" || group == "security.istio.io" && !wrong[object]
				if object == "" || refused[object] || !ours && !strings.HasPrefix(filepath.Base(dir), "documented-") {
					continue
				}
				if strings.HasPrefix(object, "PeerAuthentication ") {
					continue // a kind that is not followed, nor installed
				}
				tried++
				if !namespaces[namespace] {
					namespaces[namespace] = true
					if r := c.For(t).Kubectl("create", "namespace", namespace); r.Code != 0 {
						t.Fatal(r.Stderr)
					}
				}
				if r := c.For(t).KubectlInput(document, "apply", "--dry-run=server", "-f", "-"); r.Code != 0 {
					t.Errorf("%s is refused: %s", object, r.Stderr)
				}
			}
			if tried == 0 && len(refused) == 0 {
				t.Error("no object was tried")
			}
		})
	}
}

// refusals are the objects that a scenario's findings keep from being used, and
// those that have any.
func refusals(t *testing.T, path string) (refused, wrong map[string]bool) {
	t.Helper()
	var expected struct {
		Findings []struct {
			Object string
			Used   bool
		}
	}
	if err := json.Unmarshal([]byte(read(t, path)), &expected); err != nil {
		t.Fatal(err)
	}
	refused, wrong = make(map[string]bool), make(map[string]bool)
	for _, f := range expected.Findings {
		wrong[f.Object] = true
		if !f.Used {
			refused[f.Object] = true
		}
	}
	return refused, wrong
}

// identify names the object of a document as findings do, its namespace and its API
// group. A document without an object has no name.
func identify(t *testing.T, document string) (object, namespace, group string) {
	t.Helper()
	var head struct {
		APIVersion string
		Kind       string
		Metadata   struct{ Name, Namespace string }
	}
	if err := yaml.Unmarshal([]byte(document), &head); err != nil {
		t.Fatalf("%v\n%s", err, document)
	}
	if head.Kind == "" {
		return "", "", ""
	}
	if head.Metadata.Namespace == "" {
		head.Metadata.Namespace = "default"
	}
	group, _, _ = strings.Cut(head.APIVersion, "/")
	return head.Kind + " " + head.Metadata.Namespace + "/" + head.Metadata.Name, head.Metadata.Namespace, group
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestExample holds that the API server takes the example of external authorization.
func TestExample(t *testing.T) {
	c := install(t)
	c.InstallIstioCRDs("AuthorizationPolicy")
	ns := c.Namespace()
	example := strings.ReplaceAll(read(t, "../../../examples/kubernetes/ext-authz.yaml"), "namespace: istio-system", "namespace: "+ns)
	if r := c.KubectlInput(example, "apply", "--dry-run=server", "--validate=strict", "-f", "-"); r.Code != 0 || strings.Contains(r.Stderr, "Warning") {
		t.Error(r.Stderr)
	}
}
