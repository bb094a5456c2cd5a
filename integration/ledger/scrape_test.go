package ledger_test

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	fp "github.com/caddy-llm/gateway/integration/fakeprovider"
)

// counters are what the gateway has counted, by model.
type counters struct {
	documented, genAI map[string]fp.Usage
	cost              map[string]int64 // billionths
	missing           map[string]int64 // by reason
	unpriced          float64
	inFlight          float64
}

var labelPair = regexp.MustCompile(`(\w+)="([^"]*)"`)

func scrape(t *testing.T, port int) counters {
	t.Helper()
	res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", port))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	c := counters{documented: make(map[string]fp.Usage), genAI: make(map[string]fp.Usage), cost: make(map[string]int64), missing: make(map[string]int64)}
	for line := range strings.Lines(string(text)) {
		series, number, found := strings.Cut(strings.TrimSpace(line), "} ")
		name, set, _ := strings.Cut(series, "{")
		if !found || strings.HasPrefix(line, "#") {
			continue
		}
		value, err := strconv.ParseFloat(number, 64)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		labels := make(map[string]string)
		for _, m := range labelPair.FindAllStringSubmatch(set, -1) {
			labels[m[1]] = m[2]
		}
		c.add(name, labels, value)
	}
	return c
}

func (c *counters) add(name string, labels map[string]string, value float64) {
	switch name {
	case "asm_llm_proxy_prompt_tokens":
		u := c.documented[labels["llmproxy_model"]]
		u.Prompt += int64(value)
		c.documented[labels["llmproxy_model"]] = u
	case "asm_llm_proxy_completion_tokens":
		u := c.documented[labels["llmproxy_model"]]
		u.Completion += int64(value)
		c.documented[labels["llmproxy_model"]] = u
	case "gen_ai_client_token_usage_sum":
		u := c.genAI[labels["gen_ai_request_model"]]
		*map[string]*int64{"input": &u.Prompt, "output": &u.Completion, "cached": &u.Cached, "reasoning": &u.Reasoning}[labels["gen_ai_token_type"]] += int64(value)
		c.genAI[labels["gen_ai_request_model"]] = u
	case "llm_cost_total":
		c.cost[labels["model"]] += int64(math.Round(value * 1e9))
	case "llm_cost_unknown_total":
		c.unpriced += value
	case "llm_usage_missing_total":
		c.missing[labels["reason"]] += int64(value)
	case "llm_attempts_in_flight":
		c.inFlight += value
	}
}
