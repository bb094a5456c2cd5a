package mock

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func TestMockUnmarshalCaddyfile(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"nothing", `llm_mock`, `{}`},
		{"an empty block", "llm_mock {\n}", `{}`},
		{
			"every option", `llm_mock {
				model qwen-turbo
				reply "Two words"
				latency 250ms
				concurrency 4
				chunks 100
				chunk_interval 1d
				status 429 0.25
				retry_after 5
				abort_after 0
				prompt_tokens 0
				completion_tokens 85
				api_key {env.MOCK_KEY}
			}`,
			`{"model":"qwen-turbo","reply":"Two words","latency":250000000,"concurrency":4,"chunks":100,"chunk_interval":86400000000000,` +
				`"status":429,"status_ratio":0.25,"retry_after":5,"abort_after":0,"prompt_tokens":0,"completion_tokens":85,"api_key":"{env.MOCK_KEY}"}`,
		},
		{"a size", "llm_mock {\nreply_size 20000\nstatus 500\n}", `{"reply_size":20000,"status":500}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := new(Handler)
			if err := m.UnmarshalCaddyfile(caddyfile.NewTestDispenser(tc.in)); err != nil {
				t.Fatal(err)
			}
			if got, err := json.Marshal(m); err != nil || string(got) != tc.want {
				t.Errorf("got %s, %v\nwant %s", got, err, tc.want)
			}
		})
	}
}

func TestMockUnmarshalCaddyfileErrors(t *testing.T) {
	for _, tc := range []struct{ option, says string }{
		{"speed 5", `unknown llm_mock option "speed"; expected one of model, reply`},
		{"model", "model takes one model name, got 0 arguments"},
		{"model a b", "model takes one model name, got 2 arguments"},
		{`model ""`, "model is empty"},
		{"model a\nmodel b", "model is given twice"},
		{"model a {\nb\n}", "model takes no block"},
		{"reply two words", "in quotes"},
		{"reply_size big", `reply_size is "big"; expected a number of bytes, 1 or more`},
		{"concurrency 0", `concurrency is "0"; expected a number of requests, 1 or more`},
		{"reply_size 0", `expected a number of bytes, 1 or more`},
		{"reply a\nreply_size 5", "not both"},
		{"latency", "latency takes a duration"},
		{"latency 250", `latency is "250"; expected a duration such as 250ms`},
		{"latency -1s", "expected a duration"},
		{"chunks 0", "expected a number of chunks, 1 or more"},
		{"chunks 1000000", "expected 1 to 100000"},
		{"chunk_interval soon", "expected a duration"},
		{"status", "from 400 to 599"},
		{"status 429 0.5 0.5", "got 3 arguments"},
		{"status 200", `status is "200"; expected an error status from 400 to 599`},
		{"status teapot", "expected an error status"},
		{"status 429 0", "above 0 and at most 1"},
		{"status 429 25%", "above 0 and at most 1"},
		{"status 429 NaN", "above 0 and at most 1"},
		{"status 429 0.00000001", "one in a million"},
		{"retry_after 5", "retry_after needs status"},
		{"status 429\nretry_after 1.5", "a number of seconds, 1 or more"},
		{"abort_after -1", "a number of events, 0 or more"},
		{"prompt_tokens many", "a number of tokens, 0 or more"},
		{"completion_tokens", "completion_tokens takes a number of tokens"},
		{"api_key a b", "api_key takes one key"},
	} {
		t.Run(tc.option, func(t *testing.T) {
			err := new(Handler).UnmarshalCaddyfile(caddyfile.NewTestDispenser("llm_mock {\n" + tc.option + "\n}"))
			if err == nil || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), "Testfile:") {
				t.Errorf("got %v, want an error with a line and %q", err, tc.says)
			}
		})
	}
	err := new(Handler).UnmarshalCaddyfile(caddyfile.NewTestDispenser("llm_mock model"))
	if err == nil || !strings.Contains(err.Error(), "no argument but a matcher") {
		t.Error(err)
	}
}
