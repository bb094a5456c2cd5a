package dialect_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"

	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/dialect/chat"
	"github.com/caddy-llm/gateway/llmprovider/dialect/converse"
	"github.com/caddy-llm/gateway/llmprovider/dialect/messages"
)

// frame is a message of AWS's event stream.
func frame(t *testing.T, kind, name, payload string) string {
	t.Helper()
	var out bytes.Buffer
	m := eventstream.Message{Payload: []byte(payload)}
	m.Headers.Set(":message-type", eventstream.StringValue(kind))
	m.Headers.Set(":"+kind+"-type", eventstream.StringValue(name))
	m.Headers.Set(":content-type", eventstream.StringValue("application/json"))
	if err := eventstream.NewEncoder().Encode(&out, m); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestConverseStreams(t *testing.T) {
	event := func(name, payload string) string { return frame(t, "event", name, payload) }
	begin := event("messageStart", `{"role":"assistant","p":"abc"}`) +
		event("contentBlockDelta", `{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"why"}}}`) +
		event("contentBlockDelta", `{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"c2ln"}}}`) +
		event("contentBlockStop", `{"contentBlockIndex":0}`) +
		event("contentBlockDelta", `{"contentBlockIndex":1,"delta":{"text":"h\u00e9"}}`) + // its stop is missing
		event("contentBlockStart", `{"contentBlockIndex":2,"start":{"toolUse":{"toolUseId":"c1","name":"f"}}}`) +
		event("contentBlockDelta", `{"contentBlockIndex":2,"delta":{"toolUse":{"input":"{\"a\""}}}`) +
		event("contentBlockDelta", `{"contentBlockIndex":2,"delta":{"toolUse":{"input":":1}"}}}`) +
		event("contentBlockStop", `{"contentBlockIndex":2}`)
	whole := begin + event("messageStop", `{"stopReason":"tool_use"}`) + event("metadata", `{"usage":{"inputTokens":5,"outputTokens":4,"cacheReadInputTokens":3,"cacheWriteInputTokens":2},"metrics":{"latencyMs":1}}`)
	for _, tc := range []struct{ name, in, ends, has string }{
		{"whole", whole, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", `"usage":{"input_tokens":5,"cache_creation_input_tokens":2,"cache_read_input_tokens":3,"output_tokens":4}`},
		{"cut short", begin, "\n\n", `"type":"error"`},
		{"an exception", begin + frame(t, "exception", "throttlingException", `{"message":"slow down"}`), "\n\n", `{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}`},
		{"a wrong sum", begin[:len(begin)-1] + "x" + whole[len(begin):], "\n\n", `"type":"error"`},
		{"no frames", "HTTP/1.1 400", "\n\n", `"type":"error"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := dialect.ResponseOptions{Request: &dialect.Request{API: messages.API}, Model: "asked", Stream: true, Vendor: "anthropic", ID: "r1"}
			first := through(t, converse.API, messages.API, o, tc.in, len(tc.in))
			if !strings.HasSuffix(first, tc.ends) || !strings.Contains(first, tc.has) || tc.name != "whole" && strings.Contains(first, "message_stop") {
				t.Fatalf("got %s", first)
			}
			if tc.name == "whole" && strings.Count(first, `"content_block_stop"`) != 3 {
				t.Fatalf("got %s", first)
			}
			for n := 1; n < len(tc.in); n++ {
				if got := through(t, converse.API, messages.API, o, tc.in, n); got != first {
					t.Fatalf("in pieces of %d: got %s", n, got)
				}
			}
		})
	}
}

func TestConverseRequests(t *testing.T) {
	const in = `{"messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"hi"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}},{"type":"file","file":{"file_data":"data:application/pdf;base64,AA==","filename":"a_b.pdf"}}]},` +
		`{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\": 1.0}"}}]},{"role":"tool","tool_call_id":"c1","content":"r1"},{"role":"user","content":"next"}],` +
		`"temperature":0,"stop":["x"],"max_tokens":9,"tool_choice":"none","response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"z":1}}}}`
	const want = `{"inferenceConfig":{"maxTokens":9,"temperature":0,"stopSequences":["x"]},"outputConfig":{"textFormat":{"type":"json_schema","structure":{"jsonSchema":{"schema":"{\"z\":1}","name":"n"}}}},` +
		`"toolConfig":{"tools":[{"toolSpec":{"name":"f","inputSchema":{"json":{"type":"object"}}}}]},"system":[{"text":"s"}],"messages":[{"role":"user","content":[{"text":"hi"},{"image":{"format":"png","source":{"bytes":"AA=="}}},{"document":{"format":"pdf","name":"a b","source":{"bytes":"AA=="}}}]},` +
		`{"role":"assistant","content":[{"toolUse":{"toolUseId":"c1","name":"f","input":{"a": 1.0}}}]},{"role":"user","content":[{"toolResult":{"toolUseId":"c1","content":[{"text":"r1"}]}},{"text":"next"}]}]}`
	r, err := dialect.Read(chat.API, []byte(in), dialect.Call{})
	if err != nil {
		t.Fatal(err)
	}
	out, err := dialect.Translate(r, converse.API, dialect.Target{Model: "m"})
	if err != nil {
		t.Fatal(err)
	}
	if string(out.Body) != want {
		t.Errorf("got  %s\nwant %s", out.Body, want)
	}
	if got := strings.Join(out.Loss.Fields(chat.API, dialect.Approximated), " "); got != "tool_choice tools" {
		t.Errorf("approximated %s", got)
	}
}

func TestConverseWhole(t *testing.T) {
	const in = `{"metrics":{"latencyMs":1},"output":{"message":{"content":[{"reasoningContent":{"reasoningText":{"text":"why","signature":"c2ln"}}},{"text":"ok"},{"toolUse":{"input":{"a":1e3},"name":"f","toolUseId":"c1"}}],"role":"assistant"}},"stopReason":"tool_use","usage":{"inputTokens":5,"outputTokens":4,"totalTokens":9}}`
	const want = `{"id":"msg_r1","type":"message","role":"assistant","model":"asked","content":[{"type":"thinking","thinking":"why","signature":"c2ln"},{"type":"text","text":"ok"},{"type":"tool_use","id":"c1","name":"f","input":{"a":1e3}}],` +
		`"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":5,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":4}}`
	o := dialect.ResponseOptions{Request: &dialect.Request{API: messages.API}, Model: "asked", Vendor: "anthropic", ID: "r1"}
	if got := through(t, converse.API, messages.API, o, in, 7); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
