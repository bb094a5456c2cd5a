package traces

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/gateway"
)

const config = `{
	llm {
		status_listen off
		provider first {{.First}}/v1/chat/completions {
			model model-of-first
			api_key {env.KEY}
		}
		provider second {{.Second}}/v1/chat/completions {
			forward_headers Traceparent Tracestate
		}
	}
}

http://:{{.Port}} {
	tracing {
		span "chat {http.request.method}"
		span_attributes {
			attempts {http.llm.attempts}
		}
	}
	llm_route {
		rule nobody {
			match header x-team nobody
			to first
		}
		rule second {
			match header x-team second
			to second
		}
		rule both {
			match not header x-team nowhere
			to first
			to second priority 1
			attempts 2
		}
	}
}
`

const (
	providerKey = "sk-of-the-provider-5b0a11"
	clientKey   = "sk-of-the-client-91cc07"
	prompt      = "what-the-client-asks"
	answer      = "Hello from the fake provider."

	// The example of W3C Trace Context.
	clientTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	clientSpan  = "00f067aa0ba902b7"
	sampled     = "01"
	unsampled   = "00"
)

// site is a gateway with two providers, whose spans a collector gets.
type site struct {
	*collector
	*gateway.Gateway
	first, second *fakeprovider.Server
	url           string
}

func serve(t *testing.T, config string, options ...gateway.Option) *site {
	return serveTo(t, "http", config, options...)
}

// serveTo is serve with a collector that takes the protocol.
func serveTo(t *testing.T, protocol, config string, options ...gateway.Option) *site {
	t.Helper()
	s := &site{
		collector: newCollector(t, protocol),
		first:     fakeprovider.New(t, fakeprovider.Plain()), second: fakeprovider.New(t, fakeprovider.Plain()),
	}
	port := gateway.FreePort(t)
	s.url = fmt.Sprintf("http://127.0.0.1:%d", port)
	config = gateway.Render(t, config, map[string]any{
		"Port": port, "First": s.first.URL(), "Second": s.second.URL(), "FirstPort": portOf(s.first),
	})
	options = append([]gateway.Option{
		gateway.Env("OTEL_EXPORTER_OTLP_ENDPOINT", s.collector.url), gateway.Env("OTEL_BSP_SCHEDULE_DELAY", "50"), gateway.Env("KEY", providerKey),
		gateway.Within(2 * time.Minute),
	}, options...)
	s.Gateway = gateway.Start(t, config, options...)
	return s
}

// portOf is the port that a provider listens at.
func portOf(s *fakeprovider.Server) string {
	return s.URL()[strings.LastIndex(s.URL(), ":")+1:]
}

// post sends a chat request as a client that is traced; header are names and
// values.
func (s *site) post(ctx context.Context, t *testing.T, flags string, stream bool, header ...string) *http.Response {
	t.Helper()
	body := fmt.Sprintf(`{"model":"model-of-client","stream":%v,"messages":[{"role":"user","content":%q}]}`, stream, prompt)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/v1/chat/completions?key="+clientKey, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Traceparent", "00-"+clientTrace+"-"+clientSpan+"-"+flags)
	req.Header.Set("Authorization", "Bearer "+clientKey)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// ask sends a chat request and returns the status of its response.
