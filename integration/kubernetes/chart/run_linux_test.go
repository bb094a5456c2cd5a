package chart

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
)

const providerName = "dashscope.aliyuncs.com"

// deployment is a chart that is installed, with a pod of it that runs.
type deployment struct {
	*pod
	t         testing.TB
	cluster   *cluster.Cluster
	namespace string
	provider  *fakeprovider.Server
}

// deploy installs the chart so that its pods reach a fake provider, and starts
// one of them.
func deploy(t *testing.T, drainSeconds int) *deployment {
	t.Helper()
	c := shared(t)
	c.InstallIstioCRDs("Gateway")
	d := newDeployment(t, c, c.Namespace())
	install(t, c, d.namespace, "--values", d.values(map[string]any{
		"labels": map[string]string{"istio": d.namespace},
		"drain":  map[string]any{"timeoutSeconds": drainSeconds},
	}))
	d.pod = startPod(t, c, d.namespace, "edge", map[string]string{"/etc/authorities/ca.crt": read(t, d.provider.CAFile())})
	return d
}

// newDeployment is a deployment with a provider of its own, and without a pod.
func newDeployment(t *testing.T, c *cluster.Cluster, namespace string) *deployment {
	return &deployment{t: t, cluster: c, namespace: namespace, provider: fakeprovider.New(t, fakeprovider.Names(providerName))}
}

// values is a file with values of the chart, and with those by which the pod gets to
// the provider.
func (d *deployment) values(values map[string]any) string {
	d.t.Helper()
	proxy := fakeprovider.NewProxy(d.t, map[string]*fakeprovider.Server{providerName: d.provider})
	values["env"] = []any{
		map[string]any{"name": "HTTPS_PROXY", "value": proxy.URL()},
		map[string]any{"name": "SSL_CERT_FILE", "value": "/etc/authorities/ca.crt"},
	}
	data, err := json.Marshal(values)
	if err != nil {
		d.t.Fatal(err)
	}
	file := filepath.Join(d.t.TempDir(), "values.json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		d.t.Fatal(err)
	}
	return file
}

const objectsOfDeployment = `
apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMProvider
metadata: {name: dashscope-qwen}
spec:
  workloadSelector: {labels: {istio: NAMESPACE}}
  host: dashscope.aliyuncs.com
  path: /compatible-mode/v1/chat/completions
  configs:
    defaultConfig:
      openAIConfig: {model: qwen-turbo, apiKeySecretRef: {name: SECRET, key: dashscope}}
---
apiVersion: networking.istio.io/v1beta1
kind: Gateway
metadata: {name: ingress-gw}
spec:
  selector: {istio: NAMESPACE}
  servers:
  - hosts: ['*']
    port: {name: http, number: 80, protocol: HTTP}
---
apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMRoute
metadata: {name: dashscope-route}
spec:
  host: "*"
  gateways: [ingress-gw]
  rules:
  - backendRefs:
    - providerHost: dashscope.aliyuncs.com
`

// apply applies the objects of a provider whose key is in a Secret.
func (d *deployment) apply(secret string) {
	d.t.Helper()
	d.cluster.Apply(strings.NewReplacer("NAMESPACE", d.namespace, "SECRET", secret).Replace(objectsOfDeployment), "-n", d.namespace)
}

func (d *deployment) secret(name, key string) {
	d.t.Helper()
	if r := d.cluster.Kubectl("-n", d.namespace, "create", "secret", "generic", name, "--from-literal=dashscope="+key); r.Code != 0 {
		d.t.Fatal(r.Stderr)
	}
}

// address is where the Service's port 80 leads to.
func (d *deployment) address() string { return fmt.Sprintf("127.0.0.1:%d", d.ports["http"]) }

// post sends a chat request; body is its text after "messages".
func (d *deployment) post(rest string) (*http.Response, error) {
	return http.Post(fmt.Sprintf("http://%s/", d.address()), "application/json", strings.NewReader(`{"messages": []`+rest+`}`))
}

