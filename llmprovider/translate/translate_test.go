package translate_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect/chat"
	"github.com/caddy-llm/gateway/llmprovider/translate"
)

// What of a response its client is told otherwise is reported like what of a request is:
// in the head, unless that of a stream has gone, and in the log.
func TestLossOfResponses(t *testing.T) {
	const whole = `{"choices":[{"message":{"content":"a"},"finish_reason":"%s"}]}`
	for _, test := range []struct {
		stream      bool
		reason      string
		header, log string
	}{
		{false, "stop", "thinking", "thinking"}, {false, "vanished", "stop_reason, thinking", "stop_reason, thinking"},
		{true, "stop", "thinking", "thinking"}, {true, "vanished", "thinking", "stop_reason, thinking"},
	} {
		body := `{"model":"m","max_tokens":5,"thinking":{"type":"between_tools"},"messages":[{"role":"user","content":"x"}]}`
		sent, media := strings.Replace(whole, "%s", test.reason, 1), "application/json"
		if test.stream {
			body = strings.Replace(body, `{`, `{"stream":true,`, 1)
			sent = strings.NewReplacer(`"message"`, `"index":0,"delta"`, "{\"choices", "data: {\"choices").Replace(sent) + "\n\ndata: [DONE]\n\n"
			media = "text/event-stream"
		}
		r := httptest.NewRequest(http.MethodPost, "/v1/messages", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		in, refused := llmprovider.NewInbound(r)
		if refused == nil {
			refused = in.Read(r, llmprovider.DefaultMaxBody)
		}
		out := llmprovider.Outgoing{Model: "m", Stream: in.Stream}
		if refused == nil {
			refused = translate.Request(in, llmprovider.Settings{}, &translate.Target{API: chat.API, URL: new(url.URL)}, &out)
		}
		if refused != nil {
			t.Fatal(refused)
		}
		res := &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {media}}}
		reader := out.NewReader(res, test.stream)
		head := &llmprovider.Head{Status: http.StatusOK, Header: res.Header, Stream: test.stream}
		reader.Head(head)
		header := ""
		pass := func([]byte) error {
			header = head.Header.Get(translate.HeaderApproximated)
			return nil
		}
		if err := reader.Write([]byte(sent), pass); err != nil {
			t.Fatal(err)
		}
		if err := reader.Finish(pass); err != nil {
			t.Fatal(err)
		}
		if log := strings.Join(out.Translation.Approximated, ", "); header != test.header || log != test.log || !slices.IsSorted(out.Translation.Approximated) {
			t.Errorf("%s, streamed %v: the head says %q and the log %q", test.reason, test.stream, header, log)
		}
	}
}
