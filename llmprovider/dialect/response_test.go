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

// A provider's error is one of the client's API, with its status and with what SDKs
// look for.
func TestErrors(t *testing.T) {
	page := "<html>" + strings.Repeat("é", 4000)
	for _, tc := range []struct {
		name     string
		from, to *dialect.API
		status   int
		header   string
		in       string
		want     int
		out      string
		headers  string
	}{
		{
			"OpenAI's rate limit for Anthropic's SDK", chat.API, messages.API, 429, "Retry-After: 7\nX-Request-Id: req_1\nContent-Length: 5",
			`{"error":{"message":"slow","type":"requests","param":null,"code":"rate_limit_exceeded"}}`,
			429, `{"type":"error","error":{"type":"rate_limit_error","message":"slow"},"request_id":"req_1"}`,
			"Content-Type: application/json\nRequest-Id: req_1\nRetry-After: 7\nX-Request-Id: req_1",
		},
		{
			"OpenAI's quota for Anthropic's SDK", chat.API, messages.API, 429, "",
			`{"error":{"message":"pay","type":"insufficient_quota","code":"insufficient_quota"}}`,
			402, `{"type":"error","error":{"type":"billing_error","message":"pay"}}`, "Content-Type: application/json\nX-Should-Retry: false",
		},
		{
			"Anthropic's overload for OpenAI's SDK", messages.API, chat.API, 529, "Request-Id: req_2",
			`{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_2"}`,
			503, `{"error":{"message":"Overloaded","type":"server_error","param":null,"code":"overloaded"}}`,
			"Content-Type: application/json\nRequest-Id: req_2\nX-Request-Id: req_2",
		},
		{
			"OpenAI's overload for Anthropic's SDK", responses.API, messages.API, 503, "",
			`{"error":{"message":"busy","type":"server_error","code":null}}`, 529, `{"type":"error","error":{"type":"overloaded_error","message":"busy"}}`,
			"Content-Type: application/json",
		},
		{
			"Google's quota for OpenAI's SDK", gemini.API, responses.API, 429, "",
			`{"error":{"code":429,"message":"quota","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.4s"}]}}`,
			429, `{"error":{"message":"quota","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}`,
			"Content-Type: application/json\nRetry-After: 35\nRetry-After-Ms: 34400",
		},
		{
			"Google's array", gemini.API, messages.API, 400, "", `[{"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT"}}]`,
			400, `{"type":"error","error":{"type":"invalid_request_error","message":"no"}}`, "Content-Type: application/json",
		},
		{
			"AWS's exception", converse.API, gemini.API, 429, "X-Amzn-Errortype: ThrottlingException:http://internal.amazon.com/x", `{"message":"Too many"}`,
			429, `{"error":{"code":429,"message":"Too many","status":"RESOURCE_EXHAUSTED"}}`, "Content-Type: application/json\nX-Amzn-Errortype: ThrottlingException:http://internal.amazon.com/x",
		},
		{
			"AWS's failed model", converse.API, chat.API, 424, "X-Amzn-Errortype: ModelErrorException", `{"message":"model failed","originalStatusCode":500}`,
			502, `{"error":{"message":"model failed","type":"server_error","param":null,"code":null}}`, "Content-Type: application/json\nX-Amzn-Errortype: ModelErrorException",
		},
		{
			"a detail", chat.API, messages.API, 422, "", `{"detail":"bad"}`, 422, `{"type":"error","error":{"type":"invalid_request_error","message":"bad"}}`,
			"Content-Type: application/json",
		},
		{
			"Mistral's", chat.API, messages.API, 400, "", `{"object":"error","message":"bad","type":"invalid_request_error","code":"3051"}`,
			400, `{"type":"error","error":{"type":"invalid_request_error","message":"bad"}}`, "Content-Type: application/json",
		},
		{"a page", chat.API, messages.API, 502, "Content-Type: text/html\nEtag: x", page, 502, `{"type":"error","error":{"type":"api_error","message":"` + `\u003chtml\u003e` + strings.Repeat("é", 1021), "Content-Type: application/json"},
		{"no body", chat.API, gemini.API, 500, "", "", 500, `{"error":{"code":500,"message":"the provider gave no reason","status":"INTERNAL"}}`, "Content-Type: application/json"},
		{"no response in a success", chat.API, messages.API, 200, "", "", 502, `{"type":"error","error":{"type":"api_error","message":"the provider's response ended`, "Content-Type: application/json"},
		{"a page in a success", chat.API, messages.API, 200, "Content-Type: text/html", "<html>", 502, `{"type":"error","error":{"type":"api_error","message":"the provider's response has no valid form`, "Content-Type: application/json"},
		{"no choices in a success", chat.API, messages.API, 200, "Content-Type: application/json", "{}", 502, `{"type":"error","error":{"type":"api_error","message":"the provider's response has no valid choices`, "Content-Type: application/json"},
		{"an error in a success", chat.API, messages.API, 200, "Content-Type: application/json", `{"error":{"message":"m","code":429}}`, 429, `{"type":"error","error":{"type":"rate_limit_error","message":"m"}}`, "Content-Type: application/json"},
		{"a compressed response", chat.API, messages.API, 200, "Content-Encoding: gzip", "\x1f\x8b", 502, `{"type":"error","error":{"type":"api_error","message":"the provider's response has no valid form`, "Content-Type: application/json"},
	} {
		for _, stream := range []bool{false, true} {
			for n := 1; n < 100; n += 30 {
				r := dialect.NewResponse(tc.from, tc.to, dialect.ResponseOptions{Request: &dialect.Request{API: tc.to}, Stream: stream})
				header := make(http.Header)
				for line := range strings.Lines(tc.header) {
					name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
					header.Set(name, value)
				}
				head := llmprovider.Head{Status: tc.status, Header: header}
				r.Head(&head)
				var out strings.Builder
				pass := func(p []byte) error { out.Write(p); return nil }
				for rest := tc.in; rest != ""; rest = rest[min(n, len(rest)):] {
					if err := r.Write([]byte(rest[:min(n, len(rest))]), pass); err != nil {
						t.Fatal(err)
					}
				}
				if err := r.Finish(pass); err != nil {
					t.Fatal(err)
				}
				if head.Status != tc.want || !strings.HasPrefix(out.String(), tc.out) || len(out.String()) > 3000 {
					t.Errorf("%s: %d %s", tc.name, head.Status, out.String())
				}
				var headers strings.Builder
				_ = head.Header.Write(&headers)
				if got := strings.TrimSpace(strings.ReplaceAll(headers.String(), "\r", "")); got != tc.headers {
					t.Errorf("%s: headers\n%s\nwant\n%s", tc.name, got, tc.headers)
				}
				if r.Failed() != (tc.status < 400) || r.Ended() || r.Content() {
					t.Errorf("%s: failed %v, ended %v, content %v", tc.name, r.Failed(), r.Ended(), r.Content())
				}
			}
		}
	}
}

