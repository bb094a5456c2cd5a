package llmroute

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/llmroute/limit"
)

// guardService is a service in agentgateway's format: it rejects texts with "zebra", masks
// those with "bob" and fails on those with "broken". It waits for what before waits for.
type guardService struct {
	*httptest.Server
	before func(r *http.Request) // nil to respond at once
	asked  atomic.Int64
}

func newGuardService(t *testing.T) *guardService {
	t.Helper()
	s := new(guardService)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.asked.Add(1)
		if s.before != nil {
			s.before(r)
		}
		answer := `{"action":{"reason":"fine"}}`
		switch text := string(body); {
		case strings.Contains(text, "broken"):
			answer = "nonsense"
		case strings.Contains(text, "zebra"):
			answer = `{"action":{"body":"no zebra","status_code":418}}`
		case strings.Contains(text, "bob"):
			answer = `{"action":{"body":` + strings.ReplaceAll(jsonBody(body), "bob", "***") + `}}`
		}
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(s.Close)
	return s
}

// jsonBody is the body that the service was asked about.
func jsonBody(asked []byte) string {
	var q struct{ Body json.RawMessage }
	_ = json.Unmarshal(asked, &q)
	return string(q.Body)
}

// guard is the JSON of a guard with parallel that asks the service.
func (s *guardService) guard(failure string) string {
	return fmt.Sprintf(`"g":{"webhook":{"url":%q,"format":"agentgateway","timeout":"1m","on_failure":%q},"parallel":true}`, s.URL, failure)
}

// message is the body of a request with that text.
func message(text string, stream bool) string {
	return fmt.Sprintf(`{"model":"m","stream":%t,"messages":[{"role":"user","content":%q}]}`, stream, text)
}

