package dialect_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/dialect/chat"
	"github.com/caddy-llm/gateway/llmprovider/dialect/converse"
	"github.com/caddy-llm/gateway/llmprovider/dialect/gemini"
	"github.com/caddy-llm/gateway/llmprovider/dialect/messages"
	"github.com/caddy-llm/gateway/llmprovider/dialect/responses"
)

// mistyped returns a document with each of its values, one after the other, replaced by
// values of all types.
func mistyped(document string) []string {
	var out []string
	var walk func(value []byte, before, after string)
	walk = func(value []byte, before, after string) {
		for _, other := range []string{"null", "true", "-7.5e300", `"x"`, `[]`, `{}`, `[[{}]]`} {
			out = append(out, before+other+after)
		}
		at := func(inner []byte) int { return cap(value) - cap(inner) }
		each := func(inner []byte) {
			i := at(inner)
			walk(inner, before+string(value[:i]), string(value[i+len(inner):])+after)
		}
		switch value[0] {
		case '{':
			for _, v := range jsonscan.Members(value) {
				each(v)
			}
		case '[':
			for v := range jsonscan.Elements(value) {
				each(v)
			}
		}
	}
	walk([]byte(document), "", "")
	return out
}

// wholes are responses with reasoning, text and a call.
var wholes = map[*dialect.API]string{
	chat.API:      `{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"a","reasoning_content":"t","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":1}}}`,
	responses.API: `{"id":"r","status":"completed","output":[{"type":"reasoning","summary":[{"type":"summary_text","text":"t"}],"encrypted_content":"e"},{"type":"message","content":[{"type":"output_text","text":"a"}]},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}],"usage":{"input_tokens":1,"output_tokens":2}}`,
	messages.API:  `{"id":"m","type":"message","content":[{"type":"thinking","thinking":"t","signature":"s"},{"type":"text","text":"a"},{"type":"tool_use","id":"c","name":"f","input":{}}],"stop_reason":"tool_use","usage":{"input_tokens":1,"output_tokens":2}}`,
	gemini.API:    `{"candidates":[{"content":{"parts":[{"text":"t","thought":true},{"text":"a"},{"functionCall":{"name":"f","args":{}},"thoughtSignature":"s"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":2}}`,
	converse.API:  `{"output":{"message":{"content":[{"reasoningContent":{"reasoningText":{"text":"t","signature":"s"}}},{"text":"a"},{"toolUse":{"toolUseId":"c","name":"f","input":{}}}]}},"stopReason":"tool_use","usage":{"inputTokens":1,"outputTokens":2}}`,
}

// A provider whose values have other types than its API documents, whichever they are,
// gives a document or a stream of the client's API all the same, which is the same in
// pieces and ends once: as complete or with an error.
func TestWrongTypes(t *testing.T) {
	for from, whole := range wholes {
		for _, document := range mistyped(whole) {
			if !json.Valid([]byte(document)) {
				t.Fatalf("the test makes %s", document)
			}
			for _, to := range clients {
				o := dialect.ResponseOptions{Request: &dialect.Request{API: to}, Model: "m", Vendor: "anthropic", ID: "x"}
				out := through(t, from, to, o, document, len(document))
				if !json.Valid([]byte(out)) || out != through(t, from, to, o, document, 13) {
					t.Fatalf("%s to %s: %s gives %s", from.Name, to.Name, document, out)
				}
			}
		}
	}
	for from, stream := range wholeStreams(t) {
		if from == converse.API {
			continue // its payloads are in frames; see TestWrongTypesInFrames
		}
		events := strings.SplitAfter(stream, "\n\n")
		for i, e := range events {
			head, data, ok := strings.Cut(strings.TrimSuffix(e, "\n\n"), "data: ")
			if !ok || !json.Valid([]byte(data)) {
				continue
			}
			for _, document := range mistyped(data) {
				in := strings.Join(events[:i], "") + head + "data: " + document + "\n\n" + strings.Join(events[i+1:], "")
				checkTypes(t, from, in)
			}
		}
	}
}

// The same, in the frames of Amazon's stream.
func TestWrongTypesInFrames(t *testing.T) {
	events := [][2]string{
		{"messageStart", `{"role":"assistant"}`}, {"contentBlockDelta", `{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"t"}}}`}, {"contentBlockDelta", `{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"s"}}}`},
		{"contentBlockStop", `{"contentBlockIndex":0}`}, {"contentBlockDelta", `{"contentBlockIndex":1,"delta":{"text":"a"}}`}, {"contentBlockStop", `{"contentBlockIndex":1}`},
		{"contentBlockStart", `{"contentBlockIndex":2,"start":{"toolUse":{"toolUseId":"c","name":"f"}}}`}, {"contentBlockDelta", `{"contentBlockIndex":2,"delta":{"toolUse":{"input":"{}"}}}`}, {"contentBlockStop", `{"contentBlockIndex":2}`},
		{"messageStop", `{"stopReason":"tool_use"}`}, {"metadata", `{"usage":{"inputTokens":1,"outputTokens":2}}`},
	}
	for i := range events {
		for _, document := range mistyped(events[i][1]) {
			var in strings.Builder
			for n, e := range events {
				if n == i {
					e[1] = document
				}
				in.WriteString(frame(t, "event", e[0], e[1]))
			}
			checkTypes(t, converse.API, in.String())
		}
	}
}

func checkTypes(t *testing.T, from *dialect.API, in string) {
	t.Helper()
	for _, to := range clients {
		o := dialect.ResponseOptions{Request: &dialect.Request{API: to, StreamUsage: true}, Model: "m", Stream: true, Vendor: "anthropic", ID: "x"}
		out := through(t, from, to, o, in, len(in))
		if out != through(t, from, to, o, in, 13) {
			t.Fatalf("%s to %s: %s is another in pieces", from.Name, to.Name, in)
		}
		checkStream(t, from, to, []byte(in), out)
	}
}
