// Package injection_test has built gateways answer a real API server about new pods.
package injection_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/gateway"
	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
)

func TestMain(m *testing.M) { cluster.Main(m) }

const (
	examples = "../../../examples/kubernetes/"

	// What the manifests install.
	root     = "istio-system"
	webhook  = "llm-gateway-istio-system"
	caSecret = webhook + "-ca"

	// patience is how long anything may take on a busy machine.
	patience = 90 * time.Second
)

const config = `{
	shutdown_delay 0s
	llm {
		status_listen 127.0.0.1:{{.Status}}
		drain_timeout 10s
		source kubernetes {
			kubeconfig {{.Kubeconfig}}
			namespace istio-system
			labels istio=ingressgateway
			workload llm-gateway
			lease llm-gateway
			injection llm-gateway-istio-system {
				options options.yaml
				listen 127.0.0.1:{{.Port}}
				ca_lifetime {{.Lifetime}}
			}
		}
	}
}
`

// world is a cluster in which the gateway is installed as the page says, without its
// pods: gateways run as processes with the rights of its account, and the API server
// asks them by way of a balancer, as it would by way of a Service.
type world struct {
	*cluster.Cluster
	t          *testing.T
	balancer   *balancer
	kubeconfig string
	lifetime   string
	client     *http.Client
}

func newWorld(t *testing.T) *world {
	t.Helper()
	c := cluster.Start(t)
	c.InstallCRDs(examples + "crds")
	c.InstallIstioCRDs("Gateway", "AuthorizationPolicy", "RequestAuthentication")
	c.Kubectl("create", "namespace", root)
	data, err := os.ReadFile(examples + "gateway-injection.yaml")
	if err != nil {
		t.Fatal(err)
	}
	b := newBalancer(t)
	c.Apply(string(data))
	for i, path := range []string{"/inject/namespace", "/inject"} {
		patch := fmt.Sprintf(`[{"op": "test", "path": "/webhooks/%d/clientConfig/service/path", "value": %q},
			{"op": "replace", "path": "/webhooks/%d/clientConfig", "value": {"url": "https://%s%s"}}]`, i, path, i, b.address(), path)
		if r := c.Kubectl("patch", "mutatingwebhookconfiguration", webhook, "--type=json", "-p", patch); r.Code != 0 {
			t.Fatal(r.Stderr)
		}
	}
	ca, err := os.ReadFile(c.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return &world{
		Cluster: c, t: t, balancer: b, kubeconfig: c.Kubeconfig(c.Token(root, "llm-gateway")), lifetime: "8760h",
		client: &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, MaxIdleConnsPerHost: 16}},
	}
}

// replica is a gateway behind the balancer.
type replica struct {
	*gateway.Gateway
	status, address string
}

// start starts a gateway, and adds it to the balancer once it is ready, as a Service
// does.
func (w *world) start() *replica {
	w.t.Helper()
	port, status := gateway.FreePort(w.t), gateway.FreePort(w.t)
	g := gateway.Start(w.t, gateway.Render(w.t, config, map[string]any{"Kubeconfig": w.kubeconfig, "Port": port, "Status": status, "Lifetime": w.lifetime}),
		gateway.File("options.yaml", "image: registry.example.com/llm-gateway:1\n"))
	r := &replica{g, fmt.Sprint("http://127.0.0.1:", status), fmt.Sprint("127.0.0.1:", port)}
	until(w.t, "readiness", func() (bool, string) {
		code, body := get(r.status + "/readyz")
		return code == http.StatusOK, body
	})
	w.balancer.add(r.address)
	return r
}

// leads reports whether the replica keeps the authority.
func (r *replica) leads() bool {
	for _, line := range r.Logs() {
		if strings.HasPrefix(line.Message, "became leader for the webhook's certificate authority") {
			return true
		}
	}
	return false
}

// pod is what is created, and what became of it.
type pod struct {
	Metadata struct {
		Name        string            `json:"name"`
		Labels      map[string]string `json:"labels,omitempty"`
		Annotations map[string]string `json:"annotations,omitempty"`
	} `json:"metadata"`
	Spec struct {
		HostNetwork    bool        `json:"hostNetwork,omitempty"`
		InitContainers []container `json:"initContainers,omitempty"`
		Containers     []container `json:"containers"`
	} `json:"spec"`
}

