package tap

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider"
)

func TestFirstContent(t *testing.T) {
	for _, test := range []struct {
		name, none, first string
	}{
		{"text", event(`{"choices":[{"delta":{"role":"assistant","content":""}}]}`), event(chunkContent)},
		{"after comments", ": keep-alive\n\n: content\n\n", event(chunkContent)},
		{"after Azure's filter results", event(`{"choices":[],"prompt_filter_results":[{"x":1}]}`), event(chunkContent)},
		{"reasoning", event(`{"choices":[{"delta":{"role":"assistant","content":null,"reasoning_content":""}}]}`), event(`{"choices":[{"delta":{"content":null,"reasoning_content":"so"}}]}`)},
		{"a tool call", event(`{"choices":[{"delta":{"role":"assistant","tool_calls":[],"audio":{}}}]}`), event(`{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}`)},
		{"of another choice", event(`{"choices":[{"delta":{}},{"delta":{"role":"assistant"}}]}`), event(`{"choices":[{"delta":{}},{"index":1,"delta":{"content":"x"}}]}`)},
		{"a completion", event(`{"choices":[{"text":""}]}`), event(`{"choices":[{"text":"x"}]}`)},
		{"a response", event(`{"type":"response.created","response":{}}`) + event(`{"type":"response.in_progress"}`) + event(`{"type":"response.output_item.added","item":{}}`), event(`{"type":"response.output_text.delta","delta":"x"}`)},
		{"a long response.created", event(`{"type":"response.created","response":{"instructions":"` + strings.Repeat("x", maxHeld) + `"}}`), event(`{"type":"response.reasoning_summary_text.delta"}`)},
		{"a response that has no deltas", event(`{"type":"response.created"}`), event(`{"type":"response.completed","response":{}}`)},
		{"a transcription", event(`{"type":"x"}`), event(`{"type":"transcript.text.delta"}`)},
		{"an image", event(`{"type":"ping"}`), event(`{"type":"image_generation.partial_image"}`)},
		{"what is not known", event(`{"usage":{"prompt_tokens":1},"choices":[]}`) + event(`{"error":{"x":1}}`), event(`{"token":{"text":"x"}}`)},
		{"no content at all", event(`{"choices":[{"delta":{"role":"assistant"}}]}`) + event(chunkFinish) + event(chunkUsage) + event("[DONE]"), ""},
	} {
		tap := eventTap{usage: new(usageReader), hide: true}
		for _, p := range []byte(test.none) {
			_ = tap.write([]byte{p}, discard)
		}
		if tap.content {
			t.Errorf("%s: content was seen before it came", test.name)
		}
		_ = tap.write([]byte(test.first), discard)
		if tap.content != (test.first != "") {
			t.Errorf("%s: content seen is %v", test.name, tap.content)
		}
	}
}

func TestUnfinished(t *testing.T) {
	responses := event(`{"type":"response.created","response":{}}`) + event(`{"type":"response.output_text.delta","delta":"x"}`)
	transcript := event(`{"type":"transcript.text.delta","delta":"x"}`)
	for _, test := range []struct {
		name      string
		operation llmprovider.Operation
		media     string
		body      string
		want      bool
	}{
		{"[DONE]", llmprovider.Chat, "text/event-stream", event(chunkContent) + event("[DONE]"), false},
		{"a finish reason", llmprovider.Chat, "text/event-stream", event(chunkContent) + event(chunkFinish), false},
		{"a finish reason without a blank line", llmprovider.Chat, "text/event-stream", event(chunkContent) + "data: " + chunkFinish, false},
		{"no finish reason", llmprovider.Chat, "text/event-stream", event(chunkContent), true},
		{"cut inside an event", llmprovider.Chat, "text/event-stream", event(chunkContent) + "data: {", true},
		{"nothing", llmprovider.Chat, "text/event-stream", "", true},
		{"an error", llmprovider.Chat, "text/event-stream", event(chunkContent) + event(`{"error":{"message":"x"}}`), false},
		{"a response", llmprovider.Responses, "text/event-stream", responses + event(`{"type":"response.completed","response":{}}`), false},
		{"part of a response", llmprovider.Responses, "text/event-stream", responses, true},
		{"a transcript", llmprovider.Audio, "text/event-stream", transcript + event(`{"type":"transcript.text.done","text":"x"}`), false},
		{"part of a transcript", llmprovider.Audio, "text/event-stream", transcript, true},
		{"another provider's transcript", llmprovider.Audio, "text/event-stream", event(`{"text":"x"}`) + event(`{"text":"y"}`), false},
		{"part of another provider's transcript", llmprovider.Audio, "text/event-stream", event(`{"text":"x"}`) + `data: {"te`, true},
		{"an image", llmprovider.Images, "text/event-stream", event(`{"type":"image_generation.partial_image"}`) + event(`{"type":"image_generation.completed"}`), false},
		{"a document", llmprovider.Chat, "application/json", `{"a":[1]}`, false},
		{"part of a document", llmprovider.Chat, "application/json", `{"a":[1]`, true},
		{"part of a text", llmprovider.Chat, "application/json", `{"a":"`, true},
		{"no document", llmprovider.Chat, "application/json", "", false},
		{"text", llmprovider.Audio, "text/plain", "a transcript", false},
	} {
		a := &llmprovider.Attempt{Endpoint: llmprovider.Endpoint{Operation: test.operation}}
		r := NewReader(a, &http.Response{Header: http.Header{"Content-Type": {test.media}}}, test.media == "text/event-stream")
		readAnswer(t, r, []byte(test.body), 3)
		if r.Unfinished() != test.want {
			t.Errorf("%s: unfinished is %v, want %v", test.name, r.Unfinished(), test.want)
		}
	}
}

func TestErrorEvents(t *testing.T) {
	err := &llmprovider.Error{Status: 504, Type: llmprovider.TypeServer, Code: "provider_timeout", Message: `a "quoted" message`}
	const nested = `"error":{"message":"a \"quoted\" message","type":"server_error","param":null,"code":"provider_timeout"}}` + "\n\n"
	for _, test := range []struct {
		operation llmprovider.Operation
		stream    string
		want      string
	}{
		{llmprovider.Chat, event(chunkContent), "\n\ndata: {" + nested},
		{llmprovider.TextCompletion, "", "\n\ndata: {" + nested},
		{llmprovider.Responses, ": hello\n\n" + event(`{"type":"response.created"}`) + "event: a\n" + event(`{"type":"a"}`) + "data: {", "\n\nevent: error\ndata: " + `{"type":"error","sequence_number":2,"code":"provider_timeout","message":"a \"quoted\" message","param":null,` + nested},
		{llmprovider.Audio, event(`{"type":"transcript.text.delta"}`), "\n\nevent: error\n" + `data: {"type":"error",` + nested},
	} {
		r := NewReader(&llmprovider.Attempt{Endpoint: llmprovider.Endpoint{Operation: test.operation}}, &http.Response{Header: http.Header{"Content-Type": {"text/event-stream"}}}, true)
		_ = r.Write([]byte(test.stream), discard)
		if got := string(r.ErrorEvent(err)); got != test.want {
			t.Errorf("%s: %q, want %q", test.operation, got, test.want)
		}
	}
}
