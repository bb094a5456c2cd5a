package source_test

import (
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
)

// TestSelectorsFrom holds that a workloadSelector of another namespace selects a workload
// only where the option selectors_from names that namespace.
func TestSelectorsFrom(t *testing.T) {
	c := cluster.Shared(t)
	c.InstallCRDs(crds)
	w := newWorld(t, c)
	platform, tenant := c.Namespace(), c.Namespace()
	selecting := func(host, model string) string {
		return strings.Replace(providerObject("p", host, "model: "+model), "spec:\n", "spec:\n  workloadSelector: {labels: {app: "+w.ns+"}}\n", 1)
	}
	c.Apply(selecting(w.host, "platform"), "-n", platform)
	c.Apply(selecting("tenant."+w.host, "tenant"), "-n", tenant)
	g := w.start(settings{workload: w.ns, options: "selectors_from " + platform})
	g.answers(w.host, 200, "platform")
	if a := g.post("tenant." + w.host); a.status != 404 {
		t.Errorf("a provider of another namespace: %d %s", a.status, a.body)
	}
	// The namespace's own provider comes before that of a namespace which may select.
	w.apply(providerObject("own", w.host, "model: own"))
	g.answers(w.host, 200, "own")

	without := w.start(settings{workload: w.ns})
	without.answers(w.host, 200, "own")
	w.Kubectl("delete", "llmprovider", "own", "-n", w.ns)
	without.answers(w.host, 404, "")
	g.answers(w.host, 200, "platform")
}
