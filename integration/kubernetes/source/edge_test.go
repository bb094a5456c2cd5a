package source_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/integration/gateway"
	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
)

// TestEdge has a gateway that serves no sidecars' routes. It says nothing of what it
// lacks for them, but of what is wrong with them everywhere, since sidecars write
// no status.
func TestEdge(t *testing.T) {
	c := cluster.Shared(t)
	c.InstallCRDs(crds)
	c.InstallIstioCRDs("Gateway")
	w := newWorld(t, c)
	refused := func(regex string) string {
		return strings.Replace(routeObject("refused", "refused."+w.host, w.host), "rules: [{", "rules: [{matches: [{headers: {x: {regex: '"+regex+"'}}}], ", 1)
	}
	w.apply(`apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  selector: {app: `+w.ns+`}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
---
`, routeObject("sidecars", "sidecars."+w.host, "unknown.example.com"), refused("(?=a)"))
	g := w.start(settings{workload: w.ns, options: fmt.Sprint("port_map 80:", gateway.FreePort(t))})
	w.awaits("llmroute", "refused", "Accepted", "False InvalidMatch 1")
	until(t, "event", func() (bool, string) {
		got := w.eventsOf("refused")
		return strings.HasPrefix(got, "Warning InvalidMatch: ") && strings.Contains(got, "\nspec.rules[0].matches[0].headers[x].regex: "), got
	})
	w.apply(refused("a"))
	w.awaits("llmroute", "refused", "Programmed", "False NotSelected 2")
	if got := w.condition("llmroute", "sidecars", "Accepted"); got != "" {
		t.Errorf("there is a condition of a sidecars' route: %s", got)
	}
	if got := g.findings(); got != "" {
		t.Errorf("there are findings: %s", got)
	}
	for _, line := range g.Logs() {
		if strings.Contains(line.Raw, "unknown.example.com") {
			t.Errorf("the log is about a sidecars' route: %s", line.Raw)
		}
	}
}
