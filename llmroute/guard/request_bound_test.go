package guard

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddy-llm/gateway/llmroute/guard/decide"
)

// requestsOfSize are requests with that many bytes of text in them, in one text, in the parts
// of a message and in several messages. word ends the text: in the parts, half of it is in the
// last but one.
func requestsOfSize(n int, word string) map[string]string {
	half := len(word) / 2
	a, b, c := strings.Repeat("a", n/3), strings.Repeat("b", n/3)+word[:half], word[half:]
	b += strings.Repeat("b", n-len(a)-len(b)-len(c))
	if word != "" { // what is between the halves goes before them
		b = strings.Repeat("b", n-len(a)-len(word)) + word[:half]
	}
	part := func(text string) string { return `{"type":"text","text":"` + text + `"}` }
	message := func(content string) string { return `{"role":"user","content":` + content + `}` }
	request := func(messages ...string) string { return `{"messages":[` + strings.Join(messages, ",") + `]}` }
	return map[string]string{
		"plain":    request(message(`"` + a + b + c + `"`)),
		"parts":    request(message(`[` + part(a) + `,` + part(b) + `,` + part(c) + `]`)),
		"messages": request(message(`"`+a+`"`), message(`"`+b+c+`"`)),
	}
}

// TestServiceBound holds that a service is asked about texts up to the bound, and that longer
// ones are a failure without asking it, however they are written.
func TestServiceBound(t *testing.T) {
	var asked, size atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		asked.Add(1)
		size.Store(n)
		_, _ = io.WriteString(w, `{"action":{}}`)
	}))
	defer s.Close()
	for _, onFailure := range []string{decide.FailureClosed, decide.FailureOpen} {
		d := &Definition{Webhook: &decide.Webhook{URL: s.URL, Format: decide.FormatAgentgateway, OnFailure: onFailure, Timeout: 1 << 40}}
		for name, body := range requestsOfSize(decide.MaxAsked, "") {
			asked.Store(0)
			if after, refused, counted := guarded(t, d, chatPath, body); after != body || refused != nil || len(counted) > 0 || asked.Load() != 1 || size.Load() < decide.MaxAsked {
				t.Errorf("%s at the bound, %s: asked %d times, %d bytes; %v, %v", name, onFailure, asked.Load(), size.Load(), refused, counted)
			}
		}
		for name, body := range requestsOfSize(decide.MaxAsked+1, "") {
			asked.Store(0)
			after, refused, counted := guarded(t, d, chatPath, body)
			if after != body || asked.Load() != 0 || strings.Join(counted, ",") != "fail webhook" || (refused == nil) != (onFailure == decide.FailureOpen) || refused != nil && (refused.Status != 503 || refused.Code != "guard_unavailable") {
				t.Errorf("%s over the bound, %s: asked %d times; %v, %v", name, onFailure, asked.Load(), refused, counted)
			}
		}
	}
}

// TestPatternsHaveNoBound holds that patterns are found at the end of a request that is longer
// than services are asked about, also across parts.
func TestPatternsHaveNoBound(t *testing.T) {
	for name, body := range requestsOfSize(2*decide.MaxAsked, "zebra@example.com") {
		if _, refused, _ := guarded(t, &Definition{Deny: []Pattern{{Regex: "zebra@"}}}, chatPath, body); refused == nil || refused.Status != 403 {
			t.Errorf("%s: %v", name, refused)
		}
		after, refused, _ := guarded(t, &Definition{Mask: []Pattern{{Builtin: "email"}}}, chatPath, body)
		if refused != nil || strings.Contains(after, "example.com") || !strings.Contains(after, "[EMAIL]") {
			t.Errorf("%s: not masked: %v", name, refused)
		}
	}
}
