//go:build linux

package sidecar_test

import (
	"bufio"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
)

// appPod is a pod of somebody who calls a provider by its name, from an init
// container too.
const appPod = `apiVersion: v1
kind: Pod
metadata:
  name: sleep
  labels: {app: sleep}
spec:
  initContainers:
  - name: first-call
    image: curl
    command: [curl, -sS, -f, -m, "10", -o, /dev/null, "http://dashscope.aliyuncs.com/", --json, '{"messages": []}']
  containers:
  - name: app
    image: curl
    command: [curl, -sS, -m, "30", -N, "http://dashscope.aliyuncs.com/", --json, '{"messages": [], "stream": true}']
`

// selected makes the provider one of the pod's label, so that it is known only if
// the label came to the gateway.
func selected(manifests string) string {
	return strings.ReplaceAll(manifests, "\nspec:\n  host: dashscope", "\nspec:\n  workloadSelector: {labels: {app: sleep}}\n  host: dashscope")
}

// injectedPod is the injected pod, with providers around it.
func injectedPod(t *testing.T, args ...string) *kubelet {
	t.Helper()
	p := newPod(t, "documented-weighted-split")
	config := filepath.Join(t.TempDir(), "inject.yaml")
	if err := os.WriteFile(config, []byte("env: [{name: SSL_CERT_FILE, value: /etc/llm/secret/ca.pem}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	k := newKubelet(t, p, appPod, append(args, "--config", config)...)
	read := func(name string) string {
		data, err := os.ReadFile(filepath.Join(p.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	k.secrets["llm-gateway"] = map[string]string{"llm.yaml": selected(read("llm.yaml")), "ca.pem": read("ca.pem")}
	return k
}

// TestInjectedPod runs what `caddy llm inject` prints. Whatever runs in the pod, and
// whenever, its calls go to the gateway or nowhere.
func TestInjectedPod(t *testing.T) {
	for mode, order := range map[string][]string{
		"capture":    {"llm-capture", "llm-gateway", "first-call"},
		"http_proxy": {"llm-gateway", "first-call"},
	} {
		t.Run(mode, func(t *testing.T) {
			k := injectedPod(t, "--mode", mode)
			k.startUp(func(name string) {
				if name == "llm-capture" {
					// No gateway yet: what somebody in the pod sends now is refused.
					if out, err := k.as(appUID, "curl", "-sS", "-m", "5", "http://dashscope.aliyuncs.com/").CombinedOutput(); err == nil {
						t.Errorf("before the gateway is there: %s", out)
					}
				}
			})
			if !slices.Equal(k.ran, order) {
				t.Errorf("the order is %v", k.ran)
			}
			if n := k.dashscope.Count(); n != 1 {
				t.Errorf("the provider had %d requests of the init container", n)
			}
			if out := k.run(k.app()); !strings.Contains(out, "data:") {
				t.Errorf("the application got %s", out)
			}
			if got := k.dashscope.Requests()[0].Header.Get("Authorization"); got != "Bearer sk-dashscope" {
				t.Errorf("the provider got %q", got)
			}
			if n := k.plain.count(); n != 0 || k.direct() != "0" {
				t.Errorf("%d calls and %s packets went past the gateway", n, k.direct())
			}
			metrics := k.curl("http://127.0.0.1:15021/metrics")
			if !strings.Contains(metrics, `llmproxy_source_workload="sleep",llmproxy_source_workload_namespace="default"`) {
				t.Error("the metrics do not name the workload")
			}
			if code := k.curl("-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:15021/status.json"); code != "404" {
				t.Errorf("the status page's data is answered with %s", code)
			}
			if out, err := k.as(appUID, "curl", "-sS", "-m", "5", "http://127.0.0.1:2019/config/").CombinedOutput(); err == nil {
				t.Errorf("the application reaches the admin endpoint: %s", out)
			}
			for _, complaint := range []string{"read-only file system", "permission denied", "not formatted", "every object applies", `"level":"error"`} {
				if strings.Contains(k.sidecar.log.String(), complaint) {
					t.Errorf("the gateway says %s:\n%s", complaint, k.sidecar.log.String())
				}
			}
		})
	}
}

// TestInjectedPodStops holds what happens at the end of a pod: the application goes
// on calling as long as it runs, and what is left when it has ended keeps nobody
// waiting.
func TestInjectedPodStops(t *testing.T) {
	k := injectedPod(t)
	k.startUp(func(string) {})
	k.dashscope.Script(fakeprovider.Always(fakeprovider.EndlessEvents("data: {\"choices\":[]}\n\n", 50*time.Millisecond)))
	app := k.app()
	out, err := app.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	event := func() bool {
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "data:") {
				return true
			}
		}
		return false
	}
	if !event() {
		t.Fatal("no stream")
	}
	// Told to stop too early, the gateway goes on with what is under way.
	if err := k.sidecar.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	until(t, "the gateway is not ready", func() bool {
		return k.as(appUID, "curl", "-sf", "-o", "/dev/null", "http://127.0.0.1:15021/readyz").Run() != nil
	})
	for range 20 {
		if !event() {
			t.Fatal("the stream broke off")
		}
	}
	k.sidecar.runs(t, "a stream")
	// The application ends, and with it all that the gateway waits for.
	_ = app.Process.Kill()
	_ = app.Wait()
	k.sidecar.ends(t, "the application")
}
