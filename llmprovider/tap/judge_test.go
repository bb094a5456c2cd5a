package tap

import (
	"net/http"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider"
)

func TestJudge(t *testing.T) {
	const chunk = `data: {"choices":[{"index":0,"delta":{"content":"x"}}]}` + "\n\n"
	for _, test := range []struct {
		name  string
		media string
		op    llmprovider.Operation
		body  string
		want  Verdict
	}{
		{"a response", "application/json", llmprovider.Chat, `{"id":"1","choices":[{"message":{"content":"x"}}]}`, ""},
		{"white space around it", "application/json", llmprovider.Chat, "\n\n  {\n \"choices\" : [ {\"index\":0}]}", ""},
		{"an error that is null", "application/json", llmprovider.Chat, `{"error":null,"choices":[{"index":0}]}`, ""},
		{"an error beside choices", "application/json", llmprovider.Chat, `{"error":{"message":"x"},"choices":[{"index":0}]}`, ""},
		{"an error", "application/json", llmprovider.Chat, `{"error":{"message":"x"}}`, IsError},
		{"an error as text", "application/json", llmprovider.Chat, `{"error":"x"}`, IsError},
		{"an error with its name escaped", "application/json", llmprovider.Chat, `{"\u0065rror":"x"}`, IsError},
		{"an error with no choices", "application/json", llmprovider.Chat, `{"id":"1","choices":[],"error":{"message":"x"}}`, IsError},
		{"vLLM's error", "application/json", llmprovider.Chat, `{"object":"error","message":"x","code":500}`, IsError},
		{"an error of embeddings", "application/json", llmprovider.Embeddings, `{"error":{"message":"x"}}`, IsError},
		{"an error of the Responses API", "application/json", llmprovider.Responses, `{"id":"1","status":"failed","error":{"code":"server_error"},"output":[]}`, IsError},
		{"a response of the Responses API", "application/json", llmprovider.Responses, `{"id":"1","error":null,"output":[]}`, ""},
		{"embeddings", "application/json", llmprovider.Embeddings, `{"data":[]}`, ""},
		{"an object that is empty", "application/json", llmprovider.Embeddings, `{}`, IsEmpty},
		{"no choices", "application/json", llmprovider.Chat, `{"id":"1","choices":[]}`, NoChoices},
		{"choices that are null", "application/json", llmprovider.Chat, `{"choices":null}`, NoChoices},
		{"no member choices", "application/json", llmprovider.Chat, `{"message":"hello"}`, NoChoices},
		{"choices inside another member", "application/json", llmprovider.Chat, `{"x":{"choices":[1]}}`, NoChoices},
		{"nothing", "application/json", llmprovider.Chat, ``, IsEmpty},
		{"white space alone", "application/json", llmprovider.Chat, "\n \n", IsEmpty},
		{"nothing without a type", "", llmprovider.Chat, ``, IsEmpty},
		{"no audio", "audio/mpeg", llmprovider.Audio, ``, IsEmpty},
		{"audio", "audio/mpeg", llmprovider.Audio, "\xff", ""},
		{"an error instead of a transcript, after a space", "application/json", llmprovider.Audio, ` {"error":{"message":"x"}}`, IsError},
		{"a transcript of silence", "text/plain", llmprovider.Audio, "\n", ""},
		{"a transcript", "text/plain", llmprovider.Audio, "<html of the matter", ""},
		{"a page", "text/html", llmprovider.Chat, "hello", IsPage},
		{"a page with a type", "text/html; charset=utf-8", llmprovider.Chat, "<!DOCTYPE html>", IsPage},
		{"a page under another type", "application/json", llmprovider.Chat, "\n<!DOCTYPE html><html>", IsPage},
		{"a page without a type", "", llmprovider.Chat, "<HTML>", IsPage},
		{"a response that is cut off", "application/json", llmprovider.Chat, `{"id":"1","cho`, ""},
		{"a response cut off in its choices", "application/json", llmprovider.Chat, `{"choices":[`, ""},
		{"no JSON", "application/json", llmprovider.Chat, `{x`, ""},
		{"a stream", "text/event-stream", llmprovider.Chat, chunk, ""},
		{"a stream that begins with a role", "text/event-stream", llmprovider.Chat, `data: {"choices":[],"prompt_filter_results":[]}` + "\n\n" + chunk, ""},
		{"a stream that begins with an event's name", "text/event-stream", llmprovider.Responses, "event: response.created\ndata: {\"type\":\"response.created\"}\n\n", ""},
		{"a stream that begins with a comment", "text/event-stream", llmprovider.Chat, ": keep-alive\n\n" + `data: {"error":"x"}` + "\n\n", ""},
		{"a stream that begins with a time to retry", "text/event-stream", llmprovider.Chat, "retry: 10\n\n" + `data: {"error":"x"}` + "\n\n", IsError},
		{"a stream that begins with an error", "text/event-stream", llmprovider.Chat, `data: {"error":{"message":"x"}}` + "\n\n", IsError},
		{"one with CRLF", "text/event-stream", llmprovider.Chat, "data: {\"error\":{\"message\":\"x\"}}\r\n\r\n", IsError},
		{"one that ends there", "text/event-stream", llmprovider.Chat, `data: {"error":{"message":"x"}}`, IsError},
		{"an error by the event's name", "text/event-stream", llmprovider.Chat, "event: error\ndata: {\"message\":\"x\"}\n\n", IsError},
		{"an error by its type", "text/event-stream", llmprovider.Responses, `data: {"type":"error","message":"x"}` + "\n\n", IsError},
		{"a response that failed", "text/event-stream", llmprovider.Responses, `data: {"type":"response.failed"}` + "\n\n", IsError},
		{"an error that is no event", "text/event-stream", llmprovider.Chat, `{"error":{"message":"x"}}`, IsError},
		{"a stream that ends at once", "text/event-stream", llmprovider.Chat, "data: [DONE]\n\n", IsEmpty},
		{"an empty stream", "text/event-stream", llmprovider.Chat, "", IsEmpty},
		{"an empty stream with a mark", "text/event-stream", llmprovider.Chat, "\ufeff\n", IsEmpty},
		{"text", "text/plain", llmprovider.Audio, "hello", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			look := Judge(&http.Response{Header: http.Header{"Content-Type": {test.media}}}, llmprovider.Endpoint{Operation: test.op})
			if got, certain := look([]byte(test.body), true); got != test.want || !certain && got != "" {
				t.Errorf("judged as %q, %v", got, certain)
			}
			for n := range len(test.body) { // as it comes
				if got, certain := look([]byte(test.body[:n]), false); certain && got != test.want {
					t.Errorf("after %q judged as %q", test.body[:n], got)
				}
			}
		})
	}
	if Judge(&http.Response{Header: http.Header{"Content-Encoding": {"gzip"}}}, llmprovider.Endpoint{Operation: llmprovider.Chat}) != nil {
		t.Error("what is compressed is judged")
	}
}

