package source_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
)

// routes is where the API server lists the LLMRoutes of all namespaces.
const routes = "/apis/istio.alibabacloud.com/v1beta1/llmroutes"

// TestExpiredWatch changes objects while the gateway sleeps, under an API server
// that has forgotten the changes when the gateway asks for them: it answers 410.
func TestExpiredWatch(t *testing.T) {
	c := cluster.Start(t)
	c.InstallCRDs(crds)
	w := newWorld(t, c)
	w.apply(providerObject("p", w.host, "model: m"), routeObject("goes", "goes."+w.host, w.host), routeObject("stays", "stays."+w.host, w.host))
	g := w.start(settings{})
	g.answers("goes."+w.host, 200, "m")
	version := w.Kubectl("get", "--raw", routes+"?limit=1").Stdout
	_, version, _ = strings.Cut(version, `"resourceVersion":"`)
	version, _, _ = strings.Cut(version, `"`)

	g.Signal(syscall.SIGSTOP)
	c.StopAPIServer()
	c.StartAPIServer()
	w.Kubectl("delete", "llmroute", "goes", "-n", w.ns)
	w.apply(routeObject("comes", "comes."+w.host, w.host))
	// It keeps what it has read since its start, and that was after these.
	c.StopAPIServer()
	c.StartAPIServer()
	answer := w.Kubectl("get", "--raw", fmt.Sprintf("%s?watch=1&timeoutSeconds=1&resourceVersion=%s", routes, version))
	if !strings.Contains(answer.Stdout+answer.Stderr, "too old resource version") {
		t.Fatalf("the API server still knows the changes since version %s: %+v", version, answer)
	}
	g.Signal(syscall.SIGCONT)
	g.answers("comes."+w.host, 200, "m")
	g.answers("goes."+w.host, 404, "")
	g.answers("stays."+w.host, 200, "m")
}

// TestUnusedSecretIsLeftAlone counts the watches of single Secrets that the API
// server has.
func TestUnusedSecretIsLeftAlone(t *testing.T) {
	c := cluster.Start(t)
	c.InstallCRDs(crds)
	w := newWorld(t, c)
	watches := func(want string) {
		t.Helper()
		until(t, want+" watches of Secrets", func() (bool, string) {
			got := ""
			for line := range strings.Lines(w.Kubectl("get", "--raw", "/metrics").Stdout) {
				if strings.HasPrefix(line, `apiserver_longrunning_requests{component="apiserver",group="",resource="secrets",scope="resource",`) && strings.Contains(line, `verb="WATCH"`) {
					got = strings.TrimSpace(line[strings.LastIndexByte(line, ' ')+1:])
				}
			}
			return got == want, got
		})
	}
	w.apply(providerObject("p", w.host, secretRef("first")), secretObject("first", "sk-1"), secretObject("second", "sk-2"))
	g := w.start(settings{})
	g.answers(w.host, 200, "m")
	watches("1")
	w.apply(providerObject("q", "q."+w.host, secretRef("second")))
	watches("2")
	w.apply(providerObject("p", w.host, secretRef("second")))
	until(t, "request with the other key", func() (bool, string) { g.post(w.host); return w.lastKey() == "Bearer sk-2", w.lastKey() })
	watches("1")
	w.Kubectl("delete", "llmprovider", "p", "q", "-n", w.ns)
	watches("0")
}
