package source_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/gateway"
	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
)

// TestAPIServerGone stops the API server under a gateway that serves and under one
// that starts, and starts it again.
func TestAPIServerGone(t *testing.T) {
	c := cluster.Start(t)
	c.InstallCRDs(crds)
	w := newWorld(t, c)
	w.apply(providerObject("p", w.host, secretRef("keys")), secretObject("keys", "sk-0"))
	g := w.start(settings{})
	g.answers(w.host, 200, "m")
	kubeconfig := w.Kubeconfig(w.AdminToken)

	mark := g.LogMark()
	c.StopAPIServer()
	g.WaitLogSince(mark, "API server unreachable", patience)
	for range 20 {
		if a := g.post(w.host); a.status != 200 {
			t.Fatalf("without the API server: %d %s", a.status, a.body)
		}
	}
	late := w.start(settings{kubeconfig: kubeconfig, workload: "late"})
	if a := late.post(w.host); a.status != 503 || !strings.Contains(a.body, "not_ready") || late.ready() {
		t.Errorf("a gateway that knows nothing yet: %d %s, ready %v", a.status, a.body, late.ready())
	}
	if !g.ready() {
		t.Error("the gateway that serves is not ready")
	}

	var failed atomic.Int64
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
				if a := g.post(w.host); a.status != 200 {
					failed.Add(1)
				}
			}
		}
	}()
	c.StartAPIServer()
	w.apply(providerObject("p", w.host, strings.Replace(secretRef("keys"), "model: m", "model: m2", 1)), secretObject("keys", "sk-2"))
	t.Logf("a change was in force %v after the API server was back", g.answers(w.host, 200, "m2").Round(time.Millisecond))
	t.Logf("a new gateway was ready %v after that", late.answers(w.host, 200, "m2").Round(time.Millisecond))
	until(t, "new key", func() (bool, string) { g.post(w.host); return w.lastKey() == "Bearer sk-2", w.lastKey() })
	close(stop)
	<-done
	if n := failed.Load(); n > 0 {
		t.Errorf("%d requests failed while the API server came back", n)
	}
	lost := 0
	for _, line := range g.Logs() {
		if strings.Contains(line.Message, "API server unreachable") {
			lost++
		}
	}
	if lost > 2 {
		t.Errorf("the log says %d times that the API server is unreachable", lost)
	}
}

// TestKindsAppear installs the kinds under a gateway that runs, and takes one away.
func TestKindsAppear(t *testing.T) {
	c := cluster.Start(t)
	w := newWorld(t, c)
	port := gateway.FreePort(t)
	g := w.start(settings{options: fmt.Sprint("port_map 80:", port)})
	until(t, "readiness without any kind", func() (bool, string) { return g.ready(), "" })
	if a := g.post(w.host); a.status != 404 {
		t.Errorf("without any kind: %d %s", a.status, a.body)
	}
	c.InstallCRDs(crds)
	w.apply(providerObject("p", w.host, "model: m"), routeObject("r", "route."+w.host, w.host))
	t.Logf("objects of new kinds were in force after %v", g.answers("route."+w.host, 200, "m").Round(time.Millisecond))

	c.InstallIstioCRDs("Gateway")
	w.apply(`apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  selector: {app: gw}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
---
apiVersion: istio.alibabacloud.com/v1
kind: LLMRoute
metadata: {name: at-gateway}
spec:
  host: "*"
  gateways: [gw]
  rules: [{backendRefs: [{providerHost: ` + w.host + `}]}]
`)
	atGateway := *g
	atGateway.url = fmt.Sprint("http://127.0.0.1:", port)
	atGateway.answers("anything.example.com", 200, "m")

	w.Kubectl("delete", "crd", "llmroutes.istio.alibabacloud.com")
	g.answers("route."+w.host, 404, "")
	g.answers(w.host, 200, "m")
	g.WaitLog("kind is no longer served")
	c.InstallCRDs(crds)
	w.apply(routeObject("r", "route."+w.host, w.host))
	g.answers("route."+w.host, 200, "m")
}
