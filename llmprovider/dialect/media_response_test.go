package dialect_test

import (
	"net/http"
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

// TestMediaOfResponses holds that media, which no other API has a place for, are named as
// lost, and that a response of nothing else is an error whose tokens count.
func TestMediaOfResponses(t *testing.T) {
	const (
		counted   = `"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":1120}`
		image     = `{"inlineData":{"mimeType":"image/png","data":"AAAA"}}`
		imageURL  = `{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}`
		chatUsage = `"usage":{"prompt_tokens":9,"completion_tokens":1120}`
	)
	candidate := func(parts string) string {
		return `{"candidates":[{"content":{"parts":[` + parts + `],"role":"model"},"finishReason":"STOP","index":0}],` + counted + `}`
	}
	for name, tc := range map[string]struct {
		from   *dialect.API
		stream bool
		in     string
		failed bool
	}{
		"an image":                   {gemini.API, false, candidate(image), true},
		"a file":                     {gemini.API, false, candidate(`{"fileData":{"mimeType":"image/png","fileUri":"gs://a/b"}}`), true},
		"an image after thoughts":    {gemini.API, false, candidate(`{"text":"t","thought":true},` + image), true},
		"an image beside text":       {gemini.API, false, candidate(`{"text":"here"},` + image), false},
		"an image before text":       {gemini.API, false, candidate(image + `,{"text":"here"}`), false},
		"an image of a stream":       {gemini.API, true, event("", candidate(image)), true},
		"a stream with text":         {gemini.API, true, event("", `{"candidates":[{"content":{"parts":[`+image+`]}}]}`) + event("", candidate(`{"text":"here"}`)), false},
		"OpenRouter's image":         {chat.API, false, `{"choices":[{"message":{"content":"","images":[` + imageURL + `]},"finish_reason":"stop"}],` + chatUsage + `}`, true},
		"OpenRouter's, beside text":  {chat.API, false, `{"choices":[{"message":{"content":"here","images":[` + imageURL + `]},"finish_reason":"stop"}],` + chatUsage + `}`, false},
		"OpenRouter's, in a stream":  {chat.API, true, chunk(`"images":[`+imageURL+`]`, "null") + chunk("", "stop") + event("", `{"choices":[],`+chatUsage+`}`) + done, true},
		"Bedrock's image":            {converse.API, false, `{"output":{"message":{"content":[{"image":{"format":"png","source":{"bytes":"AAAA"}}}]}},"stopReason":"end_turn","usage":{"inputTokens":9,"outputTokens":1120}}`, true},
		"Bedrock's image and a text": {converse.API, false, `{"output":{"message":{"content":[{"text":"here"},{"image":{}}]}},"stopReason":"end_turn","usage":{"inputTokens":9,"outputTokens":1120}}`, false},
	} {
		for to, field := range map[*dialect.API]string{chat.API: "modalities", messages.API: "content[]", responses.API: "output[]", gemini.API: "generationConfig.responseModalities"} {
			if to == tc.from {
				continue
			}
			r := dialect.NewResponse(tc.from, to, dialect.ResponseOptions{Request: &dialect.Request{API: to, StreamUsage: true}, Stream: tc.stream})
			head := llmprovider.Head{Status: http.StatusOK, Header: make(http.Header), Stream: tc.stream}
			r.Head(&head)
			var out strings.Builder
			pass := func(p []byte) error { out.Write(p); return nil }
			if err := r.Write([]byte(tc.in), pass); err != nil {
				t.Fatal(err)
			}
			if err := r.Finish(pass); err != nil {
				t.Fatal(err)
			}
			got := out.String()
			if says := strings.Contains(got, "another medium alone"); says != tc.failed || r.Failed() != tc.failed || !tc.failed && !strings.Contains(got, "here") {
				t.Errorf("%s to %s: failed %v: %s", name, to.Name, r.Failed(), got)
			}
			want := http.StatusOK
			if tc.failed && !tc.stream {
				want = http.StatusBadGateway
			}
			if head.Status != want {
				t.Errorf("%s to %s: status %d, want %d", name, to.Name, head.Status, want)
			}
			if tc.failed && (strings.Contains(got, "[DONE]") || strings.Contains(got, "message_stop") || strings.Contains(got, "response.completed")) {
				t.Errorf("%s to %s: %s", name, to.Name, got)
			}
			if got := lost(to, r.Loss()); got != "-"+field {
				t.Errorf("%s to %s: lost %q, want %q", name, to.Name, got, "-"+field)
			}
			if u := r.Usage(); u.PromptTokens != 9 || u.CompletionTokens != 1120 {
				t.Errorf("%s to %s: counted %+v", name, to.Name, u)
			}
		}
	}
}

// Clients of the provider's own API get its media, and their tokens are counted as ever.
func TestWatchedMedia(t *testing.T) {
	w := dialect.NewWatch(gemini.API, false)
	w.Head(&llmprovider.Head{Status: http.StatusOK, Header: contentType(gemini.API, false)})
	in := `{"candidates":[{"content":{"parts":[{"inlineData":{"mimeType":"image/png","data":"AAAA"}}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":1120}}`
	var out strings.Builder
	pass := func(p []byte) error { out.Write(p); return nil }
	if err := w.Write([]byte(in), pass); err != nil {
		t.Fatal(err)
	}
	if err := w.Finish(pass); err != nil {
		t.Fatal(err)
	}
	if out.String() != in || w.Failed() || w.Unfinished() || !w.Ended() || w.Usage().CompletionTokens != 1120 {
		t.Errorf("failed %v, unfinished %v, ended %v, counted %+v: %s", w.Failed(), w.Unfinished(), w.Ended(), w.Usage(), &out)
	}
}
