package fakeprovider_test

import (
	"bytes"
	"slices"
	"testing"

	fp "github.com/caddy-llm/gateway/integration/fakeprovider"
)

func TestEvents(t *testing.T) {
	for _, tc := range []struct {
		name   string
		stream string
		data   []string // "-" for an event without data
	}{
		{"LF", "data: a\n\ndata: b\n\n", []string{"a", "b"}},
		{"CRLF", "data: a\r\n\r\ndata: b\r\n\r\n", []string{"a", "b"}},
		{"CR", "data: a\r\rdata: b\r\r", []string{"a", "b"}},
		{"mixed", "data: a\r\n\ndata: b\n\r\n", []string{"a", "b"}},
		{"no space", "data:a\n\n", []string{"a"}},
		{"two spaces", "data:  a\n\n", []string{" a"}},
		{"several lines", "data: {\ndata: }\n\n", []string{"{\n}"}},
		{"comment", ": ping\n\ndata: a\n\n", []string{"-", "a"}},
		{"comment inside", "data: a\n: ping\ndata: b\n\n", []string{"a\nb"}},
		{"no blank line at the end", "data: a\n\ndata: b\n", []string{"a", "b"}},
		{"no line end at the end", "data: a\n\ndata: b", []string{"a", "b"}},
		{"byte order mark", "\ufeffdata: a\n\n", []string{"a"}},
		{"other fields", "event: e\nid: 1\nretry: 5\nunknown: x\ndata: a\n\n", []string{"a"}},
		{"name only", "data\n\n", []string{""}},
		{"empty", "", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var data []string
			var raw []byte
			for _, e := range fp.Events([]byte(tc.stream)) {
				raw = append(raw, e.Raw...)
				if e.Data == nil {
					data = append(data, "-")
				} else {
					data = append(data, string(e.Data))
				}
			}
			if !slices.Equal(data, tc.data) {
				t.Errorf("data %q, want %q", data, tc.data)
			}
			if !bytes.Equal(raw, []byte(tc.stream)) {
				t.Errorf("raw %q", raw)
			}
		})
	}
}

func FuzzEvents(f *testing.F) {
	f.Add([]byte("data: a\r\n\r\ndata: b\rdata: c\n\n: x"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		var raw []byte
		for _, e := range fp.Events(stream) {
			raw = append(raw, e.Raw...)
		}
		if !bytes.Equal(raw, stream) {
			t.Errorf("the events do not make up the stream: %q", raw)
		}
	})
}

func TestFindUsage(t *testing.T) {
	const sse = "text/event-stream; charset=utf-8"
	for _, tc := range []struct {
		name, contentType, body string
		want                    *fp.Usage
	}{
		{"chat", "application/json", `{"model":"m","usage":{"prompt_tokens":1,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":3},"completion_tokens_details":{"reasoning_tokens":4}}}`, &fp.Usage{Model: "m", Prompt: 1, Completion: 2, Cached: 3, Reasoning: 4}},
		{"responses", "application/json", `{"model":"m","usage":{"input_tokens":1,"output_tokens":2,"input_tokens_details":{"cached_tokens":3},"output_tokens_details":{"reasoning_tokens":4}}}`, &fp.Usage{Model: "m", Prompt: 1, Completion: 2, Cached: 3, Reasoning: 4}},
		{"embeddings", "application/json", `{"model":"m","usage":{"prompt_tokens":1,"total_tokens":1}}`, &fp.Usage{Model: "m", Prompt: 1}},
		{"null", "application/json", `{"model":"m","usage":null}`, nil},
		{"cut off", "application/json", `{"model":"m","usage":{"prompt_tokens":1,"completion_tokens":2}`, nil},
		{"last of several", sse, "data: {\"model\":\"m\",\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}\n\ndata: {\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":9}}\n\ndata: [DONE]\n\n", &fp.Usage{Model: "m", Prompt: 1, Completion: 9}},
		{"inside a choice", sse, "data: {\"model\":\"m\",\"choices\":[{\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}]}\n\n", &fp.Usage{Model: "m", Prompt: 1, Completion: 2}},
		{"response.completed", sse, "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"model\":\"m\",\"usage\":{\"input_tokens\":1,\"output_tokens\":2}}}\n\n", &fp.Usage{Model: "m", Prompt: 1, Completion: 2}},
		{"event cut off", sse, "data: {\"model\":\"m\",\"usage\":{\"prompt_tokens\":1", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := fp.FindUsage(tc.contentType, []byte(tc.body))
			if (got == nil) != (tc.want == nil) || got != nil && *got != *tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}
