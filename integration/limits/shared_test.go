package limits

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/gateway"
	"github.com/caddy-llm/gateway/integration/redisserver"
)

const sharedConfig = `{
	storage file_system {{.Storage}}
	llm {
		status_listen off
		provider main {{.Provider}}/v1/chat/completions
		limits {
			store redis redis://{{.Redis}}/0 {
				key_prefix test
			}
			limit budget {
				requests {{.Requests}} per month
				on_store_failure deny
			}
			limit tokens {
				key header X-Client
				tokens {{.Tokens}} per month
			}
			limit open {
				concurrent 100
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

// durable are the arguments of a server that keeps its data, as a store of limits should.
var durable = []string{"--appendonly", "yes", "--appendfsync", "always"}

// amounts is what the admin endpoint says of a limit's first amount.
type amounts struct{ Spent, Reserved, Overrun json.Number }

func amountsOf(t *testing.T, g *gateway.Gateway, limit string) amounts {
	t.Helper()
	_, view := g.AdminGet("/llm/limits")
	var limits struct {
		Limits []struct {
			Name    string
			Amounts []amounts
		}
	}
	if err := json.Unmarshal(view, &limits); err != nil {
		t.Fatalf("%v: %s", err, view)
	}
	for _, l := range limits.Limits {
		if l.Name == limit {
			return l.Amounts[0]
		}
	}
	t.Fatalf("no limit %s: %s", limit, view)
	return amounts{}
}

// TestSharedUnderChaos has five gateways spend from one budget, while a gateway is killed
// and comes back, and the store is stopped, killed and started again. The provider never
// gets more than the limit, and in the end nothing is reserved.
func TestSharedUnderChaos(t *testing.T) {
	const requests, tokens = 4000, 90_000
	p, store := newTally(t), redisserver.New(t, durable...)
	params := func() map[string]any {
		return map[string]any{
			"Storage": t.TempDir(), "Provider": p.URL, "Port": gateway.FreePort(t), "Redis": store.Address, "Requests": requests, "Tokens": tokens,
		}
	}
	var all []map[string]any
	var gateways []*gateway.Gateway
	for range 5 {
		all = append(all, params())
		gateways = append(gateways, gateway.Start(t, gateway.Render(t, sharedConfig, all[len(all)-1]), gateway.Within(2*time.Minute)))
	}
	var good, refused, unavailable, odd atomic.Int64
	var wg sync.WaitGroup
	done := make(chan struct{})
	for i := range 10 {
		wg.Go(func() {
			url := fmt.Sprintf("http://127.0.0.1:%d/", all[i%5]["Port"])
			for {
				select {
				case <-done:
					return
				default:
				}
				req, _ := http.NewRequest(http.MethodPost, url, strings.NewReader(`{"max_tokens":50,"messages":[]}`))
				req.Header.Set("X-Client", fmt.Sprint(i%2))
				res, err := http.DefaultClient.Do(req)
				if err != nil {
					time.Sleep(5 * time.Millisecond) // the gateway is away
					continue
				}
				body, _ := io.ReadAll(res.Body)
				res.Body.Close()
				switch {
				case res.StatusCode == 200:
					good.Add(1)
				case res.StatusCode == 429:
					refused.Add(1)
					time.Sleep(5 * time.Millisecond)
				case res.StatusCode == 503 && strings.Contains(string(body), "limits_unavailable"):
					unavailable.Add(1)
					time.Sleep(5 * time.Millisecond)
				default:
					odd.Add(1)
					t.Logf("%d %s", res.StatusCode, body)
				}
			}
		})
	}
	until := func(what string, n int64) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); p.requests.Load() < n; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Errorf("%s: the provider got %d requests, want %d; %d good, %d refused, %d unavailable", what, p.requests.Load(), n, good.Load(), refused.Load(), unavailable.Load())
				return
			}
		}
	}
	until("at first", 400)
	gateways[0].Kill()
	until("with four gateways", 700)
	gateways[0] = gateway.Start(t, gateway.Render(t, sharedConfig, all[0]), gateway.Within(2*time.Minute))
	until("with five again", 1000)
	store.Signal(syscall.SIGSTOP)
	time.Sleep(1500 * time.Millisecond)
	store.Signal(syscall.SIGCONT)
	until("after the store was stopped", p.requests.Load()+200)
	store.Kill()
	time.Sleep(1500 * time.Millisecond)
	store.Start()
	until("after the store was killed", p.requests.Load()+200)
	last := int64(-1)
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(3 * time.Second) { // leases of idle gateways come back after two seconds
		got := p.requests.Load()
		if got == last {
			break
		}
		last = got
	}
	close(done)
	wg.Wait()
	got := p.requests.Load()
	t.Logf("the provider got %d of %d requests; %d were answered, %d refused, %d met no store", got, requests, good.Load(), refused.Load(), unavailable.Load())
	perClient := int64(tokens / 40)
	if most := min(int64(requests), 2*perClient); got > most || got < most*8/10 || refused.Load() == 0 || odd.Load() != 0 {
		t.Errorf("the provider got %d requests, the limits allow %d; %d odd responses", got, most, odd.Load())
	}
	for i, g := range gateways {
		for _, limit := range []string{"budget", "tokens", "open"} {
			a := amountsOf(t, g, limit)
			for range 50 {
				if a.Reserved == "0" {
					break
				}
				time.Sleep(20 * time.Millisecond)
				a = amountsOf(t, g, limit)
			}
			if a.Reserved != "0" {
				t.Errorf("gateway %d, limit %s: %+v", i, limit, a)
			}
		}
	}
}

// TestStoreAbsentAtStart has a gateway start without its store: what happens then is the
// limit's on_store_failure. Once the store is there, it is used.
func TestStoreAbsentAtStart(t *testing.T) {
	p, store := newTally(t), redisserver.New(t, durable...)
	store.Kill()
	params := map[string]any{"Storage": t.TempDir(), "Provider": p.URL, "Port": gateway.FreePort(t), "Redis": store.Address, "Requests": 10, "Tokens": 1000}
	g := gateway.Start(t, gateway.Render(t, sharedConfig, params), gateway.Within(2*time.Minute))
	post := func() (int, string) {
		t.Helper()
		res, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d/", params["Port"]), "application/json", strings.NewReader(`{"max_tokens":50,"messages":[]}`))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(body)
	}
	if status, body := post(); status != 503 || !strings.Contains(body, "limits_unavailable") {
		t.Errorf("without the store: %d %s", status, body)
	}
	_, metrics := g.AdminGet("/metrics")
	if !strings.Contains(string(metrics), "llm_limit_store_down 1") {
		t.Error("the metrics do not say that the store is down")
	}
	for _, name := range []string{ // the dashboard and the alerts ask for them
		"admitted_total", "refused_total", "usage_missing_total", "spent_total", "reserved", "overrun_total", "leased", "used_ratio", "store_errors_total",
	} {
		if !strings.Contains(string(metrics), "\nllm_limit_"+name) {
			t.Errorf("there is no metric llm_limit_%s", name)
		}
	}
	store.Start()
	good := 0
	for end := time.Now().Add(20 * time.Second); good < 10 && time.Now().Before(end); {
		if status, _ := post(); status == 200 {
			good++
		} else {
			time.Sleep(100 * time.Millisecond)
		}
	}
	if status, body := post(); good != 10 || status != 429 {
		t.Errorf("with the store: %d admitted, then %d %s", good, status, body)
	}
}

// TestStoppedGivesBack stops a gateway again and again: whatever was leased to it and not
// used, another one may use at once.
func TestStoppedGivesBack(t *testing.T) {
	const requests, stops = 40, 4
	p, store := newTally(t), redisserver.New(t, durable...)
	begin := func() (*gateway.Gateway, func() int) {
		port := gateway.FreePort(t)
		params := map[string]any{"Storage": t.TempDir(), "Provider": p.URL, "Port": port, "Redis": store.Address, "Requests": requests, "Tokens": 1_000_000}
		return gateway.Start(t, gateway.Render(t, sharedConfig, params), gateway.Within(2*time.Minute)), func() int {
			t.Helper()
			res, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d/", port), "application/json", strings.NewReader(`{"max_tokens":50,"messages":[]}`))
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			return res.StatusCode
		}
	}
	for range stops {
		g, post := begin()
		if status := post(); status != 200 {
			t.Errorf("got %d", status)
		}
		g.Stop()
	}
	_, post := begin()
	n := 0
	for ; n <= requests && post() == 200; n++ {
	}
	if n != requests-stops {
		t.Errorf("%d requests were left, want %d", n, requests-stops)
	}
}
