package translated_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/fixtures"
)

// apiError is the SDK's typed error; the test fails on any other.
func apiError(t *testing.T, err error) *anthropic.Error {
	t.Helper()
	var typed *anthropic.Error
	if !errors.As(err, &typed) {
		t.Fatalf("got %T %v, want an error of the API", err, err)
	}
	return typed
}

// errorBody is the shape of an error in Anthropic's API.
type errorBody struct {
	Type      string
	Error     struct{ Type, Message string }
	RequestID string `json:"request_id"`
}

// Every error of every vendor is an error of Anthropic's API for the SDK: its status, its
// type, its message, what it says of a retry.
func TestMessagesErrorsOfVendors(t *testing.T) {
	s, url := serve(t)
	client := claude(url)
	types := map[int]string{
		400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 404: "not_found_error", 408: "invalid_request_error",
		422: "invalid_request_error", 429: "rate_limit_error", 500: "api_error", 502: "api_error", 529: "overloaded_error",
	}
	for _, f := range fixtures.Select(t, func(f fixtures.Fixture) bool { return f.Kind == "error" && f.Status >= 400 }) {
		t.Run(f.ID, func(t *testing.T) {
			reply := f.Reply()
			switch { // where Anthropic's API has a status of its own
			case f.Status == 503:
				f.Status = 529
			case f.Status == 429 && strings.Contains(string(f.Body), "insufficient_quota"):
				f.Status = 402
			}
			s.Script(fakeprovider.Always(reply.WithHeader("Retry-After", "7").WithHeader("X-Request-Id", "req_of_the_provider")))
			for _, streamed := range []bool{false, true} {
				var err error
				if streamed {
					_, err = message(t, client, question())
				} else {
					_, err = client.Messages.New(t.Context(), question())
				}
				checkError(t, apiError(t, err), f.Status, types[f.Status])
			}
		})
	}
}

func checkError(t *testing.T, e *anthropic.Error, status int, kind string) {
	t.Helper()
	if e.StatusCode != status {
		t.Errorf("status %d, want %d", e.StatusCode, status)
	}
	var body errorBody
	if err := json.Unmarshal([]byte(e.RawJSON()), &body); err != nil || body.Type != "error" {
		t.Fatalf("%v: %s", err, e.RawJSON())
	}
	if body.Error.Type != kind {
		t.Errorf("type %q, want %q for %d", body.Error.Type, kind, status)
	}
	if len(body.Error.Message) < 5 {
		t.Errorf("message %q", body.Error.Message)
	}
	if got := e.Response.Header.Get("Retry-After"); got != "7" {
		t.Errorf("Retry-After %q", got)
	}
	if got := e.Response.Header.Get("Content-Type"); !strings.HasPrefix(got, "application/json") {
		t.Errorf("content type %q", got)
	}
	if e.RequestID != "req_of_the_provider" {
		t.Errorf("request id %q", e.RequestID)
	}
}

// Errors that the fixtures have no file for.
func TestMessagesErrorsByStatus(t *testing.T) {
	s, url := serve(t)
	client := claude(url)
	for _, c := range []struct {
		status int
		body   string
		want   string
	}{
		{403, `{"error":{"message":"not yours","type":"permission_error","param":null,"code":"permission_denied"}}`, "permission_error"},
		{413, `<html>413 Request Entity Too Large</html>`, "request_too_large"},
		{500, ``, "api_error"},
		{502, `<html>Bad gateway</html>`, "api_error"},
		{529, `{"error":{"message":"overloaded","type":"overloaded_error"}}`, "overloaded_error"},
		{418, `{"detail":"a teapot"}`, "invalid_request_error"},
	} {
		s.Script(fakeprovider.Always(fakeprovider.Bytes(c.status, "application/json", []byte(c.body))))
		_, err := client.Messages.New(t.Context(), question())
		e := apiError(t, err)
		var body errorBody
		if err := json.Unmarshal([]byte(e.RawJSON()), &body); err != nil || e.StatusCode != c.status || body.Type != "error" || body.Error.Type != c.want || body.Error.Message == "" {
			t.Errorf("%d %s: got %d %s", c.status, c.body, e.StatusCode, e.RawJSON())
		}
	}
}

