package fakeprovider

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// Recorded is one request as it arrived.
type Recorded struct {
	// Index counts the server's requests from 0.
	Index int
	// Time is when the head had been read.
	Time time.Time

	Method string
	// Path is the path as it was sent, escapes untouched.
	Path string
	// RawQuery is what followed the question mark, undecoded.
	RawQuery string
	// Target is the request line's target (HTTP/2: the :path).
	Target string
	// Host is the Host header or :authority.
	Host string
	// SNI is the server name of the TLS handshake; empty on plain connections.
	SNI string
	// Proto is HTTP/1.1 or HTTP/2.0.
	Proto string
	// Header holds every field but Host, names canonicalized, the values of a
	// repeated one in the order they arrived.
	Header http.Header
	// ContentLength is the declared length, -1 when none was declared.
	ContentLength int64
	// Body holds the exact bytes (up to the server's BodyLimit).
	Body []byte
	// BodyError is set when the client left while it was sending.
	BodyError error

	// Model and Stream are read from a JSON body, for scripts that need them;
	// IncludeUsage is stream_options.include_usage.
	Model        string
	Stream       bool
	IncludeUsage bool

	// Connection numbers the TCP connections of the server from 1: requests
	// with the same number shared one.
	Connection int64

	mu          sync.Mutex
	finished    bool
	cancelledAt time.Time
	sent        int64
	usage       *Usage
	done        chan struct{}
}

// Cancelled reports whether the client left before the reply was complete.
func (r *Recorded) Cancelled() bool { return !r.CancelledAt().IsZero() }

// CancelledAt is when the client was seen to have left; zero if it stayed.
func (r *Recorded) CancelledAt() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cancelledAt
}

// Sent counts the body bytes handed to the connection so far.
func (r *Recorded) Sent() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sent
}

// Reported is the usage this request's reply carried in full, nil if none.
// It is known once Done is closed.
func (r *Recorded) Reported() *Usage {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.usage
}

// Done is closed when the server is finished with the request, however it went.
func (r *Recorded) Done() <-chan struct{} { return r.done }

// JSON decodes the body's members, for assertions; nil if it is not an object.
func (r *Recorded) JSON() map[string]any {
	var m map[string]any
	if json.Unmarshal(r.Body, &m) != nil {
		return nil
	}
	return m
}

// readBody fills in what scripts ask for most.
func (r *Recorded) readBody() {
	var b struct {
		Model         any `json:"model"`
		Stream        any `json:"stream"`
		StreamOptions struct {
			IncludeUsage any `json:"include_usage"`
		} `json:"stream_options"`
	}
	if json.Unmarshal(r.Body, &b) != nil {
		return
	}
	r.Model, _ = b.Model.(string)
	r.Stream, _ = b.Stream.(bool)
	r.IncludeUsage, _ = b.StreamOptions.IncludeUsage.(bool)
}

// markFinished notes that nothing is left to send, so a client that closes
// now has not cancelled anything.
func (r *Recorded) markFinished() {
	r.mu.Lock()
	r.finished = true
	r.mu.Unlock()
}

// markCancelled notes the client's departure and reports whether it was one.
func (r *Recorded) markCancelled() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.finished || !r.cancelledAt.IsZero() {
		return false
	}
	r.cancelledAt = time.Now()
	return true
}
