package mock

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
)

const (
	maxBody = 32 << 20

	// A larger buffer is left to the garbage collector: a few large requests
	// must not pin their memory.
	maxPooled = 2 << 20
)

var errMockTooLarge = errors.New("request body too large")

// read reads the request and finds out what speaks against answering it.
func (m *Handler) read(r *http.Request, endpoint endpoint) (request, *apiError) {
	buf := getBuffer(&m.bodies)
	defer putBuffer(&m.bodies, buf)
	body, err := readBody(r.Body, r.ContentLength, *buf)
	*buf = body

	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, errMockTooLarge) || errors.As(err, &tooLarge):
		return request{}, &apiError{
			status:  http.StatusRequestEntityTooLarge,
			message: fmt.Sprintf("The request body is too large; the mock provider reads at most %d bytes.", maxBody),
		}
	case err != nil:
		return request{}, badValue("", "The request body ended too soon. Send all of it.")
	case !m.authorized(r):
		return request{}, &apiError{
			status:  http.StatusUnauthorized,
			code:    "invalid_api_key",
			message: "Incorrect API key. Send the key that llm_mock is configured with as 'Authorization: Bearer <key>'.",
		}
	case endpoint == unknownEndpoint, endpoint == metricsEndpoint:
		return request{}, &apiError{
			status: http.StatusNotFound,
			code:   "unknown_url",
			message: fmt.Sprintf("Unknown URL (%s %s). The mock provider serves paths that end in /chat/completions, "+
				"/completions, /responses, /responses/compact, /responses/input_tokens, /embeddings, /moderations and /models, and GET …/metrics.", r.Method, r.URL.Path),
		}
	}
	if allow := allowedMethod(endpoint, r.Method); allow != "" {
		return request{}, &apiError{
			status:  http.StatusMethodNotAllowed,
			code:    "method_not_supported",
			allow:   allow,
			message: fmt.Sprintf("Method %s is not allowed on %s; use %s.", r.Method, r.URL.Path, allow),
		}
	}
	if m.faulty() {
		return request{}, m.fault
	}
	if endpoint == modelsEndpoint {
		return request{}, nil
	}
	return parseRequest(body, endpoint, m.model)
}

// allowedMethod returns nothing if the endpoint takes the method, else the
// methods that it takes.
func allowedMethod(endpoint endpoint, method string) string {
	switch {
	case endpoint != modelsEndpoint && method != http.MethodPost:
		return http.MethodPost
	case endpoint == modelsEndpoint && method != http.MethodGet && method != http.MethodHead:
		return "GET, HEAD"
	}
	return ""
}

// readBody appends the body to buf, which grows with what really arrives:
// size, which the client claims, is good for a first guess only.
func readBody(body io.Reader, size int64, buf []byte) ([]byte, error) {
	if body == nil {
		return buf, nil
	}
	if size > maxBody {
		return buf, errMockTooLarge
	}
	// One byte more than the body lets the last read see its end.
	if want := int(min(max(size, 511), 1<<20)) + 1; cap(buf) < want {
		buf = make([]byte, 0, want)
	}
	for {
		if len(buf) == cap(buf) {
			grown := make([]byte, len(buf), 2*cap(buf))
			copy(grown, buf)
			buf = grown
		}
		n, err := body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case len(buf) > maxBody:
			return buf, errMockTooLarge
		case err == io.EOF:
			return buf, nil
		case err != nil:
			return buf, err
		}
	}
}

// getBuffer takes an empty buffer from the pool.
func getBuffer(pool *sync.Pool) *[]byte {
	if b, ok := pool.Get().(*[]byte); ok {
		*b = (*b)[:0]
		return b
	}
	b := make([]byte, 0, 1024)
	return &b
}

// putBuffer gives a buffer back that nobody uses any more.
func putBuffer(pool *sync.Pool, b *[]byte) {
	if cap(*b) <= maxPooled {
		pool.Put(b)
	}
}
