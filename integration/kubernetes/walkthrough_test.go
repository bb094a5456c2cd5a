package kubernetes_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/gateway"
	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
)

// sidecar is the gateway that the documents' application pod, sleep, talks to;
// edge the ingress gateway.
const (
	sidecar = `{
	shutdown_delay 0s
	llm {
		status_listen off
		source kubernetes {
			kubeconfig {{.Kubeconfig}}
			namespace default
			labels app=sleep
		}
	}
}
http://:{{.Port}} {
	llm_route {
		table mesh
	}
}
`
	edge = `{
	shutdown_delay 0s
	llm {
		status_listen off
		source kubernetes {
			kubeconfig {{.Kubeconfig}}
			namespace istio-system
			labels istio=ingressgateway
			port_map 80:{{.Port}}
		}
	}
}
`
)

// TestDocuments does what the documents tell a reader to do, one after the
// other: kubectl apply of their manifests, requests, changes.
func TestDocuments(t *testing.T) {
	c := cluster.Start(t)
	kubeconfig := install(t, c)
	p := startProviders(t)
	type params struct {
		Kubeconfig string
		Port       int
	}
	mesh, ingress := gateway.FreePort(t), gateway.FreePort(t)
	p.start(t, sidecar, params{kubeconfig, mesh})
	p.start(t, edge, params{kubeconfig, ingress})
	model := func(host string, header ...string) string {
		t.Helper()
		return ask(t, mesh, host, header...).model
	}

	c.Apply(scenario(t, "documented-default-model"))
	until(t, "the provider answers", func() bool { return model(dashscope) == "qwen1.5-72b-chat" })
	got := p.servers[dashscope].Last()
	if got.Path != "/compatible-mode/v1/chat/completions" || got.Header.Get("Authorization") != "Bearer sk-dashscope" || got.Host != dashscope {
		t.Errorf("the provider got %s for %s with %q", got.Path, got.Host, got.Header.Get("Authorization"))
	}
	// From here on the host answers, whatever changes.
	failures := pester(t, mesh, dashscope)

	c.Apply(scenario(t, "documented-subscriber-route"))
	until(t, "subscribers get another model", func() bool { return model(dashscope, "user-type", "subscriber") == "qwen-turbo" })
	if m := model(dashscope); m != "qwen1.5-72b-chat" {
		t.Errorf("others get %s", m)
	}

	split := scenario(t, "documented-weighted-split")
	c.Apply(split)
	until(t, "the virtual service answers", func() bool { return ask(t, mesh, "demo-llm-server").status == 200 })
	until(t, "the model of subscribers is gone from the provider", func() bool {
		return model(dashscope, "user-type", "subscriber") == "qwen1.5-72b-chat"
	})
	const requests = 200
	count := make(map[string]int)
	for range requests {
		count[model("demo-llm-server")]++
	}
	for _, m := range []string{"qwen1.5-72b-chat", "moonshot-v1-8k"} {
		if n := count[m]; n < requests*48/100 || n > requests*52/100 {
			t.Errorf("%d of %d requests went to %s", n, requests, m)
		}
	}

	before := p.servers[moonshot].Count()
	c.Apply(strings.Replace(split, "weight: 50", "weight: 0", 1))
	until(t, "all go to the second backend", func() bool {
		for range 20 {
			if model("demo-llm-server") != "moonshot-v1-8k" {
				return false
			}
		}
		return p.servers[moonshot].Count() > before
	})
	c.Apply(strings.Replace(split, "sk-moonshot", "sk-changed", 1))
	until(t, "the provider gets the new key", func() bool {
		model("demo-llm-server")
		return p.servers[moonshot].Last().Header.Get("Authorization") == "Bearer sk-changed"
	})
	if r := c.Kubectl("delete", "llmroute", "demo-llm-server"); r.Code != 0 {
		t.Fatal(r.Stderr)
	}
	until(t, "a deleted route is gone", func() bool { return ask(t, mesh, "demo-llm-server").status == 404 })

	documentedIngress(t, c, p, ingress)
	for _, failure := range failures() {
		t.Errorf("while objects changed: %+v", failure)
	}
	documentedDenial(t, c, p, ingress)
}

func documentedIngress(t *testing.T, c *cluster.Cluster, p *providers, port int) {
	t.Helper()
	ingress := scenario(t, "documented-ingress")
	c.Apply(ingress)
	until(t, "the port of the Gateway answers", func() bool { return ask(t, port, "test.com").status == 200 })
	p.servers[dashscope].Reset()
	for host, want := range map[string]int{"test.com": 200, dashscope: 200, "other.com": 404} {
		if a := ask(t, port, host); a.status != want {
			t.Errorf("%s: %+v; want %d", host, a, want)
		}
	}
	for _, r := range p.servers[dashscope].Requests() {
		if r.Host != dashscope {
			t.Errorf("the provider saw the host %s", r.Host)
		}
	}

	c.Apply(strings.ReplaceAll(ingress, "test.com", "changed.com"))
	until(t, "the changed host answers", func() bool { return ask(t, port, "changed.com").status == 200 })
	if a := ask(t, port, "test.com"); a.status != 404 {
		t.Errorf("the old host: %+v", a)
	}

}

// documentedDenial has nobody else ask the provider meanwhile.
func documentedDenial(t *testing.T, c *cluster.Cluster, p *providers, port int) {
	t.Helper()
	c.Apply(scenario(t, "documented-ingress-denied"))
	until(t, "the address is denied", func() bool { return ask(t, port, "test.com").status == 403 })
	p.servers[dashscope].Reset()
	if a := ask(t, port, "test.com"); a.body != "RBAC: access denied" || p.servers[dashscope].Count() > 0 {
		t.Errorf("denied: %+v; the provider got %d requests", a, p.servers[dashscope].Count())
	}
	if a := ask(t, port, dashscope); a.status != 200 {
		t.Errorf("another host: %+v", a)
	}
}

// pester asks all the time and returns a function that stops it and returns the
// answers that were not 200.
func pester(t *testing.T, port int, host string) func() []answer {
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	var failures []answer
	n := 0
	go func() {
		defer close(done)
		for ; ctx.Err() == nil; n++ {
			if a := ask(t, port, host); a.status != 200 {
				failures = append(failures, a)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	return func() []answer {
		stop()
		<-done
		t.Logf("%d requests meanwhile", n)
		return failures
	}
}
