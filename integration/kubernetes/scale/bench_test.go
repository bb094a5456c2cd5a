package scale_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
)

// BenchmarkChange measures, with more and more objects, the time from sending a
// change of one route to the API server until a request is routed by it, the
// gateway's CPU time for a change, its memory, and the time to the first state.
// There is one LLMProvider for five LLMRoutes.
func BenchmarkChange(b *testing.B) {
	c := cluster.Shared(b)
	c.InstallCRDs(crds)
	namespace := c.Namespace()
	objects := newAPI(b, c)
	providers, routes := 0, 0
	for _, size := range []int{10, 100, 1000, 5000} {
		objects.create(namespace, "llmproviders", providers, size/5, providerObject)
		objects.create(namespace, "llmroutes", routes, size, func(i int) string { return routeObject(i, size/5) })
		providers, routes = size/5, size
		b.Run(fmt.Sprintf("routes=%d", size), func(b *testing.B) { benchmarkChange(b, c.For(b), namespace) })
	}
}

func benchmarkChange(b *testing.B, c *cluster.Cluster, namespace string) {
	objects := newAPI(b, c)
	began := time.Now()
	s := start(b, c, namespace)
	ready := time.Since(began)
	change := func(host string) {
		objects.patch(namespace, "llmroutes", "r-0", `{"spec":{"host":"`+host+`"}}`)
	}
	client := &http.Client{Timeout: 10 * time.Second}
	served := func(host string) (bool, string) {
		req, err := http.NewRequest(http.MethodGet, s.url+"/v1/models", nil)
		if err != nil {
			return false, err.Error()
		}
		req.Host = host
		res, err := client.Do(req)
		if err != nil {
			return false, err.Error()
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK, res.Status
	}
	change("warm-up")
	until(b, "the first change", func() (bool, string) { return served("warm-up") })

	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		host := fmt.Sprintf("changed-%d-%d", time.Now().UnixNano(), i)
		time.Sleep(200 * time.Millisecond) // or changes would wait for each other
		began := time.Now()
		change(host)
		until(b, "the change", func() (bool, string) { return served(host) })
		took = append(took, time.Since(began))
	}
	// CPU time, without requests that ask for the change.
	const quiet = 20
	before := s.CPU()
	for i := range quiet {
		change(fmt.Sprint("quiet-", i))
		time.Sleep(300 * time.Millisecond)
	}
	cpu := s.CPU() - before
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	b.ReportMetric(ms(took[len(took)/2]), "ms/p50")
	b.ReportMetric(ms(took[(len(took)*99+99)/100-1]), "ms/p99") // the nearest rank: of 100, not the longest
	b.ReportMetric(ms(cpu)/quiet, "ms-cpu/change")
	b.ReportMetric(ms(ready), "ms-to-ready")
	b.ReportMetric(float64(s.Memory())/(1<<20), "MiB")
	b.ReportMetric(0, "ns/op") // it has the pauses in it
}
