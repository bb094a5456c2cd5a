package llmprovider

import (
	"net/http"
	"testing"
)

func TestJudge(t *testing.T) {
	const chunk = `data: {"choices":[{"index":0,"delta":{"content":"x"}}]}` + "\n\n"
	for _, test := range []struct {
		name  string
		media string
		op    Operation
		body  string
		want  Verdict
	}{
		{"an answer", "application/json", Chat, `{"id":"1","choices":[{"message":{"content":"x"}}]}`, ""},
		{"white space around it", "application/json", Chat, "\n\n  {\n \"choices\" : [ {\"index\":0}]}", ""},
		{"an error that is null", "application/json", Chat, `{"error":null,"choices":[{"index":0}]}`, ""},
		{"an error beside choices", "application/json", Chat, `{"error":{"message":"x"},"choices":[{"index":0}]}`, ""},
		{"an error", "application/json", Chat, `{"error":{"message":"x"}}`, IsError},
		{"an error as text", "application/json", Chat, `{"error":"x"}`, IsError},
		{"an error with its name escaped", "application/json", Chat, `{"\u0065rror":"x"}`, IsError},
		{"an error with no choices", "application/json", Chat, `{"id":"1","choices":[],"error":{"message":"x"}}`, IsError},
		{"vLLM's error", "application/json", Chat, `{"object":"error","message":"x","code":500}`, IsError},
		{"an error of embeddings", "application/json", Embeddings, `{"error":{"message":"x"}}`, IsError},
		{"an error of the Responses API", "application/json", Responses, `{"id":"1","status":"failed","error":{"code":"server_error"},"output":[]}`, IsError},
		{"an answer of the Responses API", "application/json", Responses, `{"id":"1","error":null,"output":[]}`, ""},
		{"embeddings", "application/json", Embeddings, `{"data":[]}`, ""},
		{"an object that is empty", "application/json", Embeddings, `{}`, IsEmpty},
		{"no choices", "application/json", Chat, `{"id":"1","choices":[]}`, NoChoices},
		{"choices that are null", "application/json", Chat, `{"choices":null}`, NoChoices},
		{"no member choices", "application/json", Chat, `{"message":"hello"}`, NoChoices},
		{"choices inside another member", "application/json", Chat, `{"x":{"choices":[1]}}`, NoChoices},
		{"nothing", "application/json", Chat, ``, IsEmpty},
		{"white space alone", "application/json", Chat, "\n \n", IsEmpty},
		{"nothing without a type", "", Chat, ``, IsEmpty},
		{"no audio", "audio/mpeg", Audio, ``, IsEmpty},
		{"audio", "audio/mpeg", Audio, "\xff", ""},
		{"a transcript", "text/plain", Audio, "<html of the matter", ""},
		{"a page", "text/html", Chat, "hello", IsPage},
		{"a page with a type", "text/html; charset=utf-8", Chat, "<!DOCTYPE html>", IsPage},
		{"a page under another type", "application/json", Chat, "\n<!DOCTYPE html><html>", IsPage},
		{"a page without a type", "", Chat, "<HTML>", IsPage},
		{"an answer that is cut off", "application/json", Chat, `{"id":"1","cho`, ""},
		{"an answer cut off in its choices", "application/json", Chat, `{"choices":[`, ""},
		{"no JSON", "application/json", Chat, `{x`, ""},
		{"a stream", "text/event-stream", Chat, chunk, ""},
		{"a stream that begins with a role", "text/event-stream", Chat, `data: {"choices":[],"prompt_filter_results":[]}` + "\n\n" + chunk, ""},
		{"a stream that begins with an event's name", "text/event-stream", Responses, "event: response.created\ndata: {\"type\":\"response.created\"}\n\n", ""},
		{"a stream that begins with a comment", "text/event-stream", Chat, ": keep-alive\n\n" + `data: {"error":"x"}` + "\n\n", ""},
		{"a stream that begins with a time to retry", "text/event-stream", Chat, "retry: 10\n\n" + `data: {"error":"x"}` + "\n\n", IsError},
		{"a stream that begins with an error", "text/event-stream", Chat, `data: {"error":{"message":"x"}}` + "\n\n", IsError},
		{"one with CRLF", "text/event-stream", Chat, "data: {\"error\":{\"message\":\"x\"}}\r\n\r\n", IsError},
		{"one that ends there", "text/event-stream", Chat, `data: {"error":{"message":"x"}}`, IsError},
		{"an error by the event's name", "text/event-stream", Chat, "event: error\ndata: {\"message\":\"x\"}\n\n", IsError},
		{"an error by its type", "text/event-stream", Responses, `data: {"type":"error","message":"x"}` + "\n\n", IsError},
		{"a response that failed", "text/event-stream", Responses, `data: {"type":"response.failed"}` + "\n\n", IsError},
		{"an error that is no event", "text/event-stream", Chat, `{"error":{"message":"x"}}`, IsError},
		{"a stream that ends at once", "text/event-stream", Chat, "data: [DONE]\n\n", IsEmpty},
		{"an empty stream", "text/event-stream", Chat, "", IsEmpty},
		{"an empty stream with a mark", "text/event-stream", Chat, "\ufeff\n", IsEmpty},
		{"text", "text/plain", Audio, "hello", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			look := Judge(&http.Response{Header: http.Header{"Content-Type": {test.media}}}, Endpoint{Operation: test.op})
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
	if Judge(&http.Response{Header: http.Header{"Content-Encoding": {"gzip"}}}, Endpoint{Operation: Chat}) != nil {
		t.Error("what is compressed is judged")
	}
}

func FuzzJudge(f *testing.F) {
	f.Add([]byte(`{"error":null,"choices":[]}`), true)
	f.Add([]byte("event: x\r\ndata: {}\r\n\r\n"), false)
	f.Add([]byte("\ufeff<!doc"), false)
	f.Fuzz(func(t *testing.T, data []byte, all bool) {
		for _, op := range []Operation{Chat, Audio, Responses} {
			e := Endpoint{Operation: op}
			early, certain := judgeText(data[:len(data)/2], false, e)
			late, _ := judgeText(data, all, e)
			if certain && early != late {
				t.Fatalf("%q is %q, and its first half was certain to be %q", data, late, early)
			}
			FirstData(data)
		}
	})
}
