package source_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
	apiserver "github.com/caddy-llm/gateway/k8ssource/cluster"
	"github.com/caddy-llm/gateway/k8ssource/source"
	_ "github.com/caddy-llm/gateway/llmprovider/openai" // the kind of the providers
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// TestNothingIsLeft starts and stops the source in this process, and counts what
// goes on after that.
func TestNothingIsLeft(t *testing.T) {
	c := cluster.Shared(t)
	c.InstallCRDs(crds)
	ns := c.Namespace()
	c.Apply(providerObject("p", ns+".example.com", secretRef("keys"))+secretObject("keys", "sk-1"), "-n", ns)
	kubeconfig := c.Kubeconfig(c.AdminToken)
	before := 0
	for round := range 3 {
		k := &apiserver.Kubernetes{Kubeconfig: kubeconfig, Settings: source.Settings{Namespace: ns, Labels: map[string]string{"app": "gw"}, Workload: "gw"}}
		if err := k.Provision(caddy.Context{}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		states := make(chan *spec.State, 100)
		if err := k.Start(ctx, func(s *spec.State) { states <- s }); err != nil {
			t.Fatal(err)
		}
		select {
		case s := <-states:
			if len(s.Providers) != 1 {
				t.Errorf("%d providers, findings %v", len(s.Providers), s.Findings)
			}
		case <-time.After(patience):
			t.Fatal("no state")
		}
		running := runtime.NumGoroutine()
		cancel()
		if round == 0 {
			// Connections stay for a while, shared by all rounds.
			time.Sleep(2 * time.Second)
			before = runtime.NumGoroutine()
			continue
		}
		until(t, "end of all goroutines", func() (bool, string) {
			n := runtime.NumGoroutine()
			buffer := make([]byte, 1<<20)
			return n <= before, string(buffer[:runtime.Stack(buffer, true)])
		})
		t.Logf("%d goroutines while it ran, %d after", running, runtime.NumGoroutine())
	}
}
