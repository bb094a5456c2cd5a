package chart

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	helmcmd "helm.sh/helm/v4/pkg/cmd"
	"sigs.k8s.io/yaml"

	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
)

const (
	examples = "../../../examples/kubernetes"
	chartDir = examples + "/chart"
)

// kubeVersion is for commands that ask no API server. Helm would take the version
// of its own Kubernetes modules, which it does not find in a test.
const kubeVersion = "--kube-version=v1.36.3"

var update = flag.Bool("update", false, "write the files that are compared with what the chart renders")

// TestMain is Helm when it is called so: the test runs itself, which saves a
// second build of all of Helm.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) != "helm" {
		cluster.Main(m)
	}
	cmd, err := helmcmd.NewRootCmd(os.Stdout, os.Args[1:], helmcmd.SetupLogging)
	if err != nil || cmd.Execute() != nil {
		os.Exit(1)
	}
}

// result is how a command ended.
type result struct {
	stdout, stderr string
	failed         bool
}

// helm runs Helm with a home of its own.
func helm(t *testing.T, env []string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Args = append([]string{"helm"}, args...)
	cmd.Env = append([]string{"HOME=" + t.TempDir()}, env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return result{stdout.String(), stderr.String(), err != nil}
}

// render returns what the chart makes of values, given as further arguments.
func render(t *testing.T, args ...string) string {
	t.Helper()
	r := helm(t, nil, append([]string{"template", "llm-gateway", chartDir, "--namespace", "istio-system", kubeVersion}, args...)...)
	if r.failed {
		t.Fatalf("helm template %s: %s", strings.Join(args, " "), r.stderr)
	}
	return r.stdout
}

// object is a Kubernetes object.
type object map[string]any

// at returns what is at a path of keys, or nil.
func (o object) at(keys ...string) any {
	var v any = map[string]any(o)
	for _, key := range keys {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}

func (o object) kind() string { s, _ := o.at("kind").(string); return s }
func (o object) name() string { s, _ := o.at("metadata", "name").(string); return s }

// objects reads YAML documents.
func objects(t *testing.T, text string) []object {
	t.Helper()
	var out []object
	for doc := range strings.SplitSeq("\n"+text, "\n---\n") {
		var o object
		if err := yaml.Unmarshal([]byte(doc), &o); err != nil {
			t.Fatalf("%v:\n%s", err, doc)
		}
		if len(o) > 0 {
			out = append(out, o)
		}
	}
	return out
}

// find returns the only object of a kind with that name.
func find(t *testing.T, list []object, kind, name string) object {
	t.Helper()
	for _, o := range list {
		if o.kind() == kind && o.name() == name {
			return o
		}
	}
	t.Fatalf("there is no %s %s", kind, name)
	return nil
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
