package llmprovider

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestUnsupportedNamesThePathInTheShapeOfItsAPI(t *testing.T) {
	const openai, messages, gemini = `{"error":{"message":"`, `{"type":"error","error":{"type":"not_found_error","message":"`, `{"error":{"code":404,"message":"`
	for _, test := range []struct{ method, path, shape, want string }{
		{"POST", "/healthz", openai, "there is no endpoint at this path: /healthz. Chat completions are at /v1/chat/completions"},
		{"POST", "/v1", openai, "at this path: /v1."},
		{"GET", "/v1/tokens/count", openai, "at this path: /v1/tokens/count."},
		{"POST", "/v1/files", openai, "does not route POST requests to the files API at this path; call the provider directly for it: /v1/files."},
		{"DELETE", "/v1/responses/r1", openai, "does not route DELETE requests to the responses API"},
		{"GET", "/assistants/a1", openai, "the assistants API"},
		{"POST", "/v1/threads/t/messages", openai, "the threads API"},
		{"DELETE", "/v1/models/m", openai, "the models API"},
		{"POST", "/v1/messages", messages, "the messages API at this path; call the provider directly for it: /v1/messages."},
		{"POST", "/anthropic/v1/messages/count_tokens", messages, "/anthropic/v1/messages/count_tokens."},
		{"POST", "/v1/complete", messages, "/v1/complete."},
		{"POST", "/v1beta/models/x:countTokens", gemini, "/v1beta/models/x:countTokens."},
		{"POST", "/v1/projects/p/locations/l/publishers/google/models/x:generateContent", gemini, "the models API"},
		{"POST", "/v1beta/tunedModels/x:generateContent", gemini, "the tunedModels API"},
		{"POST", "/v1/models/llama3.2:latest", openai, "the models API"},
		{"POST", "/a%22%0a%3Cb", openai, `/a%22%0a%3Cb.`},
		{"POST", "/" + strings.Repeat("x", 1000), openai, "/" + strings.Repeat("x", maxPathInError-1) + "…"},
		{strings.Repeat("M", 1000), "/v1/files", openai, "route MMMMMMMMMMMMMMMM… requests"},
	} {
		err := Unsupported(&http.Request{Method: test.method, URL: at(t, test.path)})
		if err.Status != http.StatusNotFound || err.Code != "unsupported_endpoint" || err.Type != TypeInvalidRequest {
			t.Errorf("%s %s: %d %s %s", test.method, test.path, err.Status, err.Type, err.Code)
		}
		if body := string(err.JSON()); !strings.HasPrefix(body, test.shape) || !strings.Contains(err.Message, test.want) || len(body) > 600 {
			t.Errorf("%s %s: %s", test.method, test.path, body)
		}
	}
}

func TestErrorsInTheShapesOfOtherAPIs(t *testing.T) {
	for status, want := range map[int][2]string{
		400: {"invalid_request_error", "INVALID_ARGUMENT"}, 401: {"authentication_error", "UNAUTHENTICATED"}, 403: {"permission_error", "PERMISSION_DENIED"},
		404: {"not_found_error", "NOT_FOUND"}, 413: {"request_too_large", "INVALID_ARGUMENT"}, 429: {"rate_limit_error", "RESOURCE_EXHAUSTED"},
		500: {"api_error", "INTERNAL"}, 502: {"api_error", "UNAVAILABLE"}, 503: {"api_error", "UNAVAILABLE"}, 504: {"api_error", "DEADLINE_EXCEEDED"},
	} {
		err := &Error{Status: status, Message: "m", API: MessagesAPI}
		if got := string(err.JSON()); got != `{"type":"error","error":{"type":"`+want[0]+`","message":"m"}}` {
			t.Errorf("%d: %s", status, got)
		}
		err.API = GeminiAPI
		if got := string(err.JSON()); !strings.HasSuffix(got, `,"message":"m","status":"`+want[1]+`"}}`) {
			t.Errorf("%d: %s", status, got)
		}
	}
}

func TestAWebSocketForResponsesIsRefused(t *testing.T) {
	handshake := func(method, path string, major int, header ...string) *http.Request {
		r := httptest.NewRequest(method, path, nil)
		r.ProtoMajor = major
		for i := 0; i < len(header); i += 2 {
			r.Header[header[i]] = append(r.Header[header[i]], header[i+1])
		}
		return r
	}
	http3 := handshake("CONNECT", "/v1/responses", 3)
	http3.Proto = "websocket"
	for name, test := range map[string]struct {
		r    *http.Request
		want bool
	}{
		"HTTP/1.1":              {handshake("GET", "/v1/responses", 1, "Upgrade", "websocket", "Connection", "Upgrade"), true},
		"several tokens":        {handshake("GET", "/responses/", 1, "Upgrade", "h2c", "Upgrade", "foo , WebSocket", "Connection", "keep-alive, upgrade"), true},
		"HTTP/2":                {handshake("CONNECT", "/v1/responses", 2, ":protocol", "websocket"), true},
		"HTTP/3":                {http3, true},
		"no Connection":         {handshake("GET", "/v1/responses", 1, "Upgrade", "websocket"), false},
		"another protocol":      {handshake("GET", "/v1/responses", 1, "Upgrade", "h2c", "Connection", "Upgrade, HTTP2-Settings"), false},
		"POST, as curl --http2": {handshake("POST", "/v1/responses", 1, "Upgrade", "h2c", "Connection", "Upgrade, HTTP2-Settings"), false},
		"POST":                  {handshake("POST", "/v1/responses", 1, "Upgrade", "websocket", "Connection", "Upgrade"), false},
		"a tunnel":              {handshake("CONNECT", "/v1/responses", 2), false},
		"another endpoint":      {handshake("GET", "/v1/chat/completions", 1, "Upgrade", "websocket", "Connection", "Upgrade"), false},
	} {
		_, err := NewInbound(test.r)
		if got := err != nil; got != test.want {
			t.Errorf("%s: the error is %v", name, err)
		}
		if err != nil && (err.Status != http.StatusUpgradeRequired || !strings.Contains(err.Message, "send a POST")) {
			t.Errorf("%s: %d %s", name, err.Status, err.Message)
		}
	}
}
