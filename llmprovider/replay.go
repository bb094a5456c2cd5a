package llmprovider

import (
	"io"
	"net/http"
	"sync"
)

// Replay is a request's body that was read, for another reader to read. It holds
// the body's memory until it is closed. It is safe for concurrent use.
type Replay struct {
	mu     sync.Mutex
	buf    *buffer // nil once closed
	off    int
	closed bool
}

// Replay hands the body over to a reader. The request has none until it is taken
// back with Take.
func (in *Inbound) Replay() *Replay {
	r := &Replay{buf: in.body}
	in.body = nil
	return r
}

// Take gives the body back to the request that it is of, which is then to be
// released, and reports whether it was still there. The reader has nothing more.
func (in *Inbound) Take(r *Replay) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.buf == nil || in.body != nil {
		return false
	}
	in.body, r.buf = r.buf, nil
	return true
}

// Read implements io.Reader.
func (r *Replay) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return 0, http.ErrBodyReadAfterClose
	case r.buf == nil || r.off == len(r.buf.b):
		return 0, io.EOF
	}
	n := copy(p, r.buf.b[r.off:])
	r.off += n
	return n, nil
}

// Close implements io.Closer.
func (r *Replay) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.buf != nil {
		r.buf.release()
		r.buf = nil
	}
	r.closed = true
	return nil
}

// Interface guards
var _ io.ReadCloser = (*Replay)(nil)
