package dialect_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/dialect/chat"
	"github.com/caddy-llm/gateway/llmprovider/dialect/responses"
)

// TestNamespaces has tools in a namespace, as Codex sends them: a provider of another API
// knows them by one name, and the client gets its own two back.
func TestNamespaces(t *testing.T) {
	body := []byte(`{"model":"m","input":[{"role":"user","content":"x"},` +
		`{"type":"function_call","call_id":"c1","namespace":"agents","name":"close","arguments":"{}"},{"type":"function_call_output","call_id":"c1","output":"done"}],` +
		`"tools":[{"type":"namespace","name":"agents","description":"d","tools":[{"type":"function","name":"close","parameters":{"type":"object"}}]},` +
		`{"type":"function","name":"close","parameters":{}}],"tool_choice":{"type":"function","namespace":"agents","name":"close"}}`)
	request, refused := dialect.Read(responses.API, body, dialect.Call{})
	if refused != nil {
		t.Fatal(refused)
	}
	sent, refused := dialect.Translate(request, chat.API, dialect.Target{Model: "m"})
	if refused != nil {
		t.Fatal(refused)
	}
	if got := strings.Count(string(sent.Body), `"name":"agents__close"`); got != 3 || sent.Loss.Any() {
		t.Errorf("sent, with %d of 3 names, %v: %s", got, sent.Loss, sent.Body)
	}
	for _, stream := range []bool{false, true} {
		res := dialect.NewResponse(chat.API, responses.API, dialect.ResponseOptions{Request: request, Model: "m", Stream: stream, ID: "i"})
		call := `{"index":0,"id":"c2","type":"function","function":{"name":"agents__close","arguments":"{}"}},{"index":1,"id":"c3","type":"function","function":{"name":"close","arguments":"{}"}}`
		in, media := `{"id":"1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","tool_calls":[`+call+`]},"finish_reason":"tool_calls"}]}`, "application/json"
		if stream {
			in, media = `data: {"id":"1","choices":[{"index":0,"delta":{"tool_calls":[`+call+`]},"finish_reason":"tool_calls"}]}`+"\n\ndata: [DONE]\n\n", "text/event-stream"
		}
		res.Head(&llmprovider.Head{Status: 200, Header: http.Header{"Content-Type": {media}}, Stream: stream})
		var out strings.Builder
		pass := func(p []byte) error {
			out.Write(p)
			return nil
		}
		if err := res.Write([]byte(in), pass); err != nil {
			t.Fatal(err)
		}
		if err := res.Finish(pass); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); !strings.Contains(got, `"call_id":"c2","namespace":"agents","name":"close"`) || !strings.Contains(got, `"call_id":"c3","name":"close"`) {
			t.Errorf("stream %v: %s", stream, got)
		}
	}
}
