// Package limits holds the built gateway to its limits while it is killed, reloaded
// and stopped under load.
package limits

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/gateway"
)

const config = `{
	storage file_system {{.Storage}}
	llm {
		status_listen off
		provider main {{.Provider}}/v1/chat/completions
		limits {
			limit budget {
				requests {{.Requests}} per month
			}
			limit clients {
				key header X-Client
				tokens {{.Tokens}} per 720h
			}
		}
	}
}

http://:{{.Port}} {
	llm_route {
		to main
	}
}
`

// tally is a provider that counts what it answered.
type tally struct {
	*httptest.Server
	requests atomic.Int64
}

func newTally(t *testing.T) *tally {
	t.Helper()
	p := new(tally)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.requests.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		time.Sleep(time.Millisecond)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"object":"chat.completion","choices":[{"message":{"role":"assistant","content":"x"}}],"usage":{"prompt_tokens":10,"completion_tokens":30,"total_tokens":40}}`)
	}))
	t.Cleanup(p.Close)
	return p
}

// load sends requests from several clients until it is stopped, and counts those that
// were answered by the provider and those that were refused.
func load(url string) (stop func() (good, refused, odd int64)) {
	var good, refused, odd atomic.Int64
	done := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				req, _ := http.NewRequest(http.MethodPost, url, strings.NewReader(`{"max_tokens":50,"messages":[]}`))
				req.Header.Set("X-Client", fmt.Sprint(i%3))
				res, err := http.DefaultClient.Do(req)
				if err != nil {
					time.Sleep(5 * time.Millisecond) // the gateway is away
					continue
				}
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
				switch res.StatusCode {
				case 200:
					good.Add(1)
				case 429:
					refused.Add(1)
					time.Sleep(time.Millisecond)
				default:
					odd.Add(1)
				}
			}
		})
	}
	return func() (int64, int64, int64) {
		close(done)
		wg.Wait()
		return good.Load(), refused.Load(), odd.Load()
	}
}

// TestKilledUnderLoad kills the gateway again and again while requests come. The
// provider never gets more than the limit, and a kill costs two blocks at most: the one
// in use, and one that was just stored.
func TestKilledUnderLoad(t *testing.T) {
	const limit, kills = 2000, 6
	p := newTally(t)
	port := gateway.FreePort(t)
	params := map[string]any{
		"Storage": t.TempDir(), "Provider": p.URL, "Port": port, "Requests": limit, "Tokens": 1_000_000_000,
	}
	stop := load(fmt.Sprintf("http://127.0.0.1:%d/", port))
	for range kills {
		g := gateway.Start(t, gateway.Render(t, config, params), gateway.Within(2*time.Minute))
		before := p.requests.Load()
		for until := time.Now().Add(10 * time.Second); p.requests.Load() < before+100 && time.Now().Before(until); {
			time.Sleep(5 * time.Millisecond)
		}
		g.Kill()
	}
	gateway.Start(t, gateway.Render(t, config, params), gateway.Within(2*time.Minute))
	for last := int64(-1); last != p.requests.Load(); time.Sleep(500 * time.Millisecond) {
		last = p.requests.Load()
	}
	good, refused, odd := stop()
	got := p.requests.Load()
	if got > limit || got < limit-kills*2*limit/20 || refused == 0 || odd != 0 {
		t.Errorf("the provider got %d of %d requests; %d were answered, %d refused, %d neither", got, limit, good, refused, odd)
	}
	t.Logf("the provider got %d of %d requests", got, limit)
}

// TestReloadedAndStopped changes the numbers inside the running window, and stops the
// gateway in order: nothing is given back, and nothing is lost.
func TestReloadedAndStopped(t *testing.T) {
	p := newTally(t)
	port := gateway.FreePort(t)
	params := map[string]any{
		"Storage": t.TempDir(), "Provider": p.URL, "Port": port, "Requests": 100, "Tokens": 1_000_000_000,
	}
	g := gateway.Start(t, gateway.Render(t, config, params), gateway.Within(2*time.Minute))
	use := func(want int) {
		t.Helper()
		good := 0
		for range want + 5 {
			res, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d/", port), "application/json", strings.NewReader(`{"max_tokens":50,"messages":[]}`))
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode == 200 {
				good++
			}
		}
		if good != want {
			t.Errorf("%d requests were admitted, want %d", good, want)
		}
	}
	use(100)
	params["Requests"] = 120
	if err := g.Reload(gateway.Render(t, config, params)); err != nil {
		t.Fatal(err)
	}
	use(20)
	_, view := g.AdminGet("/llm/limits")
	var limits struct {
		Limits []struct {
			Amounts []struct{ Spent, Reserved, Overrun json.Number }
		}
	}
	if err := json.Unmarshal(view, &limits); err != nil || len(limits.Limits) != 2 {
		t.Fatalf("%v: %s", err, view)
	}
	if tokens := limits.Limits[1].Amounts[0]; tokens.Spent != "4800" || tokens.Reserved != "0" || tokens.Overrun != "0" {
		t.Errorf("tokens are %+v", tokens)
	}
	g.Stop()
	params["Requests"] = 150
	gateway.Start(t, gateway.Render(t, config, params), gateway.Within(2*time.Minute))
	use(30)
}
