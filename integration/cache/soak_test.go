package cache

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/gateway"
	"github.com/caddy-llm/gateway/integration/testclient"
)

var soak = flag.Duration("soak", 4*time.Second, "how long TestSoak has clients come and leave, such as 10m")

// soakConfig has a rule for each way that guards, prompts and the cache look at a request or a
// response, chosen by the header X-Rule.
const soakConfig = `{
	llm {
		status_listen 127.0.0.1:{{.Status}}
		provider main {{.Provider}}/v1/chat/completions {
			model m
			idle_timeout 2s
		}
		guard masks {
			mask email
			mask regex "key-[0-9]+" as key
			restore
			on_request
			on_response window {{.Window}}
		}
		guard whole {
			deny regex "(?i)zebra"
			on_response whole
		}
		guard closed {
			webhook {{.Webhook}} {
				format agentgateway
				timeout 30ms
				on_failure closed
			}
			on_request
			on_response whole
		}
		guard open {
			webhook {{.Webhook}} {
				format litellm
				timeout 30ms
				on_failure open
			}
			on_request
			on_response off
		}
		prompt house {
			prepend system "Answer in British English."
		}
		cache {
			store memory 2MiB
			ttl 2s
		}
	}
}

http://:{{.Port}} {
	llm_keys keys.txt
	llm_route {
{{range .Rules}}		rule {{.}} {
			match header X-Rule {{.}}
			guards {{.}}
			prompt house
			cache
			to main
		}
		rule {{.}}-not-cached {
			match header X-Rule {{.}}-not-cached
			guards masks {{if ne . "masks"}}{{.}}{{end}}
			to main
		}
{{end}}	}
}
`

// newBreaking returns a provider that breaks off some of its responses.
func newBreaking(t *testing.T) *provider {
	p := newProvider(t)
	p.slow.Store(true)
	next := p.Config.Handler
	p.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch rand.IntN(12) {
		case 0:
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: {\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"beg\"}}]}\n\n")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case 1:
			panic(http.ErrAbortHandler)
		case 2:
			http.Error(w, `{"error":{"message":"busy"}}`, http.StatusServiceUnavailable)
		default:
			next.ServeHTTP(w, r)
		}
	})
	return p
}

// newSlowGuard returns a webhook that lets all pass, and may be too late, fail or talk nonsense.
func newSlowGuard(t *testing.T) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch rand.IntN(8) {
		case 0:
			time.Sleep(time.Duration(20+rand.IntN(40)) * time.Millisecond)
		case 1:
			http.Error(w, "no", http.StatusInternalServerError)
			return
		case 2:
			_, _ = io.WriteString(w, "nonsense")
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/litellm_basic_guardrail_api") || strings.Contains(r.URL.Path, "beta") {
			_, _ = io.WriteString(w, `{"action":"NONE"}`)
			return
		}
		_, _ = io.WriteString(w, `{"action":{"reason":"fine"}}`)
	}))
	t.Cleanup(s.Close)
	return s
}

var (
	goroutines = regexp.MustCompile(`goroutine profile: total (\d+)`)
	heapInUse  = regexp.MustCompile(`# HeapAlloc = (\d+)`)
)

// measure returns how many goroutines the gateway has, and its heap in bytes, once it is at rest.
func measure(t *testing.T, g *gateway.Gateway) (routines, heap int) {
	t.Helper()
	read := func(path string, of *regexp.Regexp) int {
		status, body := g.AdminDo(http.MethodGet, path, "", nil)
		m := of.FindSubmatch(body)
		if status != http.StatusOK || m == nil {
			t.Fatalf("%s: %d %.200s", path, status, body)
		}
		n, _ := strconv.Atoi(string(m[1]))
		return n
	}
	heap = read("/debug/pprof/heap?gc=1&debug=1", heapInUse)
	return read("/debug/pprof/goroutine?debug=1", goroutines), heap
}

