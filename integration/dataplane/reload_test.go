package dataplane_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/gateway"
)

// twoBackends is a site with a rule over two providers; .Mark makes a reload a
// real one.
const twoBackends = `{
	llm {
		status_listen 127.0.0.1:{{.Status}}
		provider a {{.A}}/v1/chat/completions
		provider b {{.B}}/v1/chat/completions
	}
}
http://:{{.Port}} {
	header X-Mark {{.Mark}}
	llm_route {
		rule both {
			to a weight {{.WeightA}}
			to b weight {{.WeightB}}
			attempts {{.Attempts}}
		}
	}
}
`

// startTwo starts it with two fake providers.
func startTwo(t *testing.T, params map[string]any, options ...fakeprovider.Option) (s *site, a, b *fakeprovider.Server) {
	t.Helper()
	a, b = newNamed(t, "a", options...), newNamed(t, "b", options...)
	all := map[string]any{"A": a.URL(), "B": b.URL(), "Mark": "one", "WeightA": 1, "WeightB": 1, "Attempts": 1}
	for name, value := range params {
		all[name] = value
	}
	return startSite(t, twoBackends, all, gateway.Env("SSL_CERT_FILE", a.CAFile())), a, b
}

func TestConnectionsSurviveReload(t *testing.T) {
	for name, option := range map[string]fakeprovider.Option{"HTTP/2": fakeprovider.HTTP2Only(), "HTTP/1.1": fakeprovider.HTTP1Only()} {
		t.Run(name, func(t *testing.T) {
			s, a, b := startTwo(t, nil, option)
			c := newClient(t)
			// One after the other: more at once would need more connections.
			for range 10 {
				mustPost(t, c, s.url, "")
			}
			if a.Connections() != 1 || b.Connections() != 1 {
				t.Fatalf("before the reload the providers saw %d and %d connections, want 1 each", a.Connections(), b.Connections())
			}
			for i := range 3 {
				s.reload(map[string]any{"Mark": fmt.Sprint("reload-", i)})
				a.Reset()
				b.Reset()
				for range 10 {
					mustPost(t, newClient(t), s.url, "")
				}
				if a.Count() == 0 || b.Count() == 0 {
					t.Errorf("reload %d: the providers got %d and %d of 10 requests", i, a.Count(), b.Count())
				}
			}
			if a.Connections() != 1 || b.Connections() != 1 {
				t.Errorf("after 3 reloads the providers saw %d and %d connections, want 1 each: the pool was not kept", a.Connections(), b.Connections())
			}
		})
	}
}

func TestCoolDownSurvivesReload(t *testing.T) {
	s, a, b := startTwo(t, map[string]any{"WeightA": 99, "WeightB": 1, "Attempts": 2})
	a.Script(fakeprovider.Always(fakeprovider.JSON(429, `{"error":{"message":"slow down"}}`).WithHeader("Retry-After", "60")))
	c := newClient(t)
	// The first request may go to b by its weight; 99 in 100 go to a.
	for i := 0; a.Count() == 0; i++ {
		if i == 10 {
			t.Fatal("10 requests at 99 to 1 did not reach a")
		}
		if got := mustPost(t, c, s.url, ""); got.from != "b" {
			t.Fatalf("the response is from %q, want b, which the request moved on to", got.from)
		}
	}
	check := func(when string) {
		t.Helper()
		before := a.Count()
		for range 50 {
			if got := mustPost(t, newClient(t), s.url, ""); got.from != "b" {
				t.Errorf("%s: a response from %q, want b", when, got.from)
			}
		}
		if n := a.Count() - before; n != 0 {
			t.Errorf("%s: %d of 50 requests tried the provider that asked for a pause of 60 s", when, n)
		}
		v, text := s.getView()
		for _, p := range v.Providers {
			if cooling := p.CoolingUntil != nil && time.Until(*p.CoolingUntil) > 20*time.Second; cooling != (p.Name == "a") {
				t.Errorf("%s: GET /llm says of provider %s that it cools down until %v: %s", when, p.Name, p.CoolingUntil, text)
			}
		}
	}
	check("before the reload")
	s.reload(map[string]any{"Mark": "two"})
	check("after the reload")
	if b.Count() == 0 {
		t.Error("b was never asked")
	}
}

