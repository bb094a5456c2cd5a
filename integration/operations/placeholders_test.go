package operations_test

import (
	"encoding/json"
	"fmt"
	"testing"

	fp "github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/gateway"
)

// What llm_route knows of a request can be used by the handlers around it: in
// the log when all is over, and in headers when the response begins.
func TestPlaceholders(t *testing.T) {
	up := fp.New(t, fp.Plain(), fp.HTTP1Only())
	dead, port := gateway.FreePort(t), gateway.FreePort(t)
	g := gateway.Start(t, gateway.Render(t, `{
	llm {
		status_listen off
		provider main {{.URL}} {
			model fixed-model
		}
		provider dead http://127.0.0.1:{{.Dead}} {
			dial_timeout 2s
		}
	}
}
http://:{{.Port}} {
	log
	log_append the_provider {http.llm.provider}
	log_append the_model {http.llm.model}
	log_append the_rule {http.llm.rule}
	log_append the_attempts {http.llm.attempts}
	log_append the_prompt {http.llm.usage.prompt_tokens}
	log_append the_completion {http.llm.usage.completion_tokens}
	log_append the_cached {http.llm.usage.cached_tokens}
	log_append the_reasoning {http.llm.usage.reasoning_tokens}
	log_append the_end {http.llm.finish_reason}
	log_append the_client {http.request.header.X-Client}
	header >X-Provider {http.llm.provider}
	header >X-Model {http.llm.model}
	header >X-Rule {http.llm.rule}
	header >X-Attempts {http.llm.attempts}
	llm_route {
		rule second-try {
			match header X-Case fallback
			to dead
			to main priority 1
			attempts 2
		}
		rule never {
			match header X-Case dead
			to dead
		}
		rule plain {
			match not header X-Case none
			to main
		}
	}
}
`, map[string]any{"URL": up.URL(), "Dead": dead, "Port": port}))
	reply := `{"model":"fixed-model-2025","choices":[{"index":0,"finish_reason":"length"}],"usage":{"prompt_tokens":100,"completion_tokens":20,` +
		`"prompt_tokens_details":{"cached_tokens":64},"completion_tokens_details":{"reasoning_tokens":12}}}`
	up.Script(func(_ int, r *fp.Recorded) fp.Reply {
		if r.Stream {
			return fp.SSE("data: "+reply+"\n\n", "data: [DONE]\n\n")
		}
		return fp.JSON(200, reply)
	})
	for _, tc := range []struct {
		name, body, kase string
		status           int
		headers          string // provider, model, rule, attempts
		logged           string // the same, prompt, completion, cached, reasoning, end
	}{
		{"a response", `{"model":"mine"}`, "", 200, "main fixed-model plain 1", "main fixed-model plain 1 100 20 64 12 length"},
		{"a stream", `{"stream":true}`, "", 200, "main fixed-model plain 1", "main fixed-model plain 1 100 20 64 12 length"},
		{"a second attempt", `{}`, "fallback", 200, "main fixed-model second-try 2", "main fixed-model second-try 2 100 20 64 12 length"},
		{"no provider", `{"model":"{http.llm.rule}"}`, "dead", 502, "dead {http.llm.rule} never 1", "dead {http.llm.rule} never 1     "},
		{"a broken request", `{`, "", 400, "  plain 0", "  plain 0     "},
		{"no rule", `{}`, "none", 404, "   0", "   0     "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			mark := g.LogMark()
			a := post(t, port, "/", tc.body, "X-Case", tc.kase, "X-Client", "{http.llm.model}{env.HOME}")
			if a.status != tc.status {
				t.Errorf("got %d %s", a.status, a.body)
			}
			h := a.header
			if got := fmt.Sprintf("%s %s %s %s", h.Get("X-Provider"), h.Get("X-Model"), h.Get("X-Rule"), h.Get("X-Attempts")); got != tc.headers {
				t.Errorf("headers %q, want %q", got, tc.headers)
			}
			line := accessLog(t, g, mark, "/")
			got := ""
			for _, name := range []string{"provider", "model", "rule", "attempts", "prompt", "completion", "cached", "reasoning", "end"} {
				switch v := line.Fields["the_"+name].(type) {
				case nil:
					t.Errorf("the log has no the_%s", name)
				case string, json.Number:
					got += fmt.Sprintf(" %v", v)
				default:
					t.Errorf("the log has the_%s %v (%T)", name, v, v)
				}
			}
			if got != " "+tc.logged {
				t.Errorf("logged %q, want %q", got, tc.logged)
			}
			if got := line.Fields["the_client"]; got != "{http.llm.model}{env.HOME}" { // a client's text is no placeholder
				t.Errorf("the client's header was logged as %q", got)
			}
		})
	}
}