func FuzzJudge(f *testing.F) {
	f.Add([]byte(`{"error":null,"choices":[]}`), true)
	f.Add([]byte("event: x\r\ndata: {}\r\n\r\n"), false)
	f.Add([]byte("\ufeff<!doc"), false)
	f.Add([]byte(" {}"), true)
	f.Fuzz(func(t *testing.T, data []byte, all bool) {
		for _, op := range []llmprovider.Operation{llmprovider.Chat, llmprovider.Audio, llmprovider.Responses} {
			e := llmprovider.Endpoint{Operation: op}
			early, certain := judgeText(data[:len(data)/2], false, e)
			late, _ := judgeText(data, all, e)
			if certain && early != late {
				t.Fatalf("%q is %q, and its first half was certain to be %q", data, late, early)
			}
			FirstData(data)
		}
	})
}

// TestJudgeTranslated has a chat completion that was asked for in the Responses API.
func TestJudgeTranslated(t *testing.T) {
	e := llmprovider.Endpoint{Operation: llmprovider.Chat, API: llmprovider.OpenAIAPI, Suffix: llmprovider.ResponsesSuffix}
	for body, want := range map[string]Verdict{`{"id":"r","status":"completed","error":null,"output":[]}`: "", `{"error":{"message":"x"}}`: IsError, `{}`: IsEmpty} {
		look := Judge(&http.Response{Header: http.Header{"Content-Type": {"application/json"}}}, e)
		if got, _ := look([]byte(body), true); got != want {
			t.Errorf("%s judged as %q", body, got)
		}
	}
}
