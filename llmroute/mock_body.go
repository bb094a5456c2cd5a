package llmroute

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
)

const (
	mockMaxBody = 32 << 20

	// A larger buffer is left to the garbage collector: a few large requests
	// must not pin their memory.
	mockMaxPooled = 2 << 20
)

var errMockTooLarge = errors.New("request body too large")

// read reads the request and finds out what speaks against answering it.
func (m *Mock) read(r *http.Request, endpoint mockEndpoint) (mockRequest, *mockError) {
	buf := mockBuffer(&m.bodies)
	defer mockRelease(&m.bodies, buf)
	body, err := mockReadBody(r.Body, r.ContentLength, *buf)
	*buf = body

	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, errMockTooLarge) || errors.As(err, &tooLarge):
		return mockRequest{}, &mockError{
			status:  http.StatusRequestEntityTooLarge,
			message: fmt.Sprintf("The request body is too large; the mock provider reads at most %d bytes.", mockMaxBody),
		}
	case err != nil:
		return mockRequest{}, mockBadValue("", "The request body ended too soon. Send all of it.")
	case !m.authorized(r):
		return mockRequest{}, &mockError{
			status:  http.StatusUnauthorized,
			code:    "invalid_api_key",
			message: "Incorrect API key. Send the key that llm_mock is configured with as 'Authorization: Bearer <key>'.",
		}
	case endpoint == mockUnknown:
		return mockRequest{}, &mockError{
			status: http.StatusNotFound,
			code:   "unknown_url",
			message: fmt.Sprintf("Unknown URL (%s %s). The mock provider serves paths that end in /chat/completions, "+
				"/completions, /responses, /embeddings, /moderations and /models.", r.Method, r.URL.Path),
		}
	}
	if allow := mockAllowed(endpoint, r.Method); allow != "" {
		return mockRequest{}, &mockError{
			status:  http.StatusMethodNotAllowed,
			code:    "method_not_supported",
			allow:   allow,
			message: fmt.Sprintf("Method %s is not allowed on %s; use %s.", r.Method, r.URL.Path, allow),
		}
	}
	if m.faulty() {
		return mockRequest{}, m.fault
	}
	if endpoint == mockModels {
		return mockRequest{}, nil
	}
	return mockParse(body, endpoint, m.model)
}

// mockAllowed returns nothing if the endpoint takes the method, else the
// methods that it takes.
func mockAllowed(endpoint mockEndpoint, method string) string {
	switch {
	case endpoint != mockModels && method != http.MethodPost:
		return http.MethodPost
	case endpoint == mockModels && method != http.MethodGet && method != http.MethodHead:
		return "GET, HEAD"
	}
	return ""
}

// mockReadBody appends the body to buf, which grows with what really arrives:
// size, which the client claims, is good for a first guess only.
func mockReadBody(body io.Reader, size int64, buf []byte) ([]byte, error) {
	if body == nil {
		return buf, nil
	}
	if size > mockMaxBody {
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
		case len(buf) > mockMaxBody:
			return buf, errMockTooLarge
		case err == io.EOF:
			return buf, nil
		case err != nil:
			return buf, err
		}
	}
}

// mockBuffer takes an empty buffer from the pool.
func mockBuffer(pool *sync.Pool) *[]byte {
	if b, ok := pool.Get().(*[]byte); ok {
		*b = (*b)[:0]
		return b
	}
	b := make([]byte, 0, 1024)
	return &b
}

// mockRelease gives a buffer back that nobody uses any more.
func mockRelease(pool *sync.Pool, b *[]byte) {
	if cap(*b) <= mockMaxPooled {
		pool.Put(b)
	}
}
