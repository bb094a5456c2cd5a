package dialect_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/dialect/chat"
	"github.com/caddy-llm/gateway/llmprovider/dialect/converse"
	"github.com/caddy-llm/gateway/llmprovider/dialect/gemini"
	"github.com/caddy-llm/gateway/llmprovider/dialect/messages"
	"github.com/caddy-llm/gateway/llmprovider/dialect/responses"
)

// agentRequest is a request of 20 KB as coding agents send it, in the API's form: a
// long system prompt, tools, and turns with calls and results.
func agentRequest(api *dialect.API) []byte {
	words := strings.Repeat("You are an agent that edits code; read it first. ", 90)
	schema := `{"type":"object","properties":{"path":{"type":"string","description":"the file's path"},"text":{"type":"string"}},"required":["path"]}`
	var tools, turns []string
	for i := range 12 {
		name := "tool_" + strconv.Itoa(i)
		if api == messages.API {
			tools = append(tools, `{"name":"`+name+`","description":"Does one thing well and another one badly.","input_schema":`+schema+`}`)
		} else {
			tools = append(tools, `{"type":"function","function":{"name":"`+name+`","description":"Does one thing well and another one badly.","parameters":`+schema+`}}`)
		}
	}
	for i := range 18 {
		id, text := "call_"+strconv.Itoa(i), strings.Repeat("func main() {\\n\\tprintln(\\\"x\\\")\\n}\\n", 14)
		if api == messages.API {
			turns = append(turns, `{"role":"assistant","content":[{"type":"text","text":"I read the file."},{"type":"tool_use","id":"`+id+`","name":"tool_1","input":{"path":"main.go"}}]}`,
				`{"role":"user","content":[{"type":"tool_result","tool_use_id":"`+id+`","content":"`+text+`"}]}`)
		} else {
			turns = append(turns, `{"role":"assistant","content":"I read the file.","tool_calls":[{"id":"`+id+`","type":"function","function":{"name":"tool_1","arguments":"{\"path\":\"main.go\"}"}}]}`,
				`{"role":"tool","tool_call_id":"`+id+`","content":"`+text+`"}`)
		}
	}
	if api == messages.API {
		return []byte(`{"model":"m","max_tokens":4096,"stream":true,"system":"` + words + `","tools":[` + strings.Join(tools, ",") + `],"messages":[{"role":"user","content":"go"},` + strings.Join(turns, ",") + `]}`)
	}
	return []byte(`{"model":"m","stream":true,"tools":[` + strings.Join(tools, ",") + `],"messages":[{"role":"system","content":"` + words + `"},{"role":"user","content":"go"},` + strings.Join(turns, ",") + `]}`)
}

// BenchmarkRequest reads and writes a request of 20 KB.
func BenchmarkRequest(b *testing.B) {
	for _, lane := range []struct{ from, to *dialect.API }{
		{messages.API, chat.API}, {chat.API, messages.API}, {messages.API, responses.API}, {chat.API, gemini.API}, {messages.API, converse.API},
	} {
		body := agentRequest(lane.from)
		b.Run(lane.from.Name+" to "+lane.to.Name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				r, err := dialect.Read(lane.from, body, dialect.Call{})
				if err != nil {
					b.Fatal(err)
				}
				if _, err = dialect.Translate(r, lane.to, dialect.Target{Model: "m", Stream: true}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// manyEvents is a stream of n events with text, in the API's form, from its beginning
// on.
func manyEvents(api *dialect.API, n int) (head, one string) {
	switch api {
	case messages.API:
		head = typed(`{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"usage":{"input_tokens":43,"output_tokens":1}}}`) +
			typed(`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`)
		one = typed(`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" some words"}}`)
	case responses.API:
		head = typed(`{"type":"response.created","response":{"id":"resp_1"}}`)
		one = typed(`{"type":"response.output_text.delta","item_id":"msg_1","output_index":0,"content_index":0,"delta":" some words","logprobs":[],"sequence_number":4,"obfuscation":"abcdefg"}`)
	case gemini.API:
		one = event("", `{"candidates":[{"content":{"parts":[{"text":" some words"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":2,"totalTokenCount":7},"modelVersion":"gemini-3-pro","responseId":"abc"}`)
	default:
		one = event("", `{"id":"chatcmpl-abc","object":"chat.completion.chunk","created":1764000000,"model":"m","system_fingerprint":"fp_1","choices":[{"index":0,"delta":{"content":" some words"},"logprobs":null,"finish_reason":null}]}`)
	}
	return head, strings.Repeat(one, n)
}

// BenchmarkEvent translates one event of a stream.
func BenchmarkEvent(b *testing.B) {
	for _, lane := range []struct{ from, to *dialect.API }{
		{chat.API, messages.API}, {messages.API, chat.API}, {chat.API, responses.API}, {responses.API, messages.API}, {gemini.API, chat.API}, {chat.API, gemini.API},
	} {
		head, one := manyEvents(lane.from, 1)
		b.Run(lane.from.Name+" to "+lane.to.Name, func(b *testing.B) {
			piece := []byte(one)
			pass := func([]byte) error { return nil }
			b.ReportAllocs()
			var r *dialect.Response
			for i := 0; b.Loop(); i++ {
				if i%10000 == 0 { // or a response of the whole run would be kept
					r = dialect.NewResponse(lane.from, lane.to, dialect.ResponseOptions{Request: &dialect.Request{API: lane.to}, Stream: true, Model: "asked"})
					r.Head(&llmprovider.Head{Status: http.StatusOK, Header: make(http.Header), Stream: true})
					if err := r.Write([]byte(head), pass); err != nil {
						b.Fatal(err)
					}
				}
				if err := r.Write(piece, pass); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestEventAllocations bounds what one event of a stream allocates.
func TestEventAllocations(t *testing.T) {
	for _, from := range []*dialect.API{chat.API, messages.API, responses.API, gemini.API} {
		for _, to := range clients {
			if from == to {
				continue
			}
			head, one := manyEvents(from, 1)
			r := dialect.NewResponse(from, to, dialect.ResponseOptions{Request: &dialect.Request{API: to}, Stream: true, Model: "asked"})
			r.Head(&llmprovider.Head{Status: http.StatusOK, Header: make(http.Header), Stream: true})
			pass := func([]byte) error { return nil }
			if err := r.Write([]byte(head+one), pass); err != nil {
				t.Fatal(err)
			}
			piece := []byte(one)
			got := testing.AllocsPerRun(200, func() {
				if err := r.Write(piece, pass); err != nil {
					t.Fatal(err)
				}
			})
			if got > 0.5 { // what grows with the response takes some now and then
				t.Errorf("an event from %s to %s takes %v allocations", from.Name, to.Name, got)
			}
		}
	}
}