type container struct {
	Name          string `json:"name"`
	Image         string `json:"image"`
	RestartPolicy string `json:"restartPolicy,omitempty"`
}

// injected reports whether the pod has the sidecar, as one that stays.
func (p *pod) injected() bool {
	for _, c := range p.Spec.InitContainers {
		if c.Name == "llm-gateway" && c.RestartPolicy == "Always" {
			return true
		}
	}
	return false
}

// create creates a pod. The error is the API server's.
func (w *world) create(namespace, name, label string, change func(*pod)) (*pod, error) {
	p := new(pod)
	p.Metadata.Name = name
	if label != "" {
		p.Metadata.Labels = map[string]string{"sidecar.llm-gateway/inject": label}
	}
	p.Spec.Containers = []container{{Name: "app", Image: "app"}}
	if change != nil {
		change(p)
	}
	data, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	answer, status, err := w.request(http.MethodPost, "/api/v1/namespaces/"+namespace+"/pods", data)
	if err != nil {
		return nil, err
	}
	if status != http.StatusCreated {
		return nil, fmt.Errorf("%d %s", status, answer)
	}
	made := new(pod)
	return made, json.Unmarshal(answer, made)
}

// request sends a request to the API server as the administrator.
func (w *world) request(method, path string, body []byte) (answer []byte, status int, err error) {
	req, err := http.NewRequest(method, w.URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Authorization", "Bearer "+w.AdminToken)
	req.Header.Set("Content-Type", "application/json")
	res, err := w.client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(res.Body)
	return answer, res.StatusCode, err
}

// namespace makes a namespace, with the label unless it is empty.
func (w *world) namespace(label string) string {
	w.t.Helper()
	ns := w.Namespace()
	if label != "" {
		if r := w.Kubectl("label", "namespace", ns, "llm-gateway-injection="+label); r.Code != 0 {
			w.t.Fatal(r.Stderr)
		}
	}
	return ns
}

// injects waits until pods get the sidecar.
func (w *world) injects() {
	w.t.Helper()
	ns, n := w.Namespace(), 0
	until(w.t, "injected pod", func() (bool, string) {
		n++
		p, err := w.create(ns, fmt.Sprint("first-", n), "true", nil)
		if err != nil {
			return false, err.Error()
		}
		return p.injected(), "a pod without the sidecar"
	})
}

// bundles are the caBundles of the configuration's webhooks.
func (w *world) bundles() []string {
	w.t.Helper()
	var object struct {
		Webhooks []struct {
			ClientConfig struct {
				CABundle []byte `json:"caBundle"`
			} `json:"clientConfig"`
		} `json:"webhooks"`
	}
	answer, status, err := w.request(http.MethodGet, "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/"+webhook, nil)
	if err == nil && status == http.StatusOK {
		err = json.Unmarshal(answer, &object)
	}
	if err != nil || len(object.Webhooks) == 0 {
		w.t.Errorf("reading the configuration: %d, %v", status, err)
		return []string{"", ""}
	}
	var out []string
	for _, hook := range object.Webhooks {
		out = append(out, string(hook.ClientConfig.CABundle))
	}
	return out
}

// roots returns the certificates of a bundle.
func roots(t *testing.T, bundle string) (out []*x509.Certificate) {
	t.Helper()
	for block, rest := pem.Decode([]byte(bundle)); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, certificate)
	}
	return out
}

func get(url string) (status int, body string) {
	res, err := http.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	data, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(data)
}

// until polls until something is so.
func until(t *testing.T, what string, ok func() (bool, string)) {
	t.Helper()
	began := time.Now()
	for {
		done, state := ok()
		if done {
			t.Logf("after %v: %s", time.Since(began).Round(time.Millisecond), what)
			return
		}
		if time.Since(began) > patience {
			t.Fatalf("after %v there is no %s; the last was: %s", patience, what, state)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