func (s *site) ask(t *testing.T, header ...string) int {
	t.Helper()
	res := s.post(t.Context(), t, sampled, false, header...)
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// checkTree holds that the request's span is the client's child, and the
// attempts' spans are those of the request's.
func checkTree(t *testing.T, request ptrace.Span, attempts []ptrace.Span, n int) {
	t.Helper()
	if got := request.ParentSpanID().String(); got != clientSpan {
		t.Errorf("the request's span is a child of %s", got)
	}
	if len(attempts) != n {
		t.Fatalf("there are %d spans of attempts, want %d", len(attempts), n)
	}
	for _, a := range attempts {
		if a.ParentSpanID() != request.SpanID() || a.Kind() != ptrace.SpanKindClient {
			t.Errorf("the span %q is a child of %s, of kind %s", a.Name(), a.ParentSpanID(), a.Kind())
		}
		if a.StartTimestamp() < request.StartTimestamp() || a.EndTimestamp() > request.EndTimestamp() {
			t.Errorf("the span %q is not within the request's", a.Name())
		}
	}
}

func checkStatus(t *testing.T, span ptrace.Span, want ptrace.StatusCode) {
	t.Helper()
	if got := span.Status().Code(); got != want {
		t.Errorf("the status of the span %q is %s, want %s", span.Name(), got, want)
	}
}

// attributes of an attempt that the first provider answered.
func (s *site) attributes(more map[string]any) map[string]any {
	all := map[string]any{
		"gen_ai.operation.name": "chat", "gen_ai.provider.name": "first", "gen_ai.request.model": "model-of-first",
		"server.address": "127.0.0.1", "server.port": portOf(s.first), "llm.rule": "both", "llm.attempt": 1,
	}
	for name, value := range more {
		all[name] = value
	}
	return all
}

func TestOneAttempt(t *testing.T) {
	s := serve(t, config)
	s.first.Script(fakeprovider.Always(fakeprovider.JSON(200, `{"model":"model-of-first-2026","choices":[{"message":{"content":"`+answer+`"},"finish_reason":"stop"}],`+
		`"usage":{"prompt_tokens":9,"completion_tokens":12,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":5}}}`)))
	if got := s.ask(t); got != 200 {
		t.Fatal(got)
	}
	request, attempts := s.spans(clientTrace)
	checkTree(t, request, attempts, 1)
	if request.Name() != "chat POST" || attempts[0].Name() != "chat model-of-first" {
		t.Errorf("the spans are %q and %q", request.Name(), attempts[0].Name())
	}
	check(t, "the attempt", attempts[0].Attributes(), s.attributes(map[string]any{
		"gen_ai.response.model": "model-of-first-2026", "gen_ai.response.finish_reasons": []any{"stop"}, "http.response.status_code": 200,
		"gen_ai.usage.input_tokens": 9, "gen_ai.usage.output_tokens": 12,
		"gen_ai.usage.cache_read.input_tokens": 4, "gen_ai.usage.reasoning.output_tokens": 5,
	}))
	has(t, "the request", request.Attributes(), map[string]any{"llm.rule": "both", "http.response.status_code": 200, "error.type": nil, "attempts": 1})
	checkStatus(t, request, ptrace.StatusCodeUnset)
	checkStatus(t, attempts[0], ptrace.StatusCodeUnset)
	if n := request.Events().Len() + attempts[0].Events().Len(); n != 0 {
		t.Errorf("there are %d events", n)
	}
	for _, secret := range []string{prompt, "Hello", providerKey, clientKey, "model-of-client"} {
		if strings.Contains(s.text(), secret) {
			t.Errorf("%s is in the spans: %s", secret, s.text())
		}
	}
}

func TestFallback(t *testing.T) {
	for _, tc := range []struct {
		name      string
		reply     fakeprovider.Reply
		status    any
		errorType string
		coolDown  any
	}{
		{"a response", fakeprovider.JSON(429, `{"error":{"message":"slow down"},"usage":{"prompt_tokens":6,"completion_tokens":1}}`).WithHeader("Retry-After", "7"), 429, "429", 7},
		{"none", fakeprovider.JSON(200, `{}`).CloseBeforeHead(), nil, "provider_unreachable", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serve(t, config)
			s.first.Script(fakeprovider.Always(tc.reply))
			if got := s.ask(t); got != 200 {
				t.Fatal(got)
			}
			request, attempts := s.spans(clientTrace)
			checkTree(t, request, attempts, 2)
			want := s.attributes(map[string]any{"error.type": tc.errorType})
			if tc.status != nil {
				want["http.response.status_code"], want["gen_ai.usage.input_tokens"], want["gen_ai.usage.output_tokens"] = tc.status, 6, 1
			}
			if tc.coolDown != nil {
				want["llm.cool_down"] = tc.coolDown
			} else if v, ok := attempts[0].Attributes().Get("llm.cool_down"); ok {
				want["llm.cool_down"] = v.AsRaw()
			}
			check(t, "the first attempt", attempts[0].Attributes(), want)
			checkStatus(t, attempts[0], ptrace.StatusCodeError)
			// The second provider's model is the client's, which is in no name.
			if got := attempts[1].Name(); got != "chat" {
				t.Errorf("the second span is %q", got)
			}
			check(t, "the second attempt", attempts[1].Attributes(), map[string]any{
				"gen_ai.operation.name": "chat", "gen_ai.provider.name": "second", "gen_ai.request.model": "model-of-client", "gen_ai.response.model": "model-of-client",
				"server.address": "127.0.0.1", "server.port": portOf(s.second), "llm.rule": "both", "llm.attempt": 2, "http.response.status_code": 200,
				"gen_ai.response.finish_reasons": []any{"stop"}, "gen_ai.usage.input_tokens": 9, "gen_ai.usage.output_tokens": 12,
			})
			checkStatus(t, attempts[1], ptrace.StatusCodeUnset)
			checkStatus(t, request, ptrace.StatusCodeUnset)
			e := event(t, request, "fallback")
			has(t, "the event", e.Attributes(), map[string]any{
				"llm.from": "first", "llm.to": "second", "error.type": tc.errorType, "http.response.status_code": tc.status, "llm.cool_down": want["llm.cool_down"],
			})
			if e.Timestamp() < attempts[0].EndTimestamp() || e.Timestamp() > attempts[1].StartTimestamp() {
				t.Error("the event is not between the attempts")
			}
		})
	}
}

