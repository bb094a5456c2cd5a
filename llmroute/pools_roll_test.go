package llmroute

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/llmprovider/openai"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// podHost is a server that is all pods at once: each has an address of 127.0.0.0/8.
type podHost struct {
	port string

	mu     sync.Mutex
	dead   map[string]bool
	active map[string]int
	conns  map[string][]net.Conn
	late   atomic.Int64 // requests that came to a pod that was gone
}

func newPodHost(t *testing.T) *podHost {
	t.Helper()
	h := &podHost{dead: make(map[string]bool), active: make(map[string]int), conns: make(map[string][]net.Conn)}
	listener, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	_, h.port, _ = net.SplitHostPort(listener.Addr().String())
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: h, ReadHeaderTimeout: time.Minute, ConnState: func(c net.Conn, state http.ConnState) {
		if state == http.StateNew {
			h.mu.Lock()
			defer h.mu.Unlock()
			address := c.LocalAddr().String()
			if h.conns[address] = append(h.conns[address], c); h.dead[address] {
				_ = c.Close()
			}
		}
	}}}
	server.Start()
	t.Cleanup(server.Close)
	return h
}

func (h *podHost) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	address := r.Context().Value(http.LocalAddrContextKey).(net.Addr).String()
	h.mu.Lock()
	if h.dead[address] {
		h.mu.Unlock()
		h.late.Add(1)
		panic(http.ErrAbortHandler)
	}
	h.active[address]++
	h.mu.Unlock()
	time.Sleep(2 * time.Millisecond)
	answers("pod")(w, r)
	h.mu.Lock()
	h.active[address]--
	h.mu.Unlock()
}

// kill ends a pod that has had its time to drain.
func (h *podHost) kill(address string) {
	for {
		h.mu.Lock()
		if h.active[address] == 0 {
			break
		}
		h.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
	defer h.mu.Unlock()
	h.dead[address] = true
	for _, c := range h.conns[address] {
		_ = c.Close()
	}
	delete(h.conns, address)
}

// TestRollingPods has 1,000 pods replaced one after the other while 10,000 requests run.
// None fails: a pod that terminates gets no new request, and those under way there end.
func TestRollingPods(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the pods' addresses are those of Linux's loopback")
	}
	pods, requests := 1000, 10_000
	if testing.Short() {
		pods, requests = 100, 1000
	}
	h := newPodHost(t)
	var endpoints []string
	address := func(generation, i int) string {
		return net.JoinHostPort(fmt.Sprintf("127.%d.%d.%d", generation, i/250, i%250+1), h.port)
	}
	for i := range pods {
		endpoints = append(endpoints, address(1, i))
	}
	provider := new(openai.Provider)
	provider.Host, provider.Scheme, provider.Pool = "own", "http", &upstream.Pool{Fed: true, Metrics: "off"}
	state := func() *spec.State {
		return &spec.State{
			Providers: []*spec.Provider{{Name: "ns/own", Origin: "test", Provider: provider, Endpoints: slices.Clone(endpoints)}},
			Tables:    map[string][]*spec.Route{"mesh": {{Hosts: []string{"*"}, Rules: []*spec.Rule{{Backends: []*spec.Backend{{Provider: "ns/own"}}}}}}},
		}
	}
	g, feed := newLive(t, state())
	number := g.app.snapshot().number

	var wait sync.WaitGroup
	var sent, failed atomic.Int64
	for worker := range 16 {
		wait.Go(func() {
			for n := sent.Add(1); n <= int64(requests); n = sent.Add(1) {
				res, body := g.post(t, fmt.Sprintf(`{"messages":[{"role":"user","content":"conversation %d of %d"}]}`, n%40, worker))
				if res.StatusCode != 200 || !strings.Contains(body, "pod") {
					failed.Add(1)
					t.Errorf("request %d: %d %s", n, res.StatusCode, body)
				}
			}
		})
	}
	began := time.Now()
	for i := range pods {
		old := endpoints[i]
		endpoints[i] = address(2, i)
		feed.report(state())
		h.kill(old)
		for sent.Load() < int64(requests*i/pods) { // spread over all requests
			time.Sleep(time.Millisecond)
		}
	}
	wait.Wait()
	t.Logf("%d pods were replaced under %d requests in %v; %d of them came to a pod that was gone, and went on", pods, requests, time.Since(began).Round(time.Millisecond), h.late.Load())
	if now := g.app.snapshot().number; now != number {
		t.Errorf("snapshot %d after %d: pods came and went with a new state", now, number)
	}
}