func TestCountersGoOnAcrossReload(t *testing.T) {
	s, a, b := startTwo(t, nil)
	c := newClient(t)
	const each = 10 // requests between reloads; the fakes report 9 and 12 tokens
	for i := 1; i <= 3; i++ {
		for range each {
			mustPost(t, c, s.url, "")
		}
		for name, want := range map[string]float64{
			"asm_llm_proxy_prompt_tokens":                    float64(9 * each * i),
			"asm_llm_proxy_completion_tokens":                float64(12 * each * i),
			"llm_attempts_total":                             float64(each * i),
			"gen_ai_client_operation_duration_seconds_count": float64(each * i),
			"gen_ai_client_token_usage_sum":                  float64((9 + 12) * each * i),
		} {
			// A request is counted after its last byte has gone.
			got := 0.0
			if !eventually(5*time.Second, func() bool { got = s.counter(name); return got >= want }) || got != want {
				t.Errorf("after %d reloads %s is %v, want %v", i-1, name, got, want)
			}
			status, body := s.AdminGet("/metrics")
			if admin := sumSeries(t, body, name); status != 200 || admin != want {
				t.Errorf("after %d reloads %s on the admin endpoint is %v (%d), want %v", i-1, name, admin, status, want)
			}
		}
		s.reload(map[string]any{"Mark": fmt.Sprint("reload-", i)})
		c = newClient(t)
	}
	a.WaitIdle(5 * time.Second)
	b.WaitIdle(5 * time.Second)
	var told int64
	for _, server := range []*fakeprovider.Server{a, b} {
		for _, u := range server.Ledger() {
			told += u.Prompt
		}
	}
	if got := s.counter("asm_llm_proxy_prompt_tokens"); got != float64(told) {
		t.Errorf("the gateway counted %v prompt tokens, the providers told it of %d", got, told)
	}
}

// TestStreamsSurviveReload keeps streams open over two reloads, the second of
// which takes away the provider and the site's rule.
func TestStreamsSurviveReload(t *testing.T) {
	const config = `{
	llm {
		status_listen 127.0.0.1:{{.Status}}
		provider {{.Name}} {{.URL}}/v1/chat/completions {
			tls_trusted_ca_certs {{.CA}}
		}
	}
}
http://:{{.Port}} {
	llm_route {
		rule {{.Mark}} {
			to {{.Name}}
		}
	}
}
`
	const streams, events = 20, 30
	old, next := newNamed(t, "old"), newNamed(t, "next")
	old.Script(fakeprovider.Always(numbered(events, 150*time.Millisecond)))
	s := startSite(t, config, map[string]any{"Name": "old", "URL": old.URL(), "CA": old.CAFile(), "Mark": "one"})
	start := s.goroutines()

	c := newClient(t)
	results := finishNumbered(openAll(t, c, s.url, "", streams), events)
	s.reload(map[string]any{"Mark": "two"})
	s.reload(map[string]any{"Name": "next", "URL": next.URL()})
	if n := old.InFlight(); n != streams {
		t.Fatalf("%d streams are open after the reloads, want %d: the test proves nothing, or streams were cut", n, streams)
	}
	if got := mustPost(t, newClient(t), s.url, ""); got.from != "next" {
		t.Errorf("a request after the reload was answered by %q, want next", got.from)
	}
	for range streams {
		if err := <-results; err != nil {
			t.Errorf("a stream open across the reloads: %v", err)
		}
	}
	if n := old.Cancelled(); n != 0 {
		t.Errorf("the provider saw %d streams cancelled", n)
	}
	c.CloseIdleConnections()
	t.Logf("goroutines: %d before, %d after", start, s.waitGoroutines(start+10, 10*time.Second))
}

func TestWeightsChangeWithReload(t *testing.T) {
	s, a, b := startTwo(t, map[string]any{"WeightA": 9, "WeightB": 1})
	for i, phase := range []struct{ weightA, weightB, wantA int }{{9, 1, 90}, {1, 9, 10}, {1, 1, 50}, {1, 0, 100}, {0, 1, 0}} {
		if i > 0 {
			s.reload(map[string]any{"WeightA": phase.weightA, "WeightB": phase.weightB})
		}
		a.Reset()
		b.Reset()
		c := newClient(t) // a reload closes the connections of clients
		for range 100 {
			mustPost(t, c, s.url, "")
		}
		if n := a.Count(); n < phase.wantA-2 || n > phase.wantA+2 || n+b.Count() != 100 {
			t.Errorf("weights %d and %d: a got %d of 100 requests and b %d, want %d for a", phase.weightA, phase.weightB, n, b.Count(), phase.wantA)
		}
	}
}