// TestSoak has clients come and leave at any time while the provider breaks off, webhooks are slow,
// fail and talk nonsense, the configuration is loaded again and responses are purged, by every
// way to look at a stream; and holds that no goroutine and no memory is left over. With -soak 10m
// it lasts longer.
func TestSoak(t *testing.T) {
	const clients, workers = 4, 24
	p, hook := newBreaking(t), newSlowGuard(t)
	rules := []string{"masks", "whole", "closed", "open"}
	params := map[string]any{"Webhook": hook.URL, "Rules": rules, "Window": 64}
	g, url, status := start(t, soakConfig, p, params, clients)
	ports := map[string]any{"Provider": p.URL, "Port": strings.TrimPrefix(url, "http://127.0.0.1:"), "Status": strings.TrimPrefix(status, "http://127.0.0.1:")}
	var whole, denied atomic.Int64
	churn := func(d time.Duration) {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		transport := &http.Transport{MaxIdleConnsPerHost: workers}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport}
		var wg sync.WaitGroup
		for range workers {
			wg.Go(func() {
				for ctx.Err() == nil {
					r, rule := requests[rand.IntN(len(requests))], rules[rand.IntN(len(rules))]
					if rand.IntN(2) == 0 {
						rule += "-not-cached"
					}
					body := strings.Replace(r.body, `hi"`, fmt.Sprintf(`hi %d, mail a@example.com key-%d"`, rand.IntN(8), rand.IntN(3)), 1)
					own, leave := context.WithTimeout(context.Background(), time.Duration(5+rand.IntN(300))*time.Millisecond)
					req, _ := http.NewRequestWithContext(own, http.MethodPost, url+r.path, strings.NewReader(body))
					req.Header.Set("Content-Type", "application/json")
					req.Header.Set("Authorization", "Bearer "+key(rand.IntN(clients)))
					req.Header.Set("X-Rule", rule)
					switch got := testclient.Try(client, req); got.Status {
					case http.StatusOK:
						whole.Add(1)
					case http.StatusServiceUnavailable:
						denied.Add(1)
					}
					leave()
				}
			})
		}
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				all := map[string]any{"Window": 64 + i%2}
				for _, more := range []map[string]any{ports, {"Webhook": hook.URL, "Rules": rules}} {
					for name, value := range more {
						all[name] = value
					}
				}
				if err := g.Reload(gateway.Render(t, soakConfig, all)); err != nil {
					t.Error(err)
					return
				}
				if status, body := g.AdminDo(http.MethodPost, "/llm/cache/purge", "application/json", []byte(`{"client":"client-1"}`)); status != http.StatusOK {
					t.Errorf("%d %s", status, body)
				}
				select {
				case <-time.After(200 * time.Millisecond):
				case <-ctx.Done():
				}
			}
		})
		wg.Wait()
	}
	rest := func(upTo, most int) (routines, heap int) {
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(500 * time.Millisecond) {
			routines, heap = measure(t, g)
			if routines <= upTo && heap <= most || time.Now().After(end) {
				return routines, heap
			}
		}
	}
	churn(min(*soak, 2*time.Second))
	time.Sleep(3 * time.Second)
	routinesBefore, heapBefore := measure(t, g)
	churn(*soak)
	routines, heap := rest(routinesBefore+10, heapBefore+8<<20)
	if routines > routinesBefore+10 || heap > heapBefore+8<<20 {
		_, body := g.AdminDo(http.MethodGet, "/debug/pprof/goroutine?debug=1", "", nil)
		t.Errorf("%d goroutines and a heap of %d bytes became %d and %d:\n%.4000s", routinesBefore, heapBefore, routines, heap, body)
	}
	if whole.Load() < 20 || denied.Load() == 0 {
		t.Errorf("%d responses, and %d refusals", whole.Load(), denied.Load())
	}
	var now struct {
		Open int `json:"open_requests"`
	}
	if body := testclient.Get(t, status+"/status.json").Body; json.Unmarshal([]byte(body), &now) != nil || now.Open != 0 {
		t.Errorf("requests are left open: %.300s", body)
	}
	t.Logf("%d responses, %d refusals; %d goroutines and %d bytes, then %d and %d", whole.Load(), denied.Load(), routinesBefore, heapBefore, routines, heap)
}
