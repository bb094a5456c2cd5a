package llmroute

import (
	"context"
	"crypto/subtle"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// mockEndpoint is one of the API's endpoints.
type mockEndpoint int

const (
	mockUnknown mockEndpoint = iota
	mockChat
	mockCompletions
	mockResponses
	mockEmbeddings
	mockModerations
	mockModels
)

// mockEndpointOf tells the endpoint by the end of the path, because providers
// serve the API below various prefixes.
func mockEndpointOf(path string) mockEndpoint {
	switch {
	case strings.HasSuffix(path, "/chat/completions"):
		return mockChat
	case strings.HasSuffix(path, "/completions"):
		return mockCompletions
	case strings.HasSuffix(path, "/responses"):
		return mockResponses
	case strings.HasSuffix(path, "/embeddings"):
		return mockEmbeddings
	case strings.HasSuffix(path, "/moderations"):
		return mockModerations
	case strings.HasSuffix(path, "/models"):
		return mockModels
	}
	return mockUnknown
}

// ServeHTTP answers the request; it never calls the next handler.
func (m *Mock) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	endpoint := mockEndpointOf(r.URL.Path)
	// The body comes first: until it has been read, net/http does not notice
	// that a client has left, and the latency could not be cut short.
	req, fail := m.read(r, endpoint)
	if err := mockPause(r.Context(), time.Duration(m.Latency)); err != nil {
		return caddyhttp.Error(499, err) // nginx's "client closed request"
	}
	id := m.lastID.Add(1)
	w.Header().Set("X-Request-Id", "req_mock"+strconv.FormatUint(id, 16))
	switch {
	case fail != nil:
		fail.write(w)
	case endpoint == mockModels:
		mockWriteJSON(w, http.StatusOK, m.models, nil, nil)
	case endpoint == mockEmbeddings:
		m.answerEmbeddings(w, &req)
	case endpoint == mockModerations:
		m.answerModerations(w, &req, id)
	case endpoint == mockResponses && req.stream:
		m.streamResponse(w, r, &req, id)
	case endpoint == mockResponses:
		m.answerResponse(w, &req, id)
	case req.stream:
		m.streamCompletion(w, r, &req, id, mockShapeOf(endpoint))
	default:
		m.answerCompletion(w, &req, id, mockShapeOf(endpoint))
	}
	return nil
}

// authorized reports whether the request carries the configured key.
func (m *Mock) authorized(r *http.Request) bool {
	if m.key == "" {
		return true
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer") &&
		subtle.ConstantTimeCompare([]byte(strings.TrimSpace(token)), []byte(m.key)) == 1
}

// faulty reports whether this request is one of those that get the fault.
func (m *Mock) faulty() bool {
	if m.fault == nil {
		return false
	}
	// A request is a fault when the sum of the shares steps over a whole number
	// with it. Counting in millionths keeps the sum exact for ever.
	n := (m.requests.Add(1) - 1) % mockWhole
	return (n+1)*m.faultShare/mockWhole != n*m.faultShare/mockWhole
}

// usage returns the tokens to report for an answer to the request.
func (m *Mock) usage(req *mockRequest) (prompt, completion int) {
	prompt, completion = mockTokens(req.promptSize), m.textTokens
	if req.tool != "" {
		completion = mockTokens(len(req.tool) + len("{}"))
	}
	if m.PromptTokens != nil {
		prompt = *m.PromptTokens
	}
	if m.CompletionTokens != nil {
		completion = *m.CompletionTokens
	}
	return prompt, completion
}

// mockPause waits for d, or until the context ends, whose cause it then returns.
func mockPause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// mockWriteJSON sends one JSON document that comes in up to three parts. A
// failure to write means that the client has left, which concerns nobody.
func mockWriteJSON(w http.ResponseWriter, status int, head, text, tail []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(head)+len(text)+len(tail)))
	w.WriteHeader(status)
	for _, part := range [...][]byte{head, text, tail} {
		if len(part) == 0 {
			continue
		}
		if _, err := w.Write(part); err != nil {
			return
		}
	}
}

// Interface guard
var _ caddyhttp.MiddlewareHandler = (*Mock)(nil)
