// Package inject_test gives what `caddy llm inject` prints to a real API server.
package inject_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/integration/gateway"
	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
)

func TestMain(m *testing.M) { cluster.Main(m) }

// inject returns what the command prints for manifests.
func inject(t *testing.T, manifests string, args ...string) string {
	t.Helper()
	cmd := exec.Command(gateway.Binary(t), append([]string{"llm", "inject", "-f", "-"}, args...)...)
	cmd.Stdin = strings.NewReader(manifests)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil || complaints.Len() > 0 {
		t.Fatalf("%v: %s", err, complaints.String())
	}
	return string(out)
}

// pod is a template that meets the strictest standard. In a cluster the account need
// not be named; here the plugin that names it is off.
const pod = `{metadata: {labels: {app: a}}, spec: {
  serviceAccountName: default,
  securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}},
  RESTART
  containers: [{name: app, image: app, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]}}`

func kinds() string {
	template := strings.ReplaceAll(strings.ReplaceAll(pod, "RESTART", ""), "\n", " ")
	once := strings.ReplaceAll(strings.ReplaceAll(pod, "RESTART", "restartPolicy: Never,"), "\n", " ")
	selector := "selector: {matchLabels: {app: a}}, template: " + template
	return `apiVersion: apps/v1
kind: Deployment
metadata: {name: deployment}
spec: {` + selector + `}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: statefulset}
spec: {serviceName: a, ` + selector + `}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: daemonset}
spec: {` + selector + `}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: replicaset}
spec: {` + selector + `}
---
apiVersion: v1
kind: ReplicationController
metadata: {name: replicationcontroller}
spec: {selector: {app: a}, template: ` + template + `}
---
apiVersion: batch/v1
kind: Job
metadata: {name: job}
spec: {template: ` + once + `}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: cronjob}
spec: {schedule: "0 3 * * *", jobTemplate: {spec: {template: ` + once + `}}}
---
` + strings.Replace(template, "{metadata: {", "{apiVersion: v1, kind: Pod, metadata: {name: pod, ", 1) + "\n"
}

// template is where each kind has its containers.
var template = map[string]string{
	"deployment": "{.spec.template.spec.", "statefulset": "{.spec.template.spec.", "daemonset": "{.spec.template.spec.", "replicaset": "{.spec.template.spec.",
	"replicationcontroller": "{.spec.template.spec.", "job": "{.spec.template.spec.", "cronjob": "{.spec.jobTemplate.spec.template.spec.", "pod": "{.spec.",
}

// TestAccepted holds that an API server takes each kind, in every way that the
// sidecar can be set up, knows all of its fields, and has the gateway stay.
func TestAccepted(t *testing.T) {
	for name, args := range map[string][]string{
		"capture":    {"--mode", "capture", "--config-map", "providers", "--secret", "keys", "--exclude-outbound-ip-ranges", "10.0.0.0/8"},
		"http_proxy": {"--mode", "http_proxy", "--source", "kubernetes", "--image-pull-policy", "Always"},
	} {
		t.Run(name, func(t *testing.T) {
			c := cluster.Shared(t)
			namespace := c.Namespace()
			text := inject(t, kinds(), append(args, "--image", "registry.example.com/llm-gateway:0.1.0")...)
			r := c.KubectlInput(text, "create", "-n", namespace, "--validate=strict", "-f", "-")
			if r.Code != 0 {
				t.Fatalf("%s%s\n%s", r.Stdout, r.Stderr, text)
			}
			for kind, path := range template {
				got := c.Kubectl("get", kind, kind, "-n", namespace, "-o", "jsonpath="+path+"initContainers[?(@.name=='llm-gateway')]['restartPolicy','startupProbe.httpGet.path']}")
				if got.Stdout != "Always /readyz" {
					t.Errorf("%s: %s%s", kind, got.Stdout, got.Stderr)
				}
			}
			// What a cluster made of it is not injected again.
			stored := c.Kubectl("get", "deployment", "deployment", "-n", namespace, "-o", "json").Stdout
			cmd := exec.Command(gateway.Binary(t), "llm", "inject", "-f", "-", "--image", "x")
			cmd.Stdin = strings.NewReader(stored)
			if again, err := cmd.Output(); err != nil || string(again) != stored {
				t.Errorf("a second time: %v\n%s", err, again)
			}
		})
	}
}

// TestPodSecurity holds what the documentation says of the standards.
func TestPodSecurity(t *testing.T) {
	for standard, accepted := range map[string]map[string]bool{
		"privileged": {"capture": true, "http_proxy": true},
		"baseline":   {"capture": false, "http_proxy": true},
		"restricted": {"capture": false, "http_proxy": true},
	} {
		for mode, want := range accepted {
			t.Run(standard+" "+mode, func(t *testing.T) {
				c := cluster.Shared(t)
				namespace := c.Namespace()
				if r := c.Kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce="+standard); r.Code != 0 {
					t.Fatal(r.Stderr)
				}
				single := kinds()[strings.LastIndex(kinds(), "---\n")+4:]
				text := inject(t, single, "--image", "registry.example.com/llm-gateway:0.1.0", "--mode", mode)
				r := c.KubectlInput(text, "create", "-n", namespace, "-f", "-")
				switch {
				case want && r.Code != 0:
					t.Error(r.Stderr)
				case !want && (r.Code == 0 || !strings.Contains(r.Stderr, "NET_ADMIN")):
					t.Errorf("exit status %d: %s", r.Code, r.Stderr)
				}
			})
		}
	}
}

// TestExample runs the commands of the example.
func TestExample(t *testing.T) {
	c := cluster.Shared(t)
	namespace := c.Namespace()
	const dir = "../../../examples/kubernetes/sidecar/"
	cmd := exec.Command(gateway.Binary(t), "llm", "inject", "-f", dir+"sleep.yaml", "--config", dir+"inject.yaml")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c.Apply(string(out), "-n", namespace)
	keys := c.Kubectl("create", "secret", "generic", "llm-keys", "--from-literal=dashscope=sk-example", "--dry-run=client", "-o", "yaml")
	r := c.Kubectl("-n", namespace, "create", "secret", "generic", "llm-gateway", "--from-file="+dir+"llm.yaml", "--from-literal=keys.yaml="+keys.Stdout)
	if r.Code != 0 {
		t.Fatal(r.Stderr)
	}
	var secret struct{ Data map[string][]byte }
	got := c.Kubectl("-n", namespace, "get", "secret", "llm-gateway", "-o", "json")
	if err := json.Unmarshal([]byte(got.Stdout), &secret); err != nil || len(secret.Data) != 2 {
		t.Fatalf("%v: %s", err, got.Stdout)
	}
	// The gateway finds the key in what it has mounted.
	folder := t.TempDir()
	for name, data := range secret.Data {
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check := exec.Command(gateway.Binary(t), "llm", "check", folder, "--namespace", namespace, "--labels", "app=sleep")
	if out, err := check.CombinedOutput(); err != nil || !strings.Contains(string(out), "dashscope.aliyuncs.com") {
		t.Errorf("%v: %s", err, out)
	}
}