func TestStream(t *testing.T) {
	const before, between = 60 * time.Millisecond, 40 * time.Millisecond
	s := serve(t, config)
	s.first.Script(fakeprovider.Always(fakeprovider.ChatStream("model-of-first", answer, &fakeprovider.Usage{Prompt: 9, Completion: 12}).After(before).Every(between)))
	res := s.post(t.Context(), t, sampled, true)
	if body, err := io.ReadAll(res.Body); err != nil || !strings.HasSuffix(string(body), "data: [DONE]\n\n") {
		t.Fatalf("%q %v", body, err)
	}
	request, attempts := s.spans(clientTrace)
	checkTree(t, request, attempts, 1)
	first, ok := attempts[0].Attributes().Get("gen_ai.response.time_to_first_chunk")
	if !ok || first.Double() < before.Seconds() {
		t.Errorf("the first chunk came after %v s", first.AsRaw())
	}
	check(t, "the attempt", attempts[0].Attributes(), s.attributes(map[string]any{
		"gen_ai.request.stream": true, "gen_ai.response.time_to_first_chunk": first.Double(),
		"gen_ai.response.model": "model-of-first", "gen_ai.response.finish_reasons": []any{"stop"}, "http.response.status_code": 200,
		"gen_ai.usage.input_tokens": 9, "gen_ai.usage.output_tokens": 12,
	}))
	e := event(t, attempts[0], "first_token")
	if n := e.Attributes().Len(); n != 0 {
		t.Errorf("the event has %d attributes", n)
	}
	since := func(a, b pcommon.Timestamp) time.Duration { return b.AsTime().Sub(a.AsTime()) }
	if since(attempts[0].StartTimestamp(), e.Timestamp()) < before || since(e.Timestamp(), attempts[0].EndTimestamp()) < 5*between {
		t.Error("the event is not when the first token came")
	}
}

func TestFailedRequests(t *testing.T) {
	broken := fakeprovider.ChatStream("model-of-first", answer, nil).CloseAfter(2)
	for _, tc := range []struct {
		name      string
		reply     fakeprovider.Reply
		stream    bool
		team      string
		attempts  int
		status    int
		errorType string
		code      ptrace.StatusCode // of the request's span
	}{
		{"a provider's error", fakeprovider.JSON(500, `{"error":{"message":"oops"}}`), false, "nobody", 1, 500, "500", ptrace.StatusCodeError},
		{"the client's mistake", fakeprovider.JSON(400, `{"error":{"message":"no"}}`), false, "nobody", 1, 400, "400", ptrace.StatusCodeUnset},
		{"a response that breaks off", broken, true, "nobody", 1, 200, "provider_unreachable", ptrace.StatusCodeError},
		{"an error inside a response", fakeprovider.SSE("data: {\"choices\":[]}\n\n", "data: {\"error\":{\"message\":\"oops\",\"code\":\"overloaded\"}}\n\n", "data: [DONE]\n\n"), true, "nobody", 1,
			200, "provider_error", ptrace.StatusCodeError},
		{"no provider answers", fakeprovider.JSON(200, `{}`).CloseBeforeHead(), false, "nobody", 1, 502, "provider_unreachable", ptrace.StatusCodeError},
		{"no route", fakeprovider.Reply{}, false, "nowhere", 0, 404, "no_route", ptrace.StatusCodeUnset},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serve(t, config)
			s.first.Script(fakeprovider.Always(tc.reply))
			res := s.post(t.Context(), t, sampled, tc.stream, "X-Team", tc.team)
			_, _ = io.Copy(io.Discard, res.Body)
			if res.StatusCode != tc.status {
				t.Errorf("the response is %d", res.StatusCode)
			}
			request, attempts := s.spans(clientTrace)
			checkTree(t, request, attempts, tc.attempts)
			has(t, "the request", request.Attributes(), map[string]any{"error.type": tc.errorType, "http.response.status_code": tc.status})
			checkStatus(t, request, tc.code)
			for _, a := range attempts {
				has(t, "the attempt", a.Attributes(), map[string]any{"error.type": tc.errorType})
				checkStatus(t, a, ptrace.StatusCodeError)
			}
			if strings.Contains(s.text(), "oops") {
				t.Errorf("the provider's text is in the spans: %s", s.text())
			}
		})
	}
}

