package llmprovider

import (
	"bytes"
	"errors"
	"io"
	"math/bits"
	"net/http"
	"sync"
	"sync/atomic"
)

const (
	// minBuffer is the smallest pooled buffer.
	minBuffer = 1 << 10
	// maxPooled is the largest buffer kept for reuse; larger ones are rare.
	maxPooled = 4 << 20
	// firstBuffer is the most that a Content-Length alone makes the gateway
	// allocate. More is allocated as bytes really arrive, so that clients which
	// announce much and send nothing hold little.
	firstBuffer = 128 << 10
)

var bufferPools [13]sync.Pool // 1 KiB to 4 MiB, one pool a power of two

// buffer is a request body in memory. It is shared by the handler and by the
// attempts that send it: a transport may still read a body after its RoundTrip
// has returned, so the memory is reused only after the last of them let go.
type buffer struct {
	b    []byte
	refs atomic.Int32
}

func poolIndex(n int) int {
	if n <= minBuffer {
		return 0
	}
	return bits.Len(uint(n-1)) - 10
}

// newBuffer returns an empty buffer with room for at least n bytes and one
// reference.
func newBuffer(n int) *buffer {
	if n <= maxPooled {
		i := poolIndex(n)
		if v, _ := bufferPools[i].Get().(*buffer); v != nil {
			v.refs.Store(1)
			return v
		}
		n = minBuffer << i
	}
	buf := &buffer{b: make([]byte, 0, n)}
	buf.refs.Store(1)
	return buf
}

func (b *buffer) retain() { b.refs.Add(1) }

func (b *buffer) release() {
	if b.refs.Add(-1) != 0 {
		return
	}
	if n := cap(b.b); n <= maxPooled && n&(n-1) == 0 && n >= minBuffer {
		b.b = b.b[:0]
		bufferPools[poolIndex(n)].Put(b)
	}
}

// errTooLarge is returned by readBody for a body over its limit.
var errTooLarge = errors.New("request body over the limit")

// readBody reads all of r, at most limit bytes. length is the announced
// Content-Length, or -1.
func readBody(r io.Reader, length, limit int64) (*buffer, error) {
	if length > limit {
		return nil, errTooLarge
	}
	room := int64(8 << 10)
	if length >= 0 {
		room = min(length+1, firstBuffer) // one more, so that the read that fills it meets the end
	}
	buf := newBuffer(int(room))
	for {
		n, err := r.Read(buf.b[len(buf.b):cap(buf.b)])
		buf.b = buf.b[:len(buf.b)+n]
		if int64(len(buf.b)) > limit {
			buf.release()
			return nil, errTooLarge
		}
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			buf.release()
			return nil, err
		}
		if len(buf.b) == cap(buf.b) {
			buf = buf.grow(length, limit)
		}
	}
}

// grow returns a larger buffer with the same content, and lets go of b. It has
// room for a byte more than is expected or allowed, to meet what follows.
func (b *buffer) grow(length, limit int64) *buffer {
	room := min(8*int64(cap(b.b))-1, limit)
	if length >= int64(len(b.b)) {
		room = min(room, length)
	}
	larger := newBuffer(int(room) + 1)
	larger.b = append(larger.b, b.b...)
	b.release()
	return larger
}

// maxJoined is the largest body that is copied into one piece, in bytes.
// net/http then sends it together with the headers, in one packet; it does so
// only for readers it knows.
const maxJoined = 3 << 10

// setBody gives the attempt's request its body, and what lets the transport send
// it once more: on another connection, when the one that it picked turns out
// closed before anything was written. That is called inside RoundTrip, while the
// handler holds buf.
func (a *Attempt) setBody(segs *segments, buf *buffer) {
	if segs.size > maxJoined {
		r := newSegmentReader(segs, buf)
		a.request.Body = r
		a.request.GetBody = func() (io.ReadCloser, error) { return newSegmentReader(&r.segs, buf), nil }
		return
	}
	joined := make([]byte, 0, segs.size)
	for _, part := range segs.part[:segs.n] {
		joined = append(joined, part...)
	}
	a.joined.Reset(joined)
	a.request.Body = io.NopCloser(&a.joined)
	a.request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(joined)), nil }
}

// segmentReader sends a body's segments. The transport closes it when it has
// done with the memory behind them.
type segmentReader struct {
	segs segments
	buf  *buffer

	mu     sync.Mutex // an HTTP/2 transport may close it while it reads
	i, off int
	closed bool
}

func newSegmentReader(segs *segments, buf *buffer) *segmentReader {
	buf.retain()
	return &segmentReader{segs: *segs, buf: buf}
}

// Read implements io.Reader.
func (s *segmentReader) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, http.ErrBodyReadAfterClose
	}
	n := 0
	for s.i < s.segs.n && n < len(p) {
		c := copy(p[n:], s.segs.part[s.i][s.off:])
		n += c
		s.off += c
		if s.off == len(s.segs.part[s.i]) {
			s.i, s.off = s.i+1, 0
		}
	}
	if n == 0 && s.i == s.segs.n {
		return 0, io.EOF
	}
	return n, nil
}

// Close implements io.Closer.
func (s *segmentReader) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		s.buf.release()
	}
	return nil
}

// Interface guards
var _ io.ReadCloser = (*segmentReader)(nil)
