package observability_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// rule is a rule of rules.yaml, which records or alerts.
type rule struct {
	Record, Alert, Expr, For string
	Labels, Annotations      map[string]string
}

func (r *rule) name() string { return r.Record + r.Alert }

func readRules(t *testing.T) (out []rule) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(example, "rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Groups []struct{ Rules []rule } }
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		out = append(out, g.Rules...)
	}
	if len(out) == 0 {
		t.Fatal("there are no rules")
	}
	return out
}

// TestPromtoolIsContent runs the checks and tests that Prometheus brings.
func TestPromtoolIsContent(t *testing.T) {
	promtool := tool(t, "promtool")
	for _, args := range []string{"check config prometheus.yml", "check rules --lint=all --lint-fatal rules.yaml", "test rules rules_test.yaml"} {
		cmd := exec.Command(promtool, strings.Fields(args)...)
		cmd.Dir = example
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", args, err, out)
		}
	}
}

// TestAlertsTellWhatToDo holds that each alert has what routes and people need,
// and a test that it fires.
func TestAlertsTellWhatToDo(t *testing.T) {
	tests, err := os.ReadFile(filepath.Join(example, "rules_test.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join(example, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range readRules(t) {
		if r.Alert == "" {
			continue
		}
		if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) {
			t.Errorf("%s: the severity is %q", r.Alert, r.Labels["severity"])
		}
		if r.Annotations["summary"] == "" || len(r.Annotations["description"]) < 100 {
			t.Errorf("%s: summary %q, description %q", r.Alert, r.Annotations["summary"], r.Annotations["description"])
		}
		if !strings.Contains(string(tests), r.Alert) {
			t.Errorf("%s has no test in rules_test.yaml", r.Alert)
		}
		if !strings.Contains(string(readme), "`"+r.Alert+"`") {
			t.Errorf("%s is not in README.md", r.Alert)
		}
	}
}
