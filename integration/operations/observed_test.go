package operations_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	fp "github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/gateway"
)

const observedConfig = `{
	llm {
		status_listen 127.0.0.1:{{.Status}}
		provider main {{.URL}}/v1/chat/completions {
			model fixed
		}
		provider dead http://127.0.0.1:{{.Dead}} {
			dial_timeout 2s
		}
		provider tired {{.Tired}}/v1/chat/completions
	}
}
http://:{{.Port}} {
	log
	llm_keys keys.txt
	llm_route {
		max_body 2000
		rule second-try {
			match header X-Rule second-try
			to dead
			to main priority 1
			attempts 2
		}
		rule paid-twice {
			match header X-Rule paid-twice
			to tired
			to main priority 1
			attempts 2
		}
		rule dead {
			match header X-Rule dead
			to dead
		}
		rule plain {
			match not header X-Rule none
			to main
		}
	}
}
`

// What became of each request stands in its line of the access log, numbers as
// numbers, and in the metrics.
func TestWhatBecameOfRequests(t *testing.T) {
	up, tired := fp.New(t, fp.Plain(), fp.HTTP1Only()), fp.New(t, fp.Plain(), fp.HTTP1Only())
	const usage = `"usage":{"prompt_tokens":100,"completion_tokens":20,"prompt_tokens_details":{"cached_tokens":64},"completion_tokens_details":{"reasoning_tokens":12}}`
	const chunk = `data: {"model":"fixed-2025","choices":[{"index":0,"delta":{"content":"a"}}]}` + "\n\n"
	up.Script(func(_ int, r *fp.Recorded) fp.Reply {
		switch r.Header.Get("X-Answer") {
		case "500":
			return fp.JSON(500, `{"error":{"message":"oops"}}`)
		case "silent":
			return fp.JSON(200, `{"model":"fixed-2025","choices":[{"index":0,"finish_reason":"stop"}]}`)
		case "cut":
			return fp.SSE(chunk, chunk).CloseAfter(1)
		case "hang":
			return fp.SSE(chunk, chunk).HangAfter(1)
		case "inside":
			return fp.SSE(chunk, `data: {"error":{"message":"overloaded"}}`+"\n\n", "data: [DONE]\n\n")
		case "counted, then cut":
			return fp.SSE(chunk, `data: {"choices":[],`+usage+"}\n\n", chunk).CloseAfter(2)
		}
		if r.Stream {
			return fp.SSE(chunk, `data: {"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}`+"\n\n", `data: {"choices":[],`+usage+"}\n\n", "data: [DONE]\n\n")
		}
		return fp.JSON(200, `{"model":"fixed-2025","choices":[{"index":0,"finish_reason":"stop"}],`+usage+`}`)
	})
	// What a provider has reported with an error is paid for like any other.
	tired.Script(fp.Always(fp.JSON(500, `{"error":{"message":"ran out of time"},"model":"tired-1",`+usage+`}`)))
	ports := gateway.FreePorts(t, 3)
	const key, alice = "sk-observed-key-of-alice", "Bearer sk-observed-key-of-alice"
	g := gateway.Start(t, gateway.Render(t, observedConfig, map[string]any{"Status": ports[0], "Port": ports[1], "Dead": ports[2], "URL": up.URL(), "Tired": tired.URL()}),
		gateway.File("keys.txt", fmt.Sprintf("alice sha256:%x fixed\n", sha256.Sum256([]byte(key)))))

	const counted = ` request_prompt_tokens=100 request_completion_tokens=20 request_cached_tokens=64 request_reasoning_tokens=12`
	for _, tc := range []struct {
		name, body   string
		headers      []string
		status       int    // 0 for a response that breaks off
		logged, want string // the status in the log, and the other fields
	}{
		{"a response", `{}`, nil, 200, "200", `rule=plain client=alice provider=main request_model=fixed attempts=1 finish_reason=stop` + counted},
		{"a stream", `{"stream":true}`, nil, 200, "200", `rule=plain client=alice provider=main request_model=fixed attempts=1 finish_reason=length time_to_first_token` + counted},
		{"a second attempt", `{"model":"fixed"}`, []string{"X-Rule", "second-try"}, 200, "200", `rule=second-try client=alice provider=main request_model=fixed attempts=2 finish_reason=stop` + counted},
		{"an answer without usage", `{}`, []string{"X-Answer", "silent"}, 200, "200", `rule=plain client=alice provider=main request_model=fixed attempts=1 finish_reason=stop`},
		{"a provider's error", `{}`, []string{"X-Answer", "500"}, 500, "500", `rule=plain client=alice provider=main request_model=fixed attempts=1`},
		{"an error inside", `{"stream":true}`, []string{"X-Answer", "inside"}, 200, "200", `rule=plain client=alice provider=main request_model=fixed attempts=1 llm_error=provider_error time_to_first_token`},
		{"a stream cut by the provider", `{"stream":true}`, []string{"X-Answer", "cut"}, 0, "200",
			`rule=plain client=alice provider=main request_model=fixed attempts=1 llm_error=provider_unreachable aborted=true time_to_first_token`},
		{"a stream cut after its usage", `{"stream":true}`, []string{"X-Answer", "counted, then cut"}, 0, "200",
			`rule=plain client=alice provider=main request_model=fixed attempts=1 llm_error=provider_unreachable aborted=true time_to_first_token` + counted},
		{"a stream that the client leaves", `{"stream":true}`, []string{"X-Answer", "hang"}, -1, "200",
			`rule=plain client=alice provider=main request_model=fixed attempts=1 aborted=true time_to_first_token`},
		{"a model that the key may not use", `{}`, []string{"X-Rule", "dead"}, 403, "403", `rule=dead client=alice llm_error=model_not_allowed`},
		{"an unreachable provider", `{"model":"fixed"}`, []string{"X-Rule", "dead"}, 502, "502", `rule=dead client=alice provider=dead request_model=fixed attempts=1 llm_error=provider_unreachable`},
		{"paid twice", `{"model":"fixed"}`, []string{"X-Rule", "paid-twice"}, 200, "200", `rule=paid-twice client=alice provider=main request_model=fixed attempts=2 finish_reason=stop` +
			` request_prompt_tokens=200 request_completion_tokens=40 request_cached_tokens=128 request_reasoning_tokens=24`},
		{"no JSON", `[`, nil, 400, "400", `rule=plain client=alice llm_error=invalid_json`},
		{"too large", `{"a":"` + strings.Repeat("x", 3000) + `"}`, nil, 413, "413", `rule=plain client=alice llm_error=request_too_large`},
		{"no route", `{}`, []string{"X-Rule", "none"}, 404, "404", `client=alice llm_error=no_route`},
		{"an unknown key", `{}`, []string{"Authorization", "Bearer nobody"}, 401, "401", `llm_error=invalid_api_key`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			mark := g.LogMark()
			switch headers := append([]string{"Authorization", alice}, tc.headers...); tc.status {
			case 0:
				if a, err := try(t.Context(), http.MethodPost, ports[1], "/", tc.body, headers...); err == nil {
					t.Errorf("the response is whole: %s", a.body)
				}
			case -1:
				leave(t, ports[1], tc.body, headers...)
			default:
				if a := post(t, ports[1], "/", tc.body, headers...); a.status != tc.status {
					t.Fatalf("got %d %s", a.status, a.body)
				}
			}
			line := accessLog(t, g, mark, "/")
			if got := fmt.Sprint(line.Fields["status"]); got != tc.logged {
				t.Errorf("status %s in the log, want %s", got, tc.logged)
			}
			want := strings.Fields(tc.want)
			slices.Sort(want)
			if got := ourFields(t, line); !slices.Equal(got, want) {
				t.Errorf("logged\n%q, want\n%q", got, want)
			}
		})
	}

	up.WaitIdle(patience)
	m := metrics(t, ports[0])
	for _, tc := range []struct {
		metric string
		want   float64
		labels []string // pairs
	}{
		{"llm_refused_total", 1, []string{"rule", "dead", "code", "model_not_allowed"}},
		{"llm_refused_total", 1, []string{"rule", "dead", "code", "provider_unreachable"}},
		{"llm_refused_total", 1, []string{"rule", "plain", "code", "invalid_json"}},
		{"llm_refused_total", 1, []string{"rule", "plain", "code", "request_too_large"}},
		{"llm_refused_total", 1, []string{"rule", "", "code", "no_route"}},
		{"llm_refused_total", 1, []string{"rule", "", "code", "invalid_api_key"}},
		{"llm_refused_total", 6, nil},
		{"llm_fallbacks_total", 1, []string{"rule", "second-try", "from", "dead", "to", "main"}},
		{"llm_fallbacks_total", 1, []string{"rule", "paid-twice", "from", "tired", "to", "main"}},
		{"llm_fallbacks_total", 2, nil},
		{"llm_usage_missing_total", 1, []string{"provider", "main", "reason", "unreported"}},
		{"llm_usage_missing_total", 3, []string{"provider", "main", "reason", "broke_off"}}, // with the error inside
		{"llm_overhead_seconds_count", 10, nil},
		{"llm_overhead_seconds_count", 1, []string{"rule", "paid-twice"}},
		{"llm_cool_downs_total", 0, []string{"provider", "dead"}}, // it takes three failures in a row
		{"llm_provider_cooling", 0, []string{"provider", "main"}},
		{"llm_attempts_in_flight", 0, nil},
		{"llm_snapshots_total", 1, []string{"result", "complete"}},
		{"gen_ai_client_token_usage_sum", 500, []string{"gen_ai_token_type", "input", "gen_ai_provider_name", "main"}},
		{"gen_ai_client_token_usage_sum", 60, []string{"gen_ai_token_type", "reasoning", "gen_ai_request_model", "fixed"}},
		{"gen_ai_client_token_usage_sum", 64, []string{"gen_ai_token_type", "cached", "gen_ai_request_model", "tired-1", "rule", "paid-twice"}},
		{"asm_llm_proxy_prompt_tokens", 100, []string{"llmproxy_model", "tired-1"}},
	} {
		if got := sum(m, tc.metric, tc.labels...); got != tc.want {
			t.Errorf("%s%v is %v, want %v: %v", tc.metric, tc.labels, got, tc.want, m[tc.metric])
		}
	}
	if at := sum(m, "llm_snapshot_timestamp_seconds"); time.Since(time.Unix(int64(at), 0)) > 10*time.Minute || at > float64(time.Now().Unix()+1) {
		t.Errorf("the snapshot was made at %v", at)
	}
}