// A stream that does not end as it should is an error for the SDK, and never looks
// finished.
func TestMessagesBrokenStreams(t *testing.T) {
	s, url := serve(t)
	client := claude(url)
	whole := chunks("stop", `{"role":"assistant","content":""}`, `{"content":"The tide "}`, `{"content":"turns."}`)
	const overloaded = `{"error":{"message":"The server is overloaded","type":"server_error","code":"overloaded"}}`
	for _, c := range []struct {
		name  string
		reply fakeprovider.Reply
		text  string // that came before
	}{
		{"an error first", fakeprovider.SSE("data: " + overloaded + "\n\n"), ""},
		{"an error first, under a comment", fakeprovider.SSE(": waiting\n\n", "data: "+overloaded+"\n\n"), ""},
		{"an error as a document", fakeprovider.JSON(200, overloaded), ""},
		{"an error in the middle", fakeprovider.SSE(`data: {"id":"a","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"The tide "},"finish_reason":null}]}`+"\n\n", "data: "+overloaded+"\n\n"), "The tide "},
		{"raw JSON in the middle", fakeprovider.SSE(`data: {"id":"a","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"The tide "},"finish_reason":null}]}`+"\n\n", overloaded), "The tide "},
		{"closed in the middle", whole.CloseAfter(2), "The tide "},
		{"closed within an event", whole.CloseMidEvent(2), "The tide "},
		{"ended in the middle", fakeprovider.SSE(`data: {"id":"a","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"The tide "},"finish_reason":null}]}` + "\n\n"), "The tide "},
		{"empty", fakeprovider.SSE(), ""},
		{"only the end", fakeprovider.SSE("data: [DONE]\n\n"), ""},
		{"no JSON", fakeprovider.SSE("data: {\"id\n\n", "data: [DONE]\n\n"), ""},
		{"no choices", fakeprovider.JSON(200, `{"id":"a","object":"chat.completion","choices":[]}`), ""},
		{"null choices", fakeprovider.JSON(200, `{"id":"a","object":"chat.completion","choices":null}`), ""},
		{"not JSON at all", fakeprovider.Bytes(200, "text/html", []byte("<html>Sign in</html>")), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.Script(fakeprovider.Always(c.reply))
			m, err := message(t, client, question())
			e := apiError(t, err)
			if textOf(m) != c.text {
				t.Errorf("text before the error: %q, want %q", textOf(m), c.text)
			}
			var body errorBody
			if err := json.Unmarshal([]byte(e.RawJSON()), &body); err != nil || body.Type != "error" || body.Error.Type == "" || len(body.Error.Message) < 5 {
				t.Errorf("%v: %s", err, e.RawJSON())
			}
			if _, err := client.Messages.New(t.Context(), question()); err == nil {
				t.Error("no error for a client that wants no stream")
			} else if e := apiError(t, err); e.StatusCode < 400 {
				t.Errorf("status %d for a client that wants no stream", e.StatusCode)
			}
		})
	}
}

// A client that leaves is gone for the provider, too.
func TestMessagesAbort(t *testing.T) {
	s, url := serve(t)
	client := claude(url)
	s.Script(fakeprovider.Always(chunks("stop", `{"role":"assistant","content":"The "}`, `{"content":"tide"}`).HangAfter(1)))
	ctx, cancel := context.WithCancel(t.Context())
	stream := client.Messages.NewStreaming(ctx, question())
	for stream.Next() {
		if stream.Current().Type == "content_block_delta" {
			cancel()
		}
	}
	if !errors.Is(stream.Err(), context.Canceled) {
		t.Errorf("%v", stream.Err())
	}
	s.WaitCancelled(1, patience)

	s.Script(fakeprovider.Always(fakeprovider.Reply{}.HangBeforeHead()))
	ctx, cancel = context.WithCancel(t.Context())
	go func() { s.WaitCount(2, patience); cancel() }()
	if _, err := client.Messages.New(ctx, question()); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	s.WaitCancelled(2, patience)
}

// What the gateway rejects by itself, it rejects in the client's API.
func TestMessagesRefused(t *testing.T) {
	s, url := serve(t)
	client := claude(url)
	count := s.Count()
	_, err := client.Messages.CountTokens(t.Context(), anthropic.MessageCountTokensParams{Model: "m", Messages: question().Messages})
	if e := apiError(t, err); e.StatusCode != http.StatusNotFound || !strings.Contains(e.RawJSON(), `"not_found_error"`) {
		t.Errorf("%d %s", e.StatusCode, e.RawJSON())
	}
	params := question()
	params.Tools = []anthropic.ToolUnionParam{{OfWebSearchTool20250305: &anthropic.WebSearchTool20250305Param{}}}
	_, err = client.Messages.New(t.Context(), params)
	if e := apiError(t, err); e.StatusCode != http.StatusBadRequest || !strings.Contains(e.RawJSON(), "tools") {
		t.Errorf("%d %s", e.StatusCode, e.RawJSON())
	}
	if s.Count() != count {
		t.Error("the provider was asked")
	}
}
