package operations_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	fp "github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/gateway"
)

// The documentation's example: a response with 11 prompt and 85 completion
// tokens under qwen-turbo adds 11 and 85, plain or streamed.
func TestDocumentedTokenCount(t *testing.T) {
	up := fp.New(t, fp.Names("dashscope.aliyuncs.com"))
	proxy := fp.NewProxy(t, map[string]*fp.Server{"dashscope.aliyuncs.com": up})
	port, status := gateway.FreePort(t), gateway.FreePort(t)
	g := gateway.Start(t, gateway.Render(t, `{
	llm {
		status_listen 127.0.0.1:{{.Status}}
		workload sleep
		namespace default
		provider dashscope.aliyuncs.com {
			path /compatible-mode/v1/chat/completions
			model qwen1.5-72b-chat
			api_key {env.KEY}
			for vip-route {
				model qwen-turbo
			}
		}
	}
}
http://:{{.Port}} {
	log
	llm_route {
		rule vip-route {
			match header user-type subscriber
			to dashscope.aliyuncs.com
		}
		rule migrate-rule {
			to dashscope.aliyuncs.com
		}
	}
}
`, map[string]any{"Status": status, "Port": port}), gateway.Env("KEY", "k"), gateway.Env("HTTPS_PROXY", proxy.URL()), gateway.Env("SSL_CERT_FILE", up.CAFile()))
	up.Script(func(_ int, r *fp.Recorded) fp.Reply {
		u := fp.Usage{Prompt: 11, Completion: 85}
		if r.Stream {
			return fp.ChatStream("qwen-turbo-2025-04-28", "hi", &u) // providers answer with a model's full name
		}
		return fp.Chat("qwen-turbo-2025-04-28", "hi", u)
	})
	value := func(name, model string) float64 {
		var sum float64
		for _, s := range metrics(t, status)[name] {
			if s.labels["llmproxy_model"] == model && s.labels["llmproxy_destination_service"] == "dashscope.aliyuncs.com" &&
				s.labels["llmproxy_source_workload"] == "sleep" && s.labels["llmproxy_source_workload_namespace"] == "default" {
				sum += s.value
			}
		}
		return sum
	}
	for i, body := range []string{`{"messages":[]}`, `{"stream":true,"model":"mine"}`} {
		mark := g.LogMark()
		if a := post(t, port, "/", body, "user-type", "subscriber"); a.status != 200 {
			t.Fatalf("got %d %s", a.status, a.body)
		}
		line := accessLog(t, g, mark, "")
		if got := fmt.Sprintf("%v %v %v", line.Fields["request_model"], line.Fields["request_prompt_tokens"], line.Fields["request_completion_tokens"]); got != "qwen-turbo 11 85" {
			t.Errorf("the access log says %s", got)
		}
		n := float64(i + 1)
		if p, c := value("asm_llm_proxy_prompt_tokens", "qwen-turbo"), value("asm_llm_proxy_completion_tokens", "qwen-turbo"); p != 11*n || c != 85*n {
			t.Errorf("after %v requests %v and %v", n, p, c)
		}
	}
	if p := value("asm_llm_proxy_prompt_tokens", "qwen1.5-72b-chat"); p != 0 {
		t.Errorf("another model counted %v", p)
	}
	post(t, port, "/", `{}`)
	if p, c := value("asm_llm_proxy_prompt_tokens", "qwen1.5-72b-chat"), value("asm_llm_proxy_completion_tokens", "qwen1.5-72b-chat"); p != 11 || c != 85 {
		t.Errorf("the other rule counted %v and %v", p, c)
	}
}

// sample is one series of a metric.
type sample struct {
	labels map[string]string
	value  float64
}

// metrics fetches them from the status listener, by name.
func metrics(t *testing.T, status int) map[string][]sample {
	t.Helper()
	a := get(t, status, "/metrics")
	if a.status != 200 {
		t.Fatalf("/metrics: %d", a.status)
	}
	return parseMetrics(t, a.body)
}

// parseMetrics reads Prometheus's text format, whose label values are quoted as
// in Go.
func parseMetrics(t *testing.T, text string) map[string][]sample {
	t.Helper()
	out := map[string][]sample{}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		s := sample{labels: map[string]string{}}
		name, rest, labelled := strings.Cut(line, "{")
		if !labelled {
			name, rest, _ = strings.Cut(line, " ")
		}
		for labelled && rest[0] != '}' {
			label, after, _ := strings.Cut(rest, "=")
			quoted, err := strconv.QuotedPrefix(after)
			if err != nil {
				t.Fatalf("metrics line %s: %v", line, err)
			}
			s.labels[label], _ = strconv.Unquote(quoted)
			rest = strings.TrimPrefix(after[len(quoted):], ",")
		}
		var err error
		if s.value, err = strconv.ParseFloat(strings.TrimSpace(strings.TrimPrefix(rest, "}")), 64); err != nil {
			t.Fatalf("metrics line %s: %v", line, err)
		}
		out[name] = append(out[name], s)
	}
	return out
}