// ourFields are the gateway's own fields of a line, sorted: numbers and booleans
// bare, texts as they are unless they look like a number, times by name.
func ourFields(t *testing.T, line gateway.LogLine) (out []string) {
	t.Helper()
	for name, value := range line.Fields {
		switch v := value.(type) {
		case json.Number:
			switch {
			case name == "time_to_first_token":
				if s, err := v.Float64(); err != nil || s <= 0 || s > patience.Seconds() {
					t.Errorf("%s is %v", name, v)
				}
				out = append(out, name)
			case name == "attempts", strings.HasSuffix(name, "_tokens"):
				out = append(out, name+"="+v.String())
			}
		case bool:
			out = append(out, fmt.Sprintf("%s=%v", name, v))
		case string:
			if !slices.Contains([]string{"level", "logger", "msg", "user_id"}, name) {
				out = append(out, name+"="+v)
			}
			if strings.Trim(v, "0123456789.") == "" && v != "" {
				t.Errorf("%s is the text %q", name, v)
			}
		}
	}
	slices.Sort(out)
	return out
}

// leave posts for a stream and leaves when its first event is there.
func leave(t *testing.T, port int, body string, headers ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d/", port), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.ReadFull(res.Body, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
}

// sum adds up the series of a metric that have the labels, given as pairs.
func sum(m map[string][]sample, name string, labels ...string) (total float64) {
series:
	for _, s := range m[name] {
		for i := 0; i+1 < len(labels); i += 2 {
			if s.labels[labels[i]] != labels[i+1] {
				continue series
			}
		}
		total += s.value
	}
	return total
}