func TestClientAbort(t *testing.T) {
	for _, stream := range []bool{true, false} {
		t.Run(fmt.Sprint("stream ", stream), func(t *testing.T) {
			s := serve(t, config)
			reply := fakeprovider.ChatStream("model-of-first", answer, nil).HangAfter(2)
			if !stream {
				reply = reply.HangBeforeHead()
			}
			s.first.Script(fakeprovider.Always(reply))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if stream {
				res := s.post(ctx, t, sampled, true)
				if _, err := res.Body.Read(make([]byte, 1)); err != nil {
					t.Fatal(err)
				}
				cancel()
			} else {
				go func() {
					for s.first.Count() == 0 {
						time.Sleep(time.Millisecond)
					}
					cancel()
				}()
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, strings.NewReader(`{"messages":[]}`))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Traceparent", "00-"+clientTrace+"-"+clientSpan+"-"+sampled)
				if _, err := http.DefaultClient.Do(req); !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
			}
			request, attempts := s.spans(clientTrace)
			checkTree(t, request, attempts, 1)
			for _, span := range []ptrace.Span{request, attempts[0]} {
				has(t, span.Name(), span.Attributes(), map[string]any{"error.type": "client_gone", "llm.rule": "both"})
				checkStatus(t, span, ptrace.StatusCodeUnset)
			}
		})
	}
}

// TestContextPassedOn holds that a provider that is to get the context gets the
// attempt's, and no other provider any.
func TestContextPassedOn(t *testing.T) {
	s := serve(t, config)
	s.first.Script(fakeprovider.Always(fakeprovider.JSON(503, `{}`)))
	if got := s.ask(t, "Tracestate", "vendor=1", "Baggage", "who=me"); got != 200 {
		t.Fatal(got)
	}
	_, attempts := s.spans(clientTrace)
	if len(attempts) != 2 {
		t.Fatalf("%d attempts", len(attempts))
	}
	first, second := s.first.Last().Header, s.second.Last().Header
	for _, name := range []string{"Traceparent", "Tracestate", "Baggage"} {
		if got := first.Get(name); got != "" {
			t.Errorf("the first provider got %s %q", name, got)
		}
	}
	if want := "00-" + clientTrace + "-" + attempts[1].SpanID().String() + "-" + sampled; second.Get("Traceparent") != want {
		t.Errorf("the second provider got %q, want %q", second.Get("Traceparent"), want)
	}
	if second.Get("Tracestate") != "vendor=1" || second.Get("Baggage") != "" {
		t.Errorf("the second provider got %v", second)
	}
}

func TestSamplingOff(t *testing.T) {
	for _, tc := range []struct{ name, sampler, flags string }{
		{"by the client", "parentbased_always_on", unsampled},
		{"by the gateway", "always_off", sampled},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serve(t, config, gateway.Env("OTEL_TRACES_SAMPLER", tc.sampler))
			res := s.post(t.Context(), t, tc.flags, true, "X-Team", "second")
			if body, err := io.ReadAll(res.Body); err != nil || !strings.Contains(string(body), "Hello") {
				t.Fatalf("%q %v", body, err)
			}
			// What the provider gets says that nothing is recorded here, with a span of
			// the gateway's.
			got := s.second.Last().Header.Get("Traceparent")
			if !strings.HasPrefix(got, "00-"+clientTrace+"-") || !strings.HasSuffix(got, "-"+unsampled) || strings.Contains(got, clientSpan) {
				t.Errorf("the provider got %q", got)
			}
			s.Stop() // which exports what there is
			for span := range s.all() {
				t.Errorf("there is a span %q", span.Name())
			}
		})
	}
}

// TestWithoutTracing holds that nothing is exported where the directive is not.
func TestWithoutTracing(t *testing.T) {
	before, rest, _ := strings.Cut(config, "\ttracing {")
	_, after, _ := strings.Cut(rest, "\n\t}\n")
	s := serve(t, before+after)
	if got := s.ask(t); got != 200 {
		t.Fatal(got)
	}
	s.Stop()
	if n := s.sink.SpanCount(); n != 0 {
		t.Errorf("there are %d spans", n)
	}
}
