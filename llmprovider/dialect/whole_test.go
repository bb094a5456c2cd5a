package dialect_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/dialect/chat"
	"github.com/caddy-llm/gateway/llmprovider/dialect/converse"
	"github.com/caddy-llm/gateway/llmprovider/dialect/gemini"
	"github.com/caddy-llm/gateway/llmprovider/dialect/messages"
	"github.com/caddy-llm/gateway/llmprovider/dialect/responses"
)

// heard returns a response's events in words, with the pieces of a part joined, and
// without its id.
func heard(t *testing.T, api *dialect.API, stream bool, body string) string {
	t.Helper()
	var out strings.Builder
	text, state := "", ""
	take := func(e *dialect.Event) error {
		carrier := func(c dialect.Carrier) string {
			if c.Empty() {
				return ""
			}
			return c.Vendor + ":" + string(c.Value)
		}
		switch e.Kind {
		case dialect.Open:
			text, state = "", ""
			fmt.Fprintf(&out, "open %d.%d %s %s %v %s %s\n", e.Choice, e.Part, e.ID, e.Name, e.Custom, carrier(e.Signature), carrier(e.Data))
		case dialect.Delta:
			text += string(e.Text)
			if c := carrier(e.Signature); c != "" {
				state = c
			}
		case dialect.Close:
			fmt.Fprintf(&out, "  %s %s\n", text, state)
		case dialect.Finish:
			fmt.Fprintf(&out, "finish %d %s %s %s\n", e.Choice, e.Reason, e.StopText, e.Detail)
		case dialect.Failure:
			fmt.Fprintf(&out, "failed: %s %s\n", e.Err.Code, e.Err.Message)
		}
		return nil
	}
	r := api.NewResponseReader(dialect.ResponseOptions{Stream: stream, Vendor: messages.Vendor, ID: "own", Kept: dialect.Kept{Custom: map[string]bool{"free": true}}})
	if err := r.Read([]byte(body), take); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(take); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// A response says the same, whether it comes whole or as a stream: each case is a
// response and the same one in events.
func TestWholeAndStreamedResponsesSayTheSame(t *testing.T) {
	block := func(start string, deltas ...string) string {
		text := typed(`{"type":"content_block_start","content_block":` + start + `}`)
		for _, d := range deltas {
			text += typed(`{"type":"content_block_delta","delta":` + d + `}`)
		}
		return text + typed(`{"type":"content_block_stop"}`)
	}
	frames := func(pairs ...string) string {
		text := ""
		for i := 0; i < len(pairs); i += 2 {
			text += frame(t, "event", pairs[i], pairs[i+1])
		}
		return text
	}
	for _, tc := range []struct {
		name          string
		api           *dialect.API
		whole, stream string
	}{
		{
			"text and calls, one with the state of Google's model, one without an id", chat.API,
			`{"id":"chatcmpl-7","choices":[{"message":{"content":"a","tool_calls":[{"id":"c","extra_content":{"google":{"thought_signature":"SIG"}},"function":{"name":"f","arguments":"{}"}},{"function":{"name":"g","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}`,
			event("", `{"id":"chatcmpl-7","choices":[{"index":0,"delta":{"content":"a"}}]}`) +
				event("", `{"id":"chatcmpl-7","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","extra_content":{"google":{"thought_signature":"SIG"}},"function":{"name":"f","arguments":"{}"}}]}}]}`) +
				event("", `{"id":"chatcmpl-7","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"function":{"name":"g","arguments":"{}"}}]}}]}`) +
				event("", `{"id":"chatcmpl-7","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}`),
		},
		{
			"reasoning, a refusal and a stop sequence", chat.API,
			`{"choices":[{"message":{"reasoning_content":"why","content":"a","refusal":"no"},"finish_reason":"stop","stop_reason":"END"}]}`,
			chunk(`"reasoning_content":"w"`, "null") + chunk(`"reasoning_content":"hy"`, "null") + chunk(`"content":"a"`, "null") + chunk(`"refusal":"no"`, "null") +
				event("", `{"choices":[{"index":0,"delta":{},"finish_reason":"stop","stop_reason":"END"}]}`),
		},
		{
			"signed and encrypted reasoning of gateways", chat.API,
			`{"choices":[{"message":{"reasoning_content":"why","thinking_blocks":[{"type":"thinking","thinking":"why","signature":"SIG"},{"type":"redacted_thinking","data":"DATA"}],"content":"a"},"finish_reason":"stop"}]}`,
			chunk(`"reasoning_content":"why","thinking_blocks":[{"type":"thinking","thinking":"why","signature":"SIG"}]`, "null") +
				chunk(`"thinking_blocks":[{"type":"redacted_thinking","data":"DATA"}]`, "null") + chunk(`"content":"a"`, "null") + chunk("", "stop"),
		},
		{
			"a function as before tools, and a tool with free text", chat.API,
			`{"id":"x","choices":[{"message":{"tool_calls":[{"id":"c","type":"custom","custom":{"name":"free","input":"go"}}],"function_call":{"name":"f","arguments":"{}"}},"finish_reason":"stop"}]}`,
			chunk(`"tool_calls":[{"index":0,"id":"c","type":"custom","custom":{"name":"free","input":"go"}}],"function_call":{"name":"f","arguments":"{}"}`, "null") + chunk("", "stop"),
		},
		{
			"every block", messages.API,
			`{"id":"m","content":[{"type":"thinking","thinking":"why","signature":"SIG"},{"type":"redacted_thinking","data":"DATA"},{"type":"text","text":"ab"},{"type":"tool_use","id":"c","name":"f","input":{"a":1}},{"type":"tool_use","id":"d","name":"free","input":{"input":"go"}}],"stop_reason":"refusal","stop_details":{"explanation":"no"}}`,
			typed(`{"type":"message_start","message":{"id":"m"}}`) +
				block(`{"type":"thinking","thinking":""}`, `{"type":"thinking_delta","thinking":"why"}`, `{"type":"signature_delta","signature":"SIG"}`) + block(`{"type":"redacted_thinking","data":"DATA"}`) +
				block(`{"type":"text","text":""}`, `{"type":"text_delta","text":"a"}`, `{"type":"text_delta","text":"b"}`) +
				block(`{"type":"tool_use","id":"c","name":"f","input":{}}`, `{"type":"input_json_delta","partial_json":"{\"a\""}`, `{"type":"input_json_delta","partial_json":":1}"}`) +
				block(`{"type":"tool_use","id":"d","name":"free","input":{}}`, `{"type":"input_json_delta","partial_json":"{\"input\":\"go\"}"}`) +
				typed(`{"type":"message_delta","delta":{"stop_reason":"refusal","stop_details":{"explanation":"no"}}}`) + typed(`{"type":"message_stop"}`),
		},
		{
			"every item", responses.API,
			`{"id":"r","status":"completed","output":[{"type":"reasoning","summary":[{"type":"summary_text","text":"why"}],"encrypted_content":"ENC"},{"type":"message","content":[{"type":"output_text","text":"a"}]},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"custom_tool_call","call_id":"d","name":"free","input":"go"}]}`,
			typed(`{"type":"response.created","response":{"id":"r"}}`) + typed(`{"type":"response.output_item.added","output_index":0,"item":{"type":"reasoning","summary":[]}}`) +
				typed(`{"type":"response.reasoning_summary_text.delta","output_index":0,"delta":"why"}`) + typed(`{"type":"response.output_item.done","output_index":0,"item":{"type":"reasoning","encrypted_content":"ENC"}}`) +
				typed(`{"type":"response.output_text.delta","output_index":1,"delta":"a"}`) + typed(`{"type":"response.output_item.done","output_index":1,"item":{"type":"message"}}`) +
				typed(`{"type":"response.output_item.added","output_index":2,"item":{"type":"function_call","call_id":"c","name":"f","arguments":""}}`) +
				typed(`{"type":"response.function_call_arguments.delta","output_index":2,"delta":"{}"}`) + typed(`{"type":"response.output_item.done","output_index":2,"item":{"type":"function_call","arguments":"{}"}}`) +
				typed(`{"type":"response.output_item.added","output_index":3,"item":{"type":"custom_tool_call","call_id":"d","name":"free","input":""}}`) +
				typed(`{"type":"response.custom_tool_call_input.delta","output_index":3,"delta":"go"}`) + typed(`{"type":"response.output_item.done","output_index":3,"item":{"type":"custom_tool_call","input":"go"}}`) +
				typed(`{"type":"response.completed","response":{"id":"r","status":"completed"}}`),
		},
		{
			"every part", gemini.API,
			`{"responseId":"g","candidates":[{"content":{"parts":[{"text":"why","thought":true},{"text":"ab"},{"functionCall":{"name":"f","args":{"a":1}},"thoughtSignature":"SIG"},{"functionCall":{"id":"d","name":"free","args":{"input":"go"}}}]},"finishReason":"STOP"}]}`,
			event("", `{"responseId":"g","candidates":[{"content":{"parts":[{"text":"why","thought":true}]}}]}`) + event("", `{"responseId":"g","candidates":[{"content":{"parts":[{"text":"a"}]}}]}`) +
				event("", `{"response_id":"g","candidates":[{"content":{"parts":[{"text":"b"}]}}]}`) +
				event("", `{"candidates":[{"content":{"parts":[{"function_call":{"name":"f","args":{"a":1}},"thought_signature":"SIG"}]}}]}`) +
				event("", `{"candidates":[{"content":{"parts":[{"functionCall":{"id":"d","name":"free","args":{"input":"go"}}}]},"finish_reason":"STOP"}]}`),
		},
		{
			"every block of Converse", converse.API,
			`{"output":{"message":{"content":[{"reasoningContent":{"reasoningText":{"text":"why","signature":"SIG"}}},{"text":"a"},{"toolUse":{"toolUseId":"c","name":"f","input":{"a":1}}}]}},"stopReason":"tool_use","usage":{"inputTokens":1,"outputTokens":2}}`,
			frames("messageStart", `{"role":"assistant"}`,
				"contentBlockDelta", `{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"why"}}}`, "contentBlockDelta", `{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"SIG"}}}`, "contentBlockStop", `{"contentBlockIndex":0}`,
				"contentBlockDelta", `{"contentBlockIndex":1,"delta":{"text":"a"}}`, "contentBlockStop", `{"contentBlockIndex":1}`,
				"contentBlockStart", `{"contentBlockIndex":2,"start":{"toolUse":{"toolUseId":"c","name":"f"}}}`, "contentBlockDelta", `{"contentBlockIndex":2,"delta":{"toolUse":{"input":"{\"a\":1}"}}}`, "contentBlockStop", `{"contentBlockIndex":2}`,
				"messageStop", `{"stopReason":"tool_use"}`, "metadata", `{"usage":{"inputTokens":1,"outputTokens":2}}`),
		},
	} {
		t.Run(tc.api.Name+", "+tc.name, func(t *testing.T) {
			whole, stream := heard(t, tc.api, false, tc.whole), heard(t, tc.api, true, tc.stream)
			if whole != stream || strings.Contains(whole, "failed") {
				t.Errorf("whole:\n%s\nstreamed:\n%s", whole, stream)
			}
		})
	}
}

// callIDs returns the ids of a response's calls.
func callIDs(t *testing.T, body string) []string {
	t.Helper()
	var message struct {
		Content []struct{ Type, ID string }
	}
	if err := json.Unmarshal([]byte(body), &message); err != nil {
		t.Fatal(err, body)
	}
	var ids []string
	for _, b := range message.Content {
		if b.Type == "tool_use" {
			ids = append(ids, b.ID)
		}
	}
	return ids
}

// Calls to which a provider gives no ids get ones that no other response of the
// conversation has, whether or not the provider names its responses.
func TestCallsWithoutIDs(t *testing.T) {
	seen := make(map[string]bool)
	for i, own := range []string{"A", "B", "C", "D"} {
		for _, id := range []string{"", fmt.Sprintf("chatcmpl-%d", i), strings.Repeat("x", 300) + own} {
			for api, body := range map[*dialect.API]string{
				chat.API:   `{"id":"` + id + `","choices":[{"message":{"tool_calls":[{"function":{"name":"f","arguments":"{}"}},{"function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}`,
				gemini.API: `{"responseId":"g` + id + `","candidates":[{"content":{"parts":[{"functionCall":{"name":"f"}},{"functionCall":{"name":"f"}}]},"finishReason":"STOP"}]}`,
			} {
				if id == "" {
					body = strings.Replace(body, `"responseId":"g",`, "", 1)
				}
				o := dialect.ResponseOptions{Request: &dialect.Request{API: messages.API}, ID: api.Name + own, Model: "m"}
				ids := callIDs(t, through(t, api, messages.API, o, body, len(body)))
				if len(ids) != 2 {
					t.Fatal(api.Name, ids)
				}
				for _, id := range ids {
					if seen[id] || len(id) > 64 {
						t.Errorf("%s: the id %s, of %d bytes, is not unique", api.Name, id, len(id))
					}
					seen[id] = true
				}
			}
		}
	}
}
