package dialect_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/dialect/chat"
	"github.com/caddy-llm/gateway/llmprovider/dialect/converse"
	"github.com/caddy-llm/gateway/llmprovider/dialect/gemini"
	"github.com/caddy-llm/gateway/llmprovider/dialect/messages"
	"github.com/caddy-llm/gateway/llmprovider/dialect/responses"
)

var (
	clients   = []*dialect.API{chat.API, responses.API, messages.API, gemini.API}
	providers = []*dialect.API{chat.API, responses.API, messages.API, gemini.API, converse.API}
	profiles  = []*dialect.Profile{
		{}, {Reasoning: "budget", CacheControl: true, TopK: true}, {Reasoning: "none", NoSampling: true, NoStrictTools: true},
		{ReasoningName: "reasoning_content", ReplayReasoning: true, NoDeveloper: true, ToolIDLength: 9, MaxTokensName: "max_tokens"},
	}
)

// A request that is valid JSON gives valid JSON for every provider, or a refusal, and
// the same each time.
func FuzzRequests(f *testing.F) {
	for _, seed := range []string{
		`{"model":"x","messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"hi","cache_control":{"type":"ephemeral"}},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}]},{"role":"assistant","content":null,"reasoning_content":"r","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},{"role":"tool","tool_call_id":"c1","content":"r"}],"tools":[{"type":"function","function":{"name":"f","parameters":{}}}],"tool_choice":"auto","stop":["a"],"n":1,"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{}}},"reasoning_effort":"high"}`,
		`{"model":"x","instructions":"i","input":[{"role":"user","content":"hi"},{"type":"reasoning","summary":[{"type":"summary_text","text":"t"}],"encrypted_content":"e"},{"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c1","output":"r"}],"tools":[{"type":"function","name":"f","parameters":{}}],"text":{"format":{"type":"json_object"}}}`,
		`{"model":"x","max_tokens":5,"system":[{"type":"text","text":"s"}],"thinking":{"type":"enabled","budget_tokens":2000},"messages":[{"role":"user","content":[{"type":"document","source":{"type":"text","media_type":"text/plain","data":"d"},"title":"t"}]},{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"s"},{"type":"tool_use","id":"t1","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":"r"}],"is_error":true}]}],"tools":[{"name":"f","input_schema":{}}],"tool_choice":{"type":"any"}}`,
		`{"system_instruction":{"parts":[{"text":"s"}]},"contents":[{"parts":[{"text":"hi"},{"inlineData":{"mimeType":"image/png","data":"AA=="}}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{}},"thoughtSignature":"s"}]},{"parts":[{"functionResponse":{"name":"f","response":{"output":"r"}}}]}],"generationConfig":{"thinkingConfig":{"thinkingBudget":5},"responseSchema":{"type":"OBJECT","nullable":true}},"tools":[{"functionDeclarations":[{"name":"f","parameters":{"type":"OBJECT"}}]}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) == 0 || !jsonscan.Object(body, func(_, _ []byte) {}) || !utf8.Valid(body) || bytes.Count(body, []byte{'['})+bytes.Count(body, []byte{'{'}) > 2000 {
			return // the gateway rejects it before
		}
		for _, from := range clients {
			r, refused := dialect.Read(from, body, dialect.Call{})
			if refused != nil {
				checkRefusal(t, refused.Message, body)
				continue
			}
			for _, to := range providers {
				for _, profile := range profiles {
					target := dialect.Target{Model: "m", Stream: r.Stream, Profile: profile, Vendor: "anthropic"}
					out, refused := dialect.Translate(r, to, target)
					if refused != nil {
						checkRefusal(t, refused.Message, body)
						continue
					}
					if !json.Valid(out.Body) {
						t.Fatalf("%s to %s: %q is written as %q", from.Name, to.Name, body, out.Body)
					}
					again, _ := dialect.Translate(r, to, target)
					if again == nil || !bytes.Equal(out.Body, again.Body) || out.Loss != again.Loss {
						t.Fatalf("%s to %s: %q is written in two ways", from.Name, to.Name, body)
					}
				}
			}
		}
	})
}

// checkRefusal holds that an error is whole.
func checkRefusal(t *testing.T, message string, body []byte) {
	t.Helper()
	if message == "" || len(message) > 1000 {
		t.Fatalf("%q is refused with %q", body, message)
	}
}

// Whatever a provider sends, every client gets a document or a stream of its API, the
// same wherever it was cut, and nothing ends as complete after a failure.
func FuzzResponses(f *testing.F) {
	for _, seed := range []string{
		`{"id":"x","choices":[{"index":0,"message":{"content":"a","tool_calls":[{"id":"c","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}`,
		`{"id":"r","status":"completed","output":[{"type":"reasoning","summary":[{"text":"t"}],"encrypted_content":"e"},{"type":"message","content":[{"type":"output_text","text":"a"}]},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}]}`,
		`{"id":"m","content":[{"type":"thinking","thinking":"t","signature":"s"},{"type":"text","text":"a"},{"type":"tool_use","id":"c","name":"f","input":{}}],"stop_reason":"end_turn","usage":{"input_tokens":1}}`,
		`{"candidates":[{"content":{"parts":[{"text":"t","thought":true},{"functionCall":{"name":"f"},"thoughtSignature":"s"}]},"finishReason":"STOP"}]}`,
		`{"output":{"message":{"content":[{"text":"a"},{"toolUse":{"toolUseId":"c","name":"f","input":{}}}]}},"stopReason":"end_turn"}`,
		"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
		"event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\",\"output_index\":0,\"item\":{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\"}}\n\ndata: {\"type\":\"response.completed\",\"response\":{\"status\":\"completed\"}}\n\n",
		"data: {\"type\":\"message_start\",\"message\":{}}\n\ndata: {\"type\":\"content_block_start\",\"content_block\":{\"type\":\"text\"}}\n\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"x\"}}\n\ndata: {\"type\":\"message_stop\"}\n\n",
		"data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]},\"finishReason\":\"STOP\"}]}\n\n", `{"error":{"message":"x","code":429}}`, "<html>",
	} {
		f.Add([]byte(seed), uint8(7))
	}
	f.Fuzz(func(t *testing.T, body []byte, cut uint8) {
		for _, from := range providers {
			for _, to := range clients {
				for _, stream := range []bool{false, true} {
					o := dialect.ResponseOptions{Request: &dialect.Request{API: to, StreamUsage: true}, Model: "m", Stream: stream, Vendor: "anthropic", ID: "x"}
					out := through(t, from, to, o, string(body), len(body)+1)
					if again := through(t, from, to, o, string(body), int(cut)%16+1); again != out {
						t.Fatalf("%s to %s: %q gives %q at once and %q in pieces", from.Name, to.Name, body, out, again)
					}
					if !utf8.Valid(body) {
						continue
					}
					if !stream {
						if !json.Valid([]byte(out)) {
							t.Fatalf("%s to %s: %q gives %q", from.Name, to.Name, body, out)
						}
						continue
					}
					checkStream(t, from, to, body, out)
				}
			}
		}
	})
}

// checkStream holds that a stream is one of the API's, and ends in one way.
func checkStream(t *testing.T, from, to *dialect.API, body []byte, out string) {
	t.Helper()
	ends, failures := 0, 0
	for event := range strings.SplitSeq(strings.TrimSuffix(out, "\n\n"), "\n\n") {
		for line := range strings.SplitSeq(event, "\n") {
			data, ok := strings.CutPrefix(line, "data: ")
			switch {
			case data == "[DONE]", strings.Contains(line, `"type":"message_stop"`), strings.Contains(line, `"type":"response.completed"`),
				strings.Contains(line, `"type":"response.incomplete"`), to == gemini.API && strings.Contains(line, `"finishReason"`):
				ends++
			case ok && (strings.HasPrefix(data, `{"error"`) || strings.HasPrefix(data, `{"type":"error"`)):
				failures++
			}
			if ok && data != "[DONE]" && !json.Valid([]byte(data)) {
				t.Fatalf("%s to %s: %q gives %q", from.Name, to.Name, body, line)
			}
		}
	}
	if candidates := to == gemini.API && ends >= 1 && failures == 0; ends+failures != 1 && !candidates {
		t.Fatalf("%s to %s: %q ends %d times and fails %d times: %q", from.Name, to.Name, body, ends, failures, out)
	}
}