// TestParallelGuard has a guard decide before and after the provider has said something.
// Clients get what they would get without parallel.
func TestParallelGuard(t *testing.T) {
	for _, test := range []struct {
		text, failure, code string
		status              int
	}{
		{"fine", "closed", "", 200}, {"a zebra", "closed", "content_policy", 418}, {"bob", "closed", "content_policy", 403},
		{"broken", "closed", "guard_unavailable", 503}, {"broken", "open", "", 200},
	} {
		for _, stream := range []bool{false, true} {
			for _, first := range []string{"guard", "provider"} {
				t.Run(fmt.Sprintf("%s %s, stream %t, the %s first", test.text, test.failure, stream, first), func(t *testing.T) {
					said, decided := make(chan struct{}), make(chan struct{})
					var mu sync.Mutex
					var ended []error
					u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
						if first == "guard" {
							defer close(said)
							<-decided
							if test.status != 200 {
								<-r.Context().Done()
								return
							}
						}
						if stream {
							send := streams(w)
							send(`data: {"choices":[{"index":0,"delta":{"content":"zebras"}}]}` + "\n\n")
							if first == "provider" {
								close(said)
								<-decided
								if test.status != 200 {
									<-r.Context().Done() // or the provider goes on for nobody
									mu.Lock()
									ended = append(ended, r.Context().Err())
									mu.Unlock()
									return
								}
							}
							send(`data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n")
							return
						}
						answers("zebras")(w, r)
						if first == "provider" {
							close(said)
						}
					})
					s := newGuardService(t)
					s.before = func(*http.Request) {
						if first == "provider" {
							<-said
						}
						close(decided)
					}
					p := unique("p")
					g := newGateway(t, guarded(s.guard(test.failure), p, u.provider("")), fmt.Sprintf(`{"rules":[{"guards":["g"],"backends":[{"provider":%q}]}]}`, p))
					res, body := g.post(t, message(test.text, stream))
					if res.StatusCode != test.status || !strings.Contains(body, test.code) || strings.Contains(body, "zebras") != (test.status == 200) {
						t.Errorf("%d %s", res.StatusCode, body)
					}
					if test.status == 200 && stream && !strings.Contains(body, "[DONE]") {
						t.Errorf("the stream is %s", body)
					}
					g.counted(t)
					if s := g.app.static[p].state; s.Pauses.Any() || s.InFlight.Load() != 0 {
						t.Error("the provider cools down, or an attempt is left")
					}
				})
			}
		}
	}
}

// TestParallelGuardAfterPatterns holds that what a guard decides by itself, and what guards
// without parallel decide, keeps the request from providers, and that masks of other guards
// are made before.
func TestParallelGuardAfterPatterns(t *testing.T) {
	u, s := newUpstream(t, answers("x")), newGuardService(t)
	p := unique("p")
	own := strings.TrimSuffix(s.guard("closed"), "}") + `,"deny":[{"regex":"lion"}]}`
	g := newGateway(t, guarded(own+`,"pii":{"mask":[{"builtin":"email"}]},"last":{"deny":[{"regex":"tiger"}]}`, p, u.provider("")),
		fmt.Sprintf(`{"rules":[{"guards":["g","pii","last"],"backends":[{"provider":%q}]}]}`, p))
	for _, text := range []string{"a lion", "a tiger"} {
		if status, body := g.tryPost(message(text, false)); status != 403 || u.count() != 0 || s.asked.Load() != 0 {
			t.Errorf("%s: %d %s, the provider was asked %d times, the service %d times", text, status, body, u.count(), s.asked.Load())
		}
	}
	if status, body := g.tryPost(message("a mail to x@example.com", false)); status != 200 {
		t.Errorf("%d %s", status, body)
	}
	if got := <-u.requests; !strings.Contains(got.body, "[EMAIL]") {
		t.Errorf("the provider got %s", got.body)
	}
}

// TestParallelGuardWhileAttemptsFail has a request denied while its second attempt is under
// way: no third one is made, and only the provider that failed has failed.
func TestParallelGuardWhileAttemptsFail(t *testing.T) {
	second := make(chan struct{})
	failing, last := newUpstream(t, fails(429, "Retry-After", "60")), newUpstream(t, answers("x"))
	hanging := newUpstream(t, func(_ http.ResponseWriter, r *http.Request) {
		close(second)
		<-r.Context().Done()
	})
	s := newGuardService(t)
	s.before = func(*http.Request) { <-second }
	a, b, c := unique("a"), unique("b"), unique("c")
	g := newGateway(t, guarded(s.guard("closed"), a, failing.provider(""), b, hanging.provider(""), c, last.provider("")),
		fmt.Sprintf(`{"rules":[{"guards":["g"],"attempts":3,"backends":[{"provider":%q},{"provider":%q,"priority":1},{"provider":%q,"priority":2}]}]}`, a, b, c))
	if res, body := g.post(t, message("zebra", false)); res.StatusCode != 418 || !strings.Contains(body, "content_policy") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	g.counted(t)
	if failing.count() != 1 || hanging.count() != 1 || last.count() != 0 {
		t.Errorf("asked %d, %d and %d times", failing.count(), hanging.count(), last.count())
	}
	if !g.app.static[a].state.Pauses.Any() || g.app.static[b].state.Pauses.Any() {
		t.Error("the wrong provider cools down")
	}
}

// TestParallelGuardAndErrors has the client told of the denial in place of whatever else it
// would be told: an error of the provider, the last of several, and one of the gateway.
func TestParallelGuardAndErrors(t *testing.T) {
	for name, backends := range map[string][]string{
		"one error": {"fails"}, "two errors": {"fails", "fails"}, "nobody there": {"gone"}, "an error, and nobody there": {"fails", "gone"},
	} {
		t.Run(name, func(t *testing.T) {
			u, s := newUpstream(t, fails(503)), newGuardService(t)
			left := strings.Count(fmt.Sprint(backends), "fails")
			s.before = func(*http.Request) {
				for range left {
					<-u.requests
				}
			}
			var named []string
			var list []string
			for i, b := range backends {
				p, provider := unique("p"), unreachable
				if b == "fails" {
					provider = u.provider("")
				}
				named = append(named, p, provider)
				list = append(list, fmt.Sprintf(`{"provider":%q,"priority":%d}`, p, i))
			}
			g := newGateway(t, guarded(s.guard("closed"), named...), fmt.Sprintf(`{"rules":[{"guards":["g"],"attempts":2,"backends":[%s]}]}`, strings.Join(list, ",")))
			if res, body := g.post(t, message("zebra", false)); res.StatusCode != 418 || !strings.Contains(body, "content_policy") {
				t.Errorf("%d %s", res.StatusCode, body)
			}
		})
	}
}

// TestParallelGuardCharges holds what a denied request is charged: what the provider has
// reported, or the prompt, if the request was sent.
func TestParallelGuardCharges(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	begins := func(w http.ResponseWriter, r *http.Request) {
		streams(w)(`data: {"choices":[{"index":0,"delta":{"content":"x"}}],"usage":{"prompt_tokens":7,"completion_tokens":1,"total_tokens":8}}` + "\n\n")
		<-r.Context().Done()
	}
	for name, test := range map[string]struct {
		provider http.HandlerFunc
		used     int64 // at least
		counted  uint64
	}{
		"nothing said": {hang, 1, 0}, "said": {answers("x"), 96, 96}, "a stream begun": {begins, 8, 8},
	} {
		t.Run(name, func(t *testing.T) {
			// What was said has to be read before the guard decides, for which it waits longer and longer.
			for wait := time.Duration(0); ; wait = wait*2 + time.Millisecond {
				asked := make(chan struct{}, 1)
				u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
					if f, ok := w.(http.Flusher); ok && name == "said" {
						test.provider(w, r)
						f.Flush()
						asked <- struct{}{}
						return
					}
					asked <- struct{}{}
					test.provider(w, r)
				})
				s := newGuardService(t)
				s.before = func(*http.Request) {
					<-asked
					time.Sleep(wait)
				}
				p, l := unique("p"), unique("limit")
				app := strings.TrimSuffix(limited(t, fmt.Sprintf(`{"name":%q,"amounts":[{"unit":"tokens","amount":100000,"window":"1h"},{"unit":"requests","amount":10,"window":"1h"}]}`, l), p, u.provider("")), "}") +
					`,"guards":{` + s.guard("closed") + `}}`
				g := newGateway(t, app, fmt.Sprintf(`{"rules":[{"guards":["g"],"backends":[{"provider":%q}]}]}`, p))
				if res, body := g.post(t, message("zebra", name == "a stream begun")); res.StatusCode != 418 {
					t.Fatalf("%d %s", res.StatusCode, body)
				}
				prompt, completion := g.counted(t)
				if prompt+completion < test.counted && wait < 5*time.Second {
					continue
				}
				if got := errorTypes(t, g, p); !slices.Equal(got, []string{"content_policy"}) {
					t.Errorf("counted as %v", got)
				}
				amounts := usedOf(g, t, l)
				if prompt+completion != test.counted || amounts[limit.UnitTokens] < test.used || test.counted > 0 && amounts[limit.UnitTokens] != test.used || amounts[limit.UnitRequests] != 1 {
					t.Errorf("counted %d and %d, charged %v", prompt, completion, amounts)
				}
				return
			}
		})
	}
}

// usedOf is what is used of the amounts of a limit, once nothing of them is reserved.
func usedOf(g *gateway, t *testing.T, name string) map[limit.Unit]int64 {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		out, left := make(map[limit.Unit]int64), false
		for _, a := range g.view(t, name).Amounts {
			out[a.Unit], _ = strconv.ParseInt(string(a.Spent), 10, 64)
			left = left || a.Reserved != "0"
		}
		if !left {
			return out
		}
		if time.Now().After(deadline) {
			t.Fatal("something stays reserved")
		}
	}
}

// TestParallelGuardAndCache holds that the response to a denied request is not stored, and
// that a stored one waits for the guard as well. It is a hit, or is charged, only if it is given.
func TestParallelGuardAndCache(t *testing.T) {
	u, s := newUpstream(t, answers("x")), newGuardService(t)
	var deny atomic.Bool
	said := make(chan struct{}, 10)
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		<-said
		if deny.Load() {
			_, _ = io.WriteString(w, `{"action":{"body":"no","status_code":403}}`)
			return
		}
		_, _ = io.WriteString(w, `{"action":{}}`)
	})
	p, l, rule := unique("p"), unique("limit"), unique("rule")
	app := strings.TrimSuffix(limited(t, fmt.Sprintf(`{"name":%q,"amounts":[{"unit":"requests","amount":10,"window":"1h"}]}`, l), p, u.provider("")), "}") +
		`,"guards":{` + s.guard("closed") + `},"cache":{"scope":"everyone"}}`
	c := newCaching(t, app, fmt.Sprintf(`{"rules":[{"name":%q,"guards":["g"],"cache":{},"backends":[{"provider":%q}]}]}`, rule, p))
	c.rule = rule
	for i, step := range []struct {
		deny          bool
		status, asked int
		cache         string
	}{
		{true, 403, 1, ""}, {false, 200, 2, "miss"}, {false, 200, 2, "hit"}, {true, 403, 2, ""},
	} {
		deny.Store(step.deny)
		said <- struct{}{}
		got := c.ask("/v1/chat/completions", message("hi", false))
		if got.status != step.status || !strings.Contains(got.cache, step.cache) || strings.Contains(got.body, "chat.completion") == step.deny {
			t.Errorf("request %d: %+v", i, got)
		}
		// The first may be denied before its attempt is made.
		if n := u.count(); n > step.asked || n < step.asked-1 || step.cache == "hit" && n == 0 {
			t.Errorf("request %d: the provider was asked %d times", i, n)
		}
	}
	c.counted(t)
	if v := c.view(); v.Hits != 1 || v.SavedPromptTokens != 11 || v.SavedCompletionTokens != 85 {
		t.Errorf("of two hits, one is denied: %+v", v)
	}
	if used := usedOf(c.gateway, t, l)[limit.UnitRequests]; used < 1 || used > 2 {
		t.Errorf("%d requests are charged, and two of four were sent", used)
	}
}

// TestParallelGuardAndClientsThatLeave holds that both the service and the provider are let
// go of.
func TestParallelGuardAndClientsThatLeave(t *testing.T) {
	var both, gone sync.WaitGroup
	both.Add(2)
	gone.Add(2)
	u := newUpstream(t, func(_ http.ResponseWriter, r *http.Request) {
		both.Done()
		<-r.Context().Done()
		gone.Done()
	})
	s := newGuardService(t)
	s.before = func(r *http.Request) {
		both.Done()
		<-r.Context().Done()
		gone.Done()
	}
	p := unique("p")
	g := newGateway(t, guarded(s.guard("open"), p, u.provider("")), fmt.Sprintf(`{"rules":[{"guards":["g"],"backends":[{"provider":%q}]}]}`, p))
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		both.Wait()
		leave()
	}()
	r, _ := http.NewRequestWithContext(ctx, http.MethodPost, g.URL+"/v1/chat/completions", strings.NewReader(message("fine", false)))
	r.Header.Set("Content-Type", "application/json")
	if res, err := g.Client().Do(r); err == nil {
		res.Body.Close()
		t.Errorf("got %d", res.StatusCode)
	}
	gone.Wait()
	g.counted(t)
	if g.app.static[p].state.Pauses.Any() {
		t.Error("the provider cools down")
	}
}

// TestParallelGuardSoak sends many requests that end in every way, and holds that nothing
// is left of them. LLM_SOAK is how many: there are few in CI.
func TestParallelGuardSoak(t *testing.T) {
	requests := 600
	if n, err := strconv.Atoi(os.Getenv("LLM_SOAK")); err == nil {
		requests = n
	}
	const content = `data: {"choices":[{"index":0,"delta":{"content":"SECRET"}}]}` + "\n\n"
	endings := []http.HandlerFunc{
		answers("SECRET"), fails(400), fails(503), func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		func(w http.ResponseWriter, _ *http.Request) {
			streams(w)(strings.Repeat(content, 50) + "data: [DONE]\n\n")
		},
		func(w http.ResponseWriter, r *http.Request) {
			streams(w)(content)
			select {
			case <-r.Context().Done():
			case <-time.After(20 * time.Millisecond):
			}
		},
	}
	u := new(fakeProvider)
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		endings[rand.IntN(len(endings))](w, r)
	}))
	t.Cleanup(u.Close)
	s := newGuardService(t)
	s.before = func(*http.Request) { time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond) }
	a, b, l := unique("a"), unique("b"), unique("limit")
	app := strings.TrimSuffix(limited(t, fmt.Sprintf(`{"name":%q,"amounts":[{"unit":"tokens","amount":100000000,"window":"1h"}],"concurrent":100}`, l), a, u.provider(""), b, u.provider("")), "}") +
		`,"guards":{` + s.guard("closed") + `},"cache":{"scope":"everyone"}}`
	g := newGateway(t, app, fmt.Sprintf(`{"rules":[{"guards":["g"],"cache":{},"attempts":2,"backends":[{"provider":%q},{"provider":%q,"priority":1}]}]}`, a, b))
	before := runtime.NumGoroutine()
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i), 2))
			for range requests / 12 {
				ctx, leave := context.WithCancel(t.Context())
				if rng.IntN(4) == 0 {
					time.AfterFunc(time.Duration(rng.IntN(4000))*time.Microsecond, leave)
				}
				text := []string{"fine", "zebra", "bob", "broken"}[rng.IntN(4)]
				r, _ := http.NewRequestWithContext(ctx, http.MethodPost, g.URL+"/v1/chat/completions", strings.NewReader(message(text+strconv.Itoa(rng.IntN(5)), rng.IntN(2) == 0)))
				r.Header.Set("Content-Type", "application/json")
				if res, err := g.Client().Do(r); err == nil {
					body, err := io.ReadAll(res.Body)
					res.Body.Close()
					if text != "fine" && (strings.Contains(string(body), "SECRET") || err == nil && res.StatusCode != 418 && res.StatusCode != 403 && res.StatusCode != 503) {
						t.Errorf("%s got %d %s", text, res.StatusCode, body)
					}
				}
				leave()
			}
		})
	}
	wg.Wait()
	g.counted(t)
	usedOf(g, t, l)
	g.Client().CloseIdleConnections()
	u.CloseClientConnections()
	s.CloseClientConnections()
	for deadline := time.Now().Add(time.Minute); runtime.NumGoroutine() > before+10; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			all := make([]byte, 1<<20)
			t.Fatalf("%d goroutines are left of %d: %s", runtime.NumGoroutine(), before, all[:runtime.Stack(all, true)])
		}
	}
}
