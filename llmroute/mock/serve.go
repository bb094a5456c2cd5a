package mock

import (
	"context"
	"crypto/subtle"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// endpoint is one of the API's endpoints.
type endpoint int

const (
	unknownEndpoint endpoint = iota
	chatEndpoint
	completionsEndpoint
	responsesEndpoint
	countEndpoint
	compactEndpoint
	embeddingsEndpoint
	moderationsEndpoint
	modelsEndpoint
	metricsEndpoint
)

// endpointOf tells the endpoint by the end of the path, because providers
// serve the API below various prefixes.
func endpointOf(path string) endpoint {
	switch {
	case strings.HasSuffix(path, "/chat/completions"):
		return chatEndpoint
	case strings.HasSuffix(path, "/completions"):
		return completionsEndpoint
	case strings.HasSuffix(path, "/responses"):
		return responsesEndpoint
	case strings.HasSuffix(path, "/responses/input_tokens"):
		return countEndpoint
	case strings.HasSuffix(path, "/responses/compact"):
		return compactEndpoint
	case strings.HasSuffix(path, "/embeddings"):
		return embeddingsEndpoint
	case strings.HasSuffix(path, "/moderations"):
		return moderationsEndpoint
	case strings.HasSuffix(path, "/models"):
		return modelsEndpoint
	case strings.HasSuffix(path, "/metrics"):
		return metricsEndpoint
	}
	return unknownEndpoint
}

// ServeHTTP answers the request; it never calls the next handler.
func (m *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	endpoint := endpointOf(r.URL.Path)
	if endpoint == metricsEndpoint && r.Method == http.MethodGet { // as in vLLM, without a key
		m.serveMetrics(w)
		return nil
	}
	// The body comes first: until it has been read, net/http does not notice
	// that a client has left, and the latency could not be cut short.
	req, fail := m.read(r, endpoint)
	if endpoint != modelsEndpoint {
		if err := m.queue.begin(r.Context()); err != nil {
			return caddyhttp.Error(499, err)
		}
		defer m.queue.end()
	}
	if err := pauseFor(r.Context(), time.Duration(m.Latency)); err != nil {
		return caddyhttp.Error(499, err) // nginx's "client closed request"
	}
	id := m.lastID.Add(1)
	w.Header().Set("X-Request-Id", "req_mock"+strconv.FormatUint(id, 16))
	switch {
	case fail != nil:
		fail.write(w)
	case endpoint == modelsEndpoint:
		writeJSON(w, http.StatusOK, m.models, nil, nil)
	case endpoint == embeddingsEndpoint:
		m.answerEmbeddings(w, &req)
	case endpoint == moderationsEndpoint:
		m.answerModerations(w, &req, id)
	case endpoint == countEndpoint:
		m.answerCount(w, &req)
	case endpoint == compactEndpoint:
		m.answerCompaction(w, &req, id)
	case endpoint == responsesEndpoint && req.stream:
		m.streamResponse(w, r, &req, id)
	case endpoint == responsesEndpoint:
		m.answerResponse(w, &req, id)
	case req.stream:
		m.streamCompletion(w, r, &req, id, shapeOf(endpoint))
	default:
		m.answerCompletion(w, &req, id, shapeOf(endpoint))
	}
	return nil
}

// authorized reports whether the request carries the configured key.
func (m *Handler) authorized(r *http.Request) bool {
	if m.key == "" {
		return true
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer") &&
		subtle.ConstantTimeCompare([]byte(strings.TrimSpace(token)), []byte(m.key)) == 1
}

// faulty reports whether this request is one of those that get the fault.
func (m *Handler) faulty() bool {
	if m.fault == nil {
		return false
	}
	// A request is a fault when the sum of the shares steps over a whole number
	// with it. Counting in millionths keeps the sum exact for ever.
	n := (m.requests.Add(1) - 1) % wholeText
	return (n+1)*m.faultShare/wholeText != n*m.faultShare/wholeText
}

// usage returns the tokens to report for an answer to the request.
func (m *Handler) usage(req *request) (prompt, completion int) {
	prompt, completion = countTokens(req.promptSize), m.textTokens
	if req.tool != "" {
		completion = countTokens(len(req.tool) + len("{}"))
	}
	if m.PromptTokens != nil {
		prompt = *m.PromptTokens
	}
	if m.CompletionTokens != nil {
		completion = *m.CompletionTokens
	}
	return prompt, completion
}

// pauseFor waits for d, or until the context ends, whose cause it then returns.
func pauseFor(ctx context.Context, d time.Duration) error {
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

// writeJSON sends one JSON document that comes in up to three parts. A
// failure to write means that the client has left, which concerns nobody.
func writeJSON(w http.ResponseWriter, status int, head, text, tail []byte) {
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
var _ caddyhttp.MiddlewareHandler = (*Handler)(nil)
