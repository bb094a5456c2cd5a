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
// from being used; and of the documents' manifests all objects.
func TestScenarios(t *testing.T) {
	c := install(t)
	c.InstallIstioCRDs("Gateway")
	for _, ns := range []string{"a", "b", "edge", "istio-system", "other", "team"} {
		if r := c.Kubectl("create", "namespace", ns); r.Code != 0 {
			t.Fatal(r.Stderr)
		}
	}
	inputs, err := filepath.Glob("../../../k8ssource/testdata/*/input.yaml")
	if err != nil || len(inputs) < 10 {
		t.Fatalf("found %d scenarios: %v", len(inputs), err)
	}
	for _, input := range inputs {
		dir := filepath.Dir(input)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			refused := refusals(t, filepath.Join(dir, "expected.json"))
			tried, ours := 0, 0
			for _, document := range strings.Split("\n"+read(t, input), "\n---") {
				object, llm := identify(t, document)
				if llm {
					ours++
				}
				if object == "" || refused[object] || !llm && !strings.HasPrefix(filepath.Base(dir), "documented-") {
					continue
				}
				tried++
				if r := c.For(t).KubectlInput(document, "apply", "--dry-run=server", "-f", "-"); r.Code != 0 {
					t.Errorf("%s is refused: %s", object, r.Stderr)
				}
			}
			if tried == 0 && ours > 0 && len(refused) == 0 {
				t.Error("no object was tried")
			}
		})
	}
}

// refusals are the objects that a scenario's findings keep from being used.
func refusals(t *testing.T, path string) map[string]bool {
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
	out := make(map[string]bool)
	for _, f := range expected.Findings {
		if !f.Used {
			out[f.Object] = true
		}
	}
	return out
}

// identify names the object of a document as findings do, and tells whether it
// is an LLMProvider or LLMRoute. A document without an object has no name.
func identify(t *testing.T, document string) (object string, llm bool) {
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
		return "", false
	}
	if head.Metadata.Namespace == "" {
		head.Metadata.Namespace = "default"
	}
	return head.Kind + " " + head.Metadata.Namespace + "/" + head.Metadata.Name, strings.HasPrefix(head.APIVersion, "istio.alibabacloud.com/")
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