// What the provider sends in another form than was asked for is translated all the
// same.
func TestForms(t *testing.T) {
	const whole = `{"id":"x","model":"up","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1}}`
	const stream = "data: {\"id\":\"x\",\"model\":\"up\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n\ndata: [DONE]\n\n"
	for _, header := range []http.Header{{}, {"Content-Type": {"text/plain"}}} {
		for _, asked := range []bool{false, true} {
			var outs []string
			for _, in := range []string{whole, " \n" + whole, stream, "\ufeff" + stream} {
				r := dialect.NewResponse(chat.API, messages.API, dialect.ResponseOptions{Request: &dialect.Request{API: messages.API}, Stream: asked})
				head := llmprovider.Head{Status: 200, Header: header.Clone()}
				r.Head(&head)
				var out strings.Builder
				pass := func(p []byte) error { out.Write(p); return nil }
				for i := range len(in) {
					if err := r.Write([]byte(in[i:i+1]), pass); err != nil {
						t.Fatal(err)
					}
				}
				if err := r.Finish(pass); err != nil || !r.Ended() || head.Status != 200 || r.Failed() {
					t.Fatalf("%v, %d, %s", err, head.Status, out.String())
				}
				if u := r.Usage(); u.PromptTokens != 3 || u.FinishReason != "stop" || u.Model != "up" || !r.Settled() || !r.Content() {
					t.Errorf("usage is %+v", u)
				}
				outs = append(outs, out.String())
			}
			for _, out := range outs {
				if out != outs[0] || asked != strings.HasPrefix(out, "event: message_start") {
					t.Errorf("stream %v: %s", asked, out)
				}
			}
		}
	}
}
