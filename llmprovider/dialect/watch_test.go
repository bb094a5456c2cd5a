package dialect_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/dialect/gemini"
)

// TestWatch has responses pass byte for byte however they come, and holds what is read
// of them on the way.
func TestWatch(t *testing.T) {
	const (
		first = `{"candidates":[{"content":{"parts":[{"text":"Hel"}],"role":"model"},"index":0}],"modelVersion":"gemini-3-pro"}`
		last  = `{"candidates":[{"content":{"parts":[{"text":"lo"}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":7,"cachedContentTokenCount":2,"candidatesTokenCount":3,"thoughtsTokenCount":4,"totalTokenCount":14},"modelVersion":"gemini-3-pro"}`
	)
	for name, test := range map[string]struct {
		status       int
		media, body  string
		count        bool
		known        bool
		failed, more bool
	}{
		"whole":     {200, "application/json; charset=UTF-8", last, false, true, false, false},
		"events":    {200, "text/event-stream", "data: " + first + "\r\n\r\ndata: " + last + "\r\n\r\n", false, true, false, false},
		"array":     {200, "application/json", "[" + first + "\n,\r\n" + last + "\n]\n", false, true, false, false},
		"cut":       {200, "text/event-stream", "data: " + first + "\n\n", false, false, false, true},
		"an error":  {429, "application/json", `{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED"}}`, false, false, false, false},
		"in stream": {200, "text/event-stream", "data: " + first + "\n\ndata: {\"error\":{\"code\":503,\"message\":\"x\",\"status\":\"UNAVAILABLE\"}}\n\n", false, false, true, false},
		"not JSON":  {200, "application/json", "<html>", false, false, false, true},
		"a count":   {200, "application/json", `{"totalTokens":31,"promptTokensDetails":[]}`, true, false, false, false},
	} {
		for _, size := range []int{1, 7, len(test.body)} {
			w := dialect.NewWatch(gemini.API, test.count)
			head := &llmprovider.Head{Status: test.status, Header: http.Header{"Content-Type": {test.media}, "X-Other": {"y"}}, Stream: test.media == "text/event-stream"}
			w.Head(head)
			var out strings.Builder
			pass := func(p []byte) error {
				out.Write(p)
				return nil
			}
			for rest := test.body; rest != ""; {
				n := min(size, len(rest))
				if err := w.Write([]byte(rest[:n]), pass); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			if failed := w.Failed(); failed != test.failed {
				t.Errorf("%s in pieces of %d: failed is %v", name, size, failed)
			}
			if err := w.Finish(pass); err != nil {
				t.Fatal(err)
			}
			u := w.Usage()
			if out.String() != test.body || head.Status != test.status || head.Header.Get("X-Other") != "y" || head.Header.Get("Content-Type") != test.media {
				t.Errorf("%s in pieces of %d: %q with %v came", name, size, out.String(), head)
			}
			if u.Known != test.known || test.known && (u.PromptTokens != 7 || u.CompletionTokens != 7 || u.CachedTokens != 2 || u.ReasoningTokens != 4 || u.FinishReason != "stop") {
				t.Errorf("%s in pieces of %d: usage %+v", name, size, u)
			}
			if w.Unfinished() != test.more || test.known && (!w.Ended() || !w.Content()) {
				t.Errorf("%s in pieces of %d: unfinished %v, ended %v, content %v", name, size, w.Unfinished(), w.Ended(), w.Content())
			}
		}
	}
	if got := string(dialect.NewWatch(gemini.API, false).ErrorEvent(&llmprovider.Error{Status: 504, Message: "late"})); !strings.Contains(got, `"status":"DEADLINE_EXCEEDED"`) {
		t.Errorf("an error is %s", got)
	}
}
