// Package scale_test measures the gateway in a cluster with many objects, and
// sends it requests while they change.
//
// The table in the documentation is made by
//
//	go test ./integration/kubernetes/scale -run '^$' -bench . -benchtime 300x -timeout 30m
package scale_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/gateway"
	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
)

func TestMain(m *testing.M) { cluster.Main(m) }

const crds = "../../../examples/kubernetes/crds"

// api writes objects without the time that a run of kubectl takes.
type api struct {
	t      testing.TB
	url    string
	token  string
	client *http.Client
}

func newAPI(t testing.TB, c *cluster.Cluster) *api {
	t.Helper()
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &api{t: t, url: c.URL, token: c.AdminToken, client: &http.Client{
		Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, MaxIdleConnsPerHost: 16},
	}}
}

// send sends one object, or a patch of one, and tells how that went.
func (a *api) send(method, path, contentType, body string) error {
	req, err := http.NewRequest(method, a.url+path, bytes.NewBufferString(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	req.Header.Set("Content-Type", contentType)
	res, err := a.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %d %w %s", method, path, res.StatusCode, err, answer)
	}
	return nil
}

func resource(namespace, kind string) string {
	return "/apis/istio.alibabacloud.com/v1/namespaces/" + namespace + "/" + kind
}

// patch changes one object.
func (a *api) patch(namespace, kind, name, patch string) {
	a.t.Helper()
	if err := a.send(http.MethodPatch, resource(namespace, kind)+"/"+name, "application/merge-patch+json", patch); err != nil {
		a.t.Fatal(err)
	}
}

// create makes the objects that make returns for from up to to.
func (a *api) create(namespace, kind string, from, to int, make func(i int) string) {
	a.t.Helper()
	var next atomic.Int64
	next.Store(int64(from))
	errs := sync.Map{}
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for i := int(next.Add(1)) - 1; i < to; i = int(next.Add(1)) - 1 {
				if err := a.send(http.MethodPost, resource(namespace, kind), "application/json", make(i)); err != nil {
					errs.Store(i, err)
					return
				}
			}
		})
	}
	wait.Wait()
	errs.Range(func(_, err any) bool {
		a.t.Fatal(err)
		return false
	})
}

func providerObject(i int) string {
	return fmt.Sprintf(`{"apiVersion":"istio.alibabacloud.com/v1","kind":"LLMProvider","metadata":{"name":"p-%d"},"spec":{"host":"p-%d.example.com",
		"configs":{"defaultConfig":{"openAIConfig":{"model":"m-%d","apiKey":"sk-%d"}},"routeSpecificConfigs":{"vip":{"openAIConfig":{"model":"large"}}}}}}`, i, i, i, i)
}

// routeObject is a route over one of so many providers.
func routeObject(i, providers int) string {
	return fmt.Sprintf(`{"apiVersion":"istio.alibabacloud.com/v1","kind":"LLMRoute","metadata":{"name":"r-%d"},"spec":{"host":"r-%d","rules":[
		{"name":"vip","matches":[{"headers":{"user-type":{"exact":"subscriber"}}}],"backendRefs":[{"providerHost":"p-%d.example.com"}]},
		{"backendRefs":[{"providerHost":"p-%d.example.com","weight":80},{"providerHost":"p-0.example.com","weight":20}]}]}}`, i, i, i%providers, i%providers)
}

const config = `{
	llm {
		status_listen 127.0.0.1:{{.Status}}
		source kubernetes {
			kubeconfig {{.Kubeconfig}}
			namespace {{.Namespace}}
			labels app=scale
			workload scale
			mesh_listen 127.0.0.1:{{.Port}}
		}
	}
}
http://:{{.Mock}} {
	bind 127.0.0.1
	llm_mock
}
`

// site is a gateway that follows one namespace.
type site struct {
	*gateway.Gateway
	url, status string
	mock        int
}

// start starts a gateway, and returns when it is ready.
func start(t testing.TB, c *cluster.Cluster, namespace string) *site {
	t.Helper()
	port, status, mock := gateway.FreePort(t), gateway.FreePort(t), gateway.FreePort(t)
	s := &site{url: fmt.Sprint("http://127.0.0.1:", port), status: fmt.Sprint("http://127.0.0.1:", status), mock: mock}
	s.Gateway = gateway.Start(t, gateway.Render(t, config, map[string]any{
		"Kubeconfig": c.Kubeconfig(c.AdminToken), "Namespace": namespace, "Port": port, "Status": status, "Mock": mock,
	}))
	until(t, "readiness", func() (bool, string) {
		res, err := http.Get(s.status + "/readyz")
		if err != nil {
			return false, err.Error()
		}
		defer res.Body.Close()
		return res.StatusCode == http.StatusOK, res.Status
	})
	return s
}

// until waits for what it asks, and looks again at once.
func until(t testing.TB, what string, ask func() (ok bool, got string)) {
	t.Helper()
	last := ""
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		var ok bool
		if ok, last = ask(); ok {
			return
		}
	}
	t.Fatalf("%s did not come; the last was: %s", what, last)
}
