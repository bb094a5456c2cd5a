package manifests

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/caddy-llm/gateway/integration/kubernetes/badobjects"
)

// runCommand runs a command with arguments.
func runCommand(t *testing.T, cmd *cobra.Command, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceErrors = true
	cmd.SetArgs(args)
	err := cmd.Execute()
	return out.String(), err
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), plainProvider+`---
apiVersion: istio.alibabacloud.com/v1
kind: LLMProvider
metadata: {name: full}
spec:
  host: full.example.com
  scheme: http
  port: 8000
  path: /api/chat/completions
  workloadSelector: {labels: {app: gw}}
  configs: {defaultConfig: {openAIConfig: {model: m, apiKey: sk-1}}}
`)
	write(t, filepath.Join(dir, "b.yaml"), `apiVersion: istio.alibabacloud.com/v1
kind: LLMRoute
metadata: {name: r}
spec:
  host: demo
  gateways: [mesh, gw]
  rules:
  - name: vip
    matches: [{headers: {user-type: {exact: subscriber}}}]
    backendRefs: [{providerHost: none.example.com}]
  - backendRefs: [{providerHost: a.example.com, weight: 1}, {providerHost: full.example.com, weight: 2}]
`+adapterGateway+`---
apiVersion: istio.alibabacloud.com/v1
kind: LLMRoute
metadata: {name: wrong}
spec: {host: wrong, rules: []}
`)
	out, err := runCommand(t, newCheckCommand(), dir, "--labels", "app=gw", "--port-map", "80:8080")
	want := `a.yaml:1: LLMProvider default/a: sends requests to https://a.example.com/v1/chat/completions
a.yaml:7: LLMProvider default/full: sends requests to http://full.example.com:8000/api/chat/completions as model m with a key
b.yaml:1: LLMRoute default/r: warning: ProviderNotFound: spec.rules[0].backendRefs[0].providerHost: no LLMProvider for this workload has this host, and requests for it are answered with 503; create one, or correct the host
b.yaml:1: LLMRoute default/r: routes demo, demo.default, demo.default.svc, demo.default.svc.cluster.local in :8080: vip matching requests to nothing (ProviderNotFound), then to default/a (33.33%) and default/full (66.67%); routes demo, demo.default, demo.default.svc, demo.default.svc.cluster.local in mesh: vip matching requests to nothing (ProviderNotFound), then to default/a (33.33%) and default/full (66.67%)
b.yaml:13: Gateway default/gw: listens at :8080 with HTTP for *
b.yaml:18: LLMRoute default/wrong: not used: InvalidField: spec.rules: there are none, so every request would be answered with 404; write at least one rule with backendRefs
`
	if got := strings.ReplaceAll(out, dir+"/", ""); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if err == nil || err.Error() != "something is wrong with 2 of the objects" {
		t.Errorf("error %v", err)
	}

	out, err = runCommand(t, newCheckCommand(), filepath.Join(dir, "a.yaml"), "--namespace", "default")
	if err != nil || !strings.Contains(out, "LLMProvider default/full: is for other workloads\n") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestCheckSaysWhatEverythingSays holds that the command finds in bad objects
// what all others do.
func TestCheckSaysWhatEverythingSays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.yaml")
	line := strings.Count(badobjects.Beside, "\n") + 2
	for _, bad := range badobjects.All(t) {
		write(t, path, badobjects.Beside+"---\n"+bad.Manifest(t))
		out, err := runCommand(t, newCheckCommand(), path, "--namespace", "default")
		how := "not used"
		if bad.Used {
			how = "warning"
		}
		want := fmt.Sprintf("%s:%d: %s default/bad: %s: %s: %s\n", path, line, bad.Kind, how, bad.Reason, bad.Message("default"))
		if err == nil || !strings.Contains(out, want) {
			t.Errorf("%s: %v\n%s\nwant %s", bad.Name, err, out, want)
		}
	}
}

func TestTranslateCommand(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.yaml")
	write(t, path, strings.Replace(plainProvider, "spec:", "spec:\n  configs: {defaultConfig: {openAIConfig: {apiKey: sk-1}}}", 1))
	out, err := runCommand(t, newTranslateCommand(), path)
	if err != nil || strings.Contains(out, "sk-1") || !strings.Contains(out, `"api_key": "REDACTED"`) {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestManifestCommandErrors(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "x.txt"), "a: 1\n  b: 2\n")
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no path":      {nil, "at least one path is needed"},
		"nothing":      {[]string{filepath.Join(dir, "none.yaml")}, "there is no file or folder"},
		"empty folder": {[]string{dir}, "there are no manifests at"},
		"not YAML":     {[]string{filepath.Join(dir, "x.txt")}, "x.txt:2: this is not YAML"},
		"labels":       {[]string{dir, "--labels", "a"}, `"a" is not a label`},
		"ports":        {[]string{dir, "--port-map", "80"}, `"80" is not a pair of ports`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := runCommand(t, newCheckCommand(), test.args...); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}