// waitFor sends requests until one is answered with the status, and returns the
// body of that response.
func (d *deployment) waitFor(status int) string {
	d.t.Helper()
	var body []byte
	d.until(fmt.Sprintf("answers with %d", status), func() bool {
		res, err := d.post("")
		if err != nil {
			return false
		}
		defer res.Body.Close()
		body, _ = io.ReadAll(res.Body)
		return res.StatusCode == status
	})
	return string(body)
}

// TestPodServes runs what the chart deploys: nothing but the image's content, as
// an ordinary user, with a root file system that cannot be written to, and
// with exactly the rights of its ServiceAccount.
func TestPodServes(t *testing.T) {
	d := deploy(t, 600)
	d.secret("llm-keys", "sk-allowed")
	d.secret("other", "sk-not-allowed")

	d.apply("llm-keys")
	if body := d.waitFor(http.StatusOK); !strings.Contains(body, `"model":"qwen-turbo"`) {
		t.Error(body)
	}
	if got := d.provider.Requests()[0].Header.Get("Authorization"); got != "Bearer sk-allowed" {
		t.Errorf("the provider got the key %q", got)
	}

	d.apply("other")
	d.waitFor(http.StatusServiceUnavailable)
	for _, r := range d.provider.Requests() {
		if strings.Contains(r.Header.Get("Authorization"), "sk-not-allowed") {
			t.Error("a Secret was read that the chart does not name")
		}
	}

	// What it says of that shows that it may write.
	for _, written := range []string{
		"llmprovider/dashscope-qwen -o jsonpath={.status.conditions[*].reason}",
		"events.events.k8s.io -o jsonpath={.items[*].reason}",
	} {
		d.until("says why in "+written, func() bool {
			r := d.cluster.Kubectl(append([]string{"-n", d.namespace, "get"}, strings.Fields(written)...)...)
			return strings.Contains(r.Stdout, "SecretForbidden")
		})
	}
	if got := get(d.cluster, d.namespace, "lease/edge", ".spec.holderIdentity"); got == "" {
		t.Error("nobody holds the Lease that the Role names")
	}

	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 200} {
		if got := d.probe(path); got != want {
			t.Errorf("%s: %d", path, got)
		}
	}
	for _, complaint := range []string{"read-only file system", "permission denied", "no such file"} {
		if strings.Contains(d.output.String(), complaint) {
			t.Errorf("the log has %q:\n%s", complaint, d.output.String())
		}
	}
}

// TestPodStops holds that a stream may go on for the drain time and is then told,
// and that the process is gone before the kubelet would kill it.
func TestPodStops(t *testing.T) {
	const drainSeconds = 3
	d := deploy(t, drainSeconds)
	d.secret("llm-keys", "sk-allowed")
	d.apply("llm-keys")
	d.waitFor(http.StatusOK)
	d.provider.Script(fakeprovider.Always(fakeprovider.EndlessEvents("data: {\"choices\":[]}\n\n", 50*time.Millisecond)))
	res, err := d.post(`, "stream": true`)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewReader(res.Body)
	if _, err := lines.ReadString('\n'); err != nil {
		t.Fatal(err)
	}

	d.stop()
	stopped := time.Now()
	d.until("is not ready", func() bool { return d.probe("/readyz") == http.StatusServiceUnavailable })
	d.until("takes no new connection", func() bool {
		c, err := net.Dial("tcp", d.address())
		if err == nil {
			_ = c.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	rest, _ := io.ReadAll(lines) // the connection is cut after the last event
	if lasted := time.Since(stopped); lasted < drainSeconds*time.Second {
		t.Errorf("the stream ended %v after the signal", lasted)
	}
	if !bytes.Contains(rest, []byte("shutting_down")) {
		t.Errorf("the stream ends with %q", rest[max(0, len(rest)-300):])
	}
	container := d.spec.Spec.Containers[0]
	limit := time.Duration(d.spec.Spec.TerminationGracePeriodSeconds-container.Lifecycle.PreStop.Sleep.Seconds) * time.Second
	select {
	case <-d.done:
	case <-time.After(limit - time.Since(stopped)):
		t.Fatalf("the process is still there after %v, and would be killed", limit)
	}
	t.Logf("gone %v after the signal, of %v", time.Since(stopped).Round(time.Millisecond), limit)
	if code := d.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, d.output.String())
	}
}
