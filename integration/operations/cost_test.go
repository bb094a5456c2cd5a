package operations_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	fp "github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/gateway"
)

const costConfig = `{
	llm {
		status_listen 127.0.0.1:{{.Status}}
		prices prices.yaml
		provider main {{.URL}}/v1/chat/completions
		provider tired {{.Tired}}/v1/chat/completions
	}
}
http://:{{.Port}} {
	log
	log_append the_cost {http.llm.cost}
	llm_keys keys.txt
	llm_route {
		rule paid-twice {
			match header X-Rule paid-twice
			to tired
			to main priority 1
			attempts 2
		}
		rule plain {
			to main
		}
	}
}
`

const costPrices = `currency: EUR
prices:
  - {model: big*, input: 2.50, cached: 1.25, output: 10, reasoning: 20}
  - {model: big, from: %s, input: 100, output: 100}
  - {model: big, input: 3, output: 12}
  - {model: tired-*, provider: tired, input: 1, output: 1}
  - {model: big, provider: tired, input: 1, output: 1}
`

// The cost of responses is what the file of prices says, in the log, as a
// placeholder and added up, and a new file is in force without a reload.
func TestCost(t *testing.T) {
	up, tired := fp.New(t, fp.Plain(), fp.HTTP1Only()), fp.New(t, fp.Plain(), fp.HTTP1Only())
	const usage = `"usage":{"prompt_tokens":1000,"completion_tokens":200,"prompt_tokens_details":{"cached_tokens":600},"completion_tokens_details":{"reasoning_tokens":50}}`
	up.Script(func(_ int, r *fp.Recorded) fp.Reply {
		model := r.Model
		if r.Header.Get("X-Answer") == "silent" {
			return fp.JSON(200, `{"model":"`+model+`"}`)
		}
		if model == "alias" {
			model = "big-2026" // the provider's own name for it
		}
		if r.Stream {
			return fp.SSE(`data: {"model":"`+model+`","choices":[],`+usage+"}\n\n", "data: [DONE]\n\n")
		}
		return fp.JSON(200, `{"model":"`+model+`","choices":[{"index":0}],`+usage+`}`)
	})
	tired.Script(fp.Always(fp.JSON(500, `{"model":"tired-model",`+usage+`}`)))
	ports := gateway.FreePorts(t, 2)
	tomorrow := time.Now().UTC().AddDate(0, 0, 1).Format(time.DateOnly)
	yesterday := time.Now().UTC().AddDate(0, 0, -1).Format(time.DateOnly)
	const key, alice = "sk-cost-key-of-alice", "Bearer sk-cost-key-of-alice"
	g := gateway.Start(t, gateway.Render(t, costConfig, map[string]any{"Status": ports[0], "Port": ports[1], "URL": up.URL(), "Tired": tired.URL()}),
		gateway.File("keys.txt", fmt.Sprintf("alice sha256:%x\n", sha256.Sum256([]byte(key)))), gateway.File("prices.yaml", fmt.Sprintf(costPrices, tomorrow)))
	ask := func(name, body, cost string, headers ...string) {
		t.Helper()
		mark := g.LogMark()
		if a := post(t, ports[1], "/", body, append(headers, "Authorization", alice)...); a.status != 200 {
			t.Fatalf("%s: %d %s", name, a.status, a.body)
		}
		line := accessLog(t, g, mark, "/")
		got, currency := "", ""
		if v, ok := line.Fields["cost"]; ok {
			got, currency = fmt.Sprintf("%v", v), fmt.Sprint(line.Fields["cost_currency"])
			if _, text := v.(string); text {
				t.Errorf("%s: the cost is a text", name)
			}
		}
		if got != cost || (cost != "") != (currency == "EUR") {
			t.Errorf("%s: the cost is %q %s, want %q", name, got, currency, cost)
		}
		if placed := fmt.Sprint(line.Fields["the_cost"]); placed != cost {
			t.Errorf("%s: the placeholder is %q, want %q", name, placed, cost)
		}
	}
	// 400 at 2.50 and 600 at 1.25, 150 at 10 and 50 at 20, for a million.
	ask("a wildcard", `{"model":"big-1"}`, "0.00425")
	ask("a stream", `{"model":"big-1","stream":true}`, "0.00425")
	// 1000 at 3 and 200 at 12; the price of tomorrow is not in force.
	ask("an exact model", `{"model":"big"}`, "0.0054")
	ask("a model by the provider's name for it", `{"model":"alias"}`, "0.00425")
	ask("no price", `{"model":"small"}`, "")
	ask("no usage", `{"model":"big"}`, "", "X-Answer", "silent")
	// The attempt that failed had 1000 and 200 at 1. The client's model has a price at none.
	ask("an attempt with a price and one without", `{"model":"small"}`, "", "X-Rule", "paid-twice")
	ask("two attempts", `{"model":"big"}`, "0.0066", "X-Rule", "paid-twice")

	write := func(text string) {
		t.Helper()
		path := filepath.Join(g.Dir, "prices.yaml")
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1100 * time.Millisecond)
	}
	write(strings.Replace(fmt.Sprintf(costPrices, tomorrow), "input: 3", "inptu: 3", 1))
	ask("a mistake in the file", `{"model":"big"}`, "0.0054")
	g.WaitLog(`prices.yaml:5: unknown member \"inptu\"`)
	write(fmt.Sprintf(costPrices, yesterday))
	ask("a price that came into force", `{"model":"big"}`, "0.12")

	m := metrics(t, ports[0])
	for _, tc := range []struct {
		want   float64
		labels []string
	}{
		{0.0085, []string{"model", "big-1", "client", "alice", "provider", "main", "rule", "plain", "currency", "EUR"}},
		{0.1308, []string{"model", "big", "client", "alice", "provider", "main", "rule", "plain"}},
		{0.0054, []string{"model", "big", "provider", "main", "rule", "paid-twice"}},
		{0.0024, []string{"model", "tired-model", "provider", "tired", "rule", "paid-twice"}},
		{0.00425, []string{"model", "big-2026"}},
	} {
		if got := sum(m, "llm_cost_total", tc.labels...); got != tc.want {
			t.Errorf("llm_cost_total%v is %v, want %v: %v", tc.labels, got, tc.want, m["llm_cost_total"])
		}
	}
	if got := sum(m, "llm_cost_unknown_total", "model", "small", "client", "alice", "provider", "main"); got != 2 || sum(m, "llm_cost_unknown_total") != 2 {
		t.Errorf("%v requests without a price, want 2: %v", got, m["llm_cost_unknown_total"])
	}
}
