package limits

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/fakelimits"
	"github.com/caddy-llm/gateway/integration/gateway"
)

const countingConfig = `{
	storage file_system {{.Storage}}
	llm {
		status_listen off
		provider main {{.Provider}}/v1/chat/completions
		limits {
			store {{.Store}}
			limit budget {
				key header X-Client
				{{.Amount}}
				on_store_failure deny
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

// TestCountingStores has two gateways share a limit in a service that only counts up: all of it is
// used, and no more; without the service requests are refused, and with it again they are not.
func TestCountingStores(t *testing.T) {
	// A reservation is of 50 tokens, of which 40 are used.
	for _, store := range []struct {
		name, amount string
		most, over   int64 // requests of one client, and by how many two gateways may exceed that
		start        func() (at string, stop func(), restart func() (stop func()))
	}{
		{"envoy grpc://", "requests 30 per 24h", 30, 0, func() (string, func(), func() func()) {
			s, at, stop := fakelimits.NewEnvoy(t, time.Now)
			return at, stop, func() func() {
				_, stop := fakelimits.Serve(t, at, s.Register)
				return stop
			}
		}},
		{"kuadrant grpc://", "tokens 1200 per month", 30, 0, func() (string, func(), func() func()) {
			s, at, stop := fakelimits.NewKuadrant(t, time.Now, fakelimits.Limit{
				Entries: map[string]string{"limit": "budget", "unit": "tokens", "window": "month"}, Variables: []string{"key", "start"}, Max: 1200, Window: 32 * 24 * time.Hour,
			})
			return at, stop, func() func() {
				_, stop := fakelimits.Serve(t, at, s.Register)
				return stop
			}
		}},
		{"token_service http://", "tokens 1200 per hour", 30, 5, func() (string, func(), func() func()) {
			s, at, stop := fakelimits.NewTokens(t, time.Now, fakelimits.TokenRule{Key: regexp.MustCompile("."), Fill: 1200, In: 24 * time.Hour, Max: 1200})
			return at, stop, func() func() {
				_, stop := s.Serve(t, at)
				return stop
			}
		}},
	} {
		name, _, _ := strings.Cut(store.name, " ")
		t.Run(name, func(t *testing.T) {
			p := newTally(t)
			at, stop, restart := store.start()
			var ports []int
			for range 2 {
				params := map[string]any{
					"Storage": t.TempDir(), "Provider": p.URL, "Port": gateway.FreePort(t), "Store": store.name + at + " {\n\t\t\t\tgateways 2\n\t\t\t}", "Amount": store.amount,
				}
				gateway.Start(t, gateway.Render(t, countingConfig, params), gateway.Within(2*time.Minute))
				ports = append(ports, params["Port"].(int))
			}
			post := func(i int, client string) (int, string) {
				t.Helper()
				req, _ := http.NewRequest(http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d/", ports[i]), strings.NewReader(`{"max_tokens":50,"messages":[]}`))
				req.Header.Set("X-Client", client)
				res, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				body, _ := io.ReadAll(res.Body)
				return res.StatusCode, string(body)
			}
			refused := 0
			for i := 0; refused < 6 && i < 200; i++ {
				status, body := post(i%2, "alice")
				if status == 429 && strings.Contains(body, "budget") {
					refused++
				} else if status != 200 {
					t.Fatalf("request %d: %d %s", i, status, body)
				}
			}
			if n := p.requests.Load(); n > store.most+store.over || n < store.most*8/10 || refused == 0 {
				t.Errorf("the provider got %d requests of %d, %d were refused", n, store.most, refused)
			}
			stop()
			if status, body := post(0, "bob"); status != 503 || !strings.Contains(body, "limits_unavailable") {
				t.Errorf("without the service: %d %s", status, body)
			}
			defer restart()()
			for end := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
				if status, body := post(0, "bob"); status == 200 {
					break
				} else if time.Now().After(end) {
					t.Fatalf("with the service again: %d %s", status, body)
				}
			}
		})
	}
}

// TestCountingStoresRefuse holds that a limit that the store cannot hold is an error at the start,
// which says what to write.
func TestCountingStoresRefuse(t *testing.T) {
	for store, amount := range map[string]string{"envoy grpc://127.0.0.1:1": "requests 30 per month", "kuadrant grpc://127.0.0.1:1": "requests 30 per 1500ms", "token_service http://127.0.0.1:1": "requests 30 per 1m"} {
		params := map[string]any{"Storage": t.TempDir(), "Provider": "http://127.0.0.1:1", "Port": gateway.FreePort(t), "Store": store, "Amount": amount}
		_, err := gateway.TryStart(t, gateway.Render(t, countingConfig, params), gateway.Within(2*time.Minute))
		if err == nil || !strings.Contains(err.Error(), "limit budget: requests: store "+strings.Fields(store)[0]) || !strings.Contains(err.Error(), "store redis") {
			t.Errorf("%s with %s: %v", store, amount, err)
		}
	}
}
