// Package ledger_test holds the gateway's counters against the books that its
// providers keep, in another process.
package ledger_test

import (
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	fp "github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/gateway"
)

const (
	requests = 10_000
	workers  = 32
	patience = 30 * time.Second
)

const config = `{
	llm {
		status_listen 127.0.0.1:{{.Status}}
		prices prices.yaml
		provider first {{.First}}/v1/chat/completions
		provider second {{.Second}}/v1/chat/completions
	}
}
http://127.0.0.1:{{.Port}} {
	header X-Mark {{.Mark}}
	llm_route {
		rule fallback {
			match header X-Case fails*
			match header X-Case busy*
			to first
			to second priority 1
			attempts 2
		}
		rule all {
			to first
			to second
		}
	}
}
`

// 0.15 and 0.6 for a million tokens are whole billionths for one.
const prices = `currency: USD
prices:
  - {model: "*", input: 0.15, cached: 0.05, output: 0.6, reasoning: 0.8}
`

// After 10,000 requests of all kinds, with a reload among them, each counter is
// what the providers have in their ledgers, to the token.
func TestCountersEqualTheLedger(t *testing.T) {
	first, second := fp.New(t, fp.Plain(), fp.HTTP1Only(), fp.Keep(1)), fp.New(t, fp.HTTP2Only(), fp.Keep(1))
	first.Script(func(_ int, r *fp.Recorded) fp.Reply { return answer(r, true) })
	second.Script(func(_ int, r *fp.Recorded) fp.Reply { return answer(r, false) })
	ports := gateway.FreePorts(t, 2)
	params := map[string]any{"Status": ports[0], "Port": ports[1], "First": first.URL(), "Second": second.URL(), "Mark": "before"}
	g := gateway.Start(t, gateway.Render(t, config, params), gateway.File("prices.yaml", prices), gateway.Env("SSL_CERT_FILE", first.CAFile()))

	c := newClient(t, ports[1])
	var next, reloaded atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= requests {
					return
				}
				if i == requests/2 {
					params["Mark"] = "after"
					if err := g.Reload(gateway.Render(t, config, params)); err != nil {
						t.Errorf("reload: %v", err)
					}
					reloaded.Store(next.Load())
				}
				c.ask(int(i))
			}
		})
	}
	wg.Wait()
	if n := reloaded.Load(); n == 0 || n > requests*9/10 {
		t.Errorf("the reload was done after %d of %d requests", n, requests)
	}
	first.WaitIdle(patience)
	second.WaitIdle(patience)
	t.Log(c.tally())

	want := map[string]fp.Usage{}
	for _, s := range []*fp.Server{first, second} {
		for model, u := range s.Ledger() {
			sum := want[model]
			want[model] = fp.Usage{Prompt: sum.Prompt + u.Prompt, Completion: sum.Completion + u.Completion, Cached: sum.Cached + u.Cached, Reasoning: sum.Reasoning + u.Reasoning}
		}
	}
	if len(want) != models {
		t.Fatalf("the ledgers have %d models, want %d", len(want), models)
	}
	// A request is counted after its last byte has gone.
	var got counters
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		got = scrape(t, ports[0])
		if got.inFlight == 0 && maps.Equal(got.documented, tokensOf(want, false)) || time.Now().After(deadline) {
			break
		}
	}
	for model, u := range want {
		if d := got.documented[model]; d.Prompt != u.Prompt || d.Completion != u.Completion {
			t.Errorf("%s: asm_llm_proxy counts %d and %d, the providers reported %d and %d", model, d.Prompt, d.Completion, u.Prompt, u.Completion)
		}
		if got.genAI[model] != u {
			t.Errorf("%s: gen_ai_client_token_usage sums to %+v, the providers reported %+v", model, got.genAI[model], u)
		}
		nano := (u.Prompt-u.Cached)*150 + u.Cached*50 + (u.Completion-u.Reasoning)*600 + u.Reasoning*800
		if got.cost[model] != nano {
			t.Errorf("%s: the cost is %d billionths, want %d", model, got.cost[model], nano)
		}
	}
	if len(got.documented) != models || len(got.cost) != models {
		t.Errorf("counted are the models %v and %v, want %d", got.documented, got.cost, models)
	}
	for reason, n := range map[string]int64{"unreported": c.count("silent"), "broke_off": c.count("cut early") + c.count("left early")} {
		if got.missing[reason] != n || n == 0 {
			t.Errorf("%d responses without usage are %s, want %d", got.missing[reason], reason, n)
		}
	}
	if got.unpriced != 0 {
		t.Errorf("%v answers have no price", got.unpriced)
	}
}

func tokensOf(all map[string]fp.Usage, details bool) map[string]fp.Usage {
	out := make(map[string]fp.Usage)
	for model, u := range all {
		if !details {
			u.Cached, u.Reasoning = 0, 0
		}
		out[model] = u
	}
	return out
}

// models is how many models are asked for.
const models = 5

// kinds are the ways a request may go.
var kinds = strings.Fields(`json json json json stream stream stream asked asked silent fails busy cut-early cut-late left-early left-late left-waiting error broken`)

// answer is what a provider replies to the request that ask sends. tired says
// that it is the one that fails where a rule may move on.
func answer(r *fp.Recorded, tired bool) fp.Reply {
	kind, number, _ := strings.Cut(r.Header.Get("X-Case"), " ")
	n := 0
	_, _ = fmt.Sscan(number, &n)
	usage := fmt.Sprintf(`"usage":{"prompt_tokens":%d,"completion_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d},"completion_tokens_details":{"reasoning_tokens":%d}}`,
		10+n%977, 5+n%631, n%11, n%6)
	named := `"model":"` + r.Model + `"`
	text := "data: {" + named + `,"choices":[{"index":0,"delta":{"content":"so"},"finish_reason":null}],"usage":null}` + "\n\n"
	last := "data: {" + named + `,"choices":[],` + usage + "}\n\n"
	switch whole := fp.SSE(text, text, text, last, "data: [DONE]\n\n"); kind {
	case "fails", "busy":
		if !tired {
			break
		}
		if kind == "busy" {
			return fp.JSON(429, `{"error":{"message":"slow down"}}`).WithHeader("Retry-After-Ms", "1")
		}
		// It has worked, says so, and fails all the same.
		return fp.JSON(500, `{"error":{"message":"ran out of time"},`+named+`,`+usage+`}`).WithHeader("Retry-After-Ms", "1")
	case "stream", "asked":
		return whole
	case "cut-early":
		return whole.CloseAfter(2)
	case "cut-late":
		return whole.CloseAfter(4)
	case "left-early":
		return whole.HangAfter(2)
	case "left-late":
		return whole.HangAfter(4)
	case "left-waiting":
		return fp.Reply{}.HangBeforeHead()
	case "silent":
		return fp.JSON(200, `{`+named+`,"choices":[{"index":0}]}`)
	case "error":
		return fp.JSON(400, `{"error":{"message":"no such thing"}}`)
	}
	return fp.JSON(200, `{`+named+`,"choices":[{"index":0}],`+usage+`}`)
}
