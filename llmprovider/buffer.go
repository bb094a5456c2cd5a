package llmprovider

import (
	"bytes"
	"errors"
	"io"
	"math/bits"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
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
	// unknownLength is the first buffer of a body without a Content-Length.
	unknownLength = 8 << 10
)

var bufferPools [13]sync.Pool // 1 KiB to 4 MiB, one pool a power of two

// buffer is a request body in memory. It is shared by the handler and by the
// attempts that send it: a transport may still read a body after its RoundTrip
// has returned, so the memory is reused only after the last of them let go.
type buffer struct {
	b        []byte
	refs     atomic.Int32
	budget   *Budget
	reserved int64 // of budget
	lent     bool  // the memory is somebody else's, and is not reused
}

func poolIndex(n int) int {
	if n <= minBuffer {
		return 0
	}
	return bits.Len(uint(n-1)) - 10
}

// newBuffer returns an empty buffer with room for at least n bytes and one
// reference. Its memory is not reserved.
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

// reserve has n bytes reserved for the buffer, and reports whether there was room.
func (b *buffer) reserve(budget *Budget, n int64) bool {
	if n > b.reserved {
		if !budget.reserve(n - b.reserved) {
			return false
		}
		b.budget, b.reserved = budget, n
	}
	return true
}

func (b *buffer) retain() { b.refs.Add(1) }

func (b *buffer) release() {
	if b.refs.Add(-1) != 0 {
		return
	}
	b.budget.release(b.reserved)
	b.budget, b.reserved = nil, 0
	if b.lent {
		b.b = nil
		return
	}
	if n := cap(b.b); n <= maxPooled && n&(n-1) == 0 && n >= minBuffer {
		b.b = b.b[:0]
		bufferPools[poolIndex(n)].Put(b)
	}
}

// readBody reads all of r, at most limit bytes. length is the announced
// Content-Length, or -1. Its bytes are reserved before there is memory for them: a
// little at first, and all that was announced once that little has come, so that a
// body which was begun can be read to its end, and clients which announce much and
// send nothing hold little. One without a length is reserved for as it grows.
func readBody(r io.Reader, length, limit int64, budget *Budget) (*buffer, error) {
	if length > limit {
		return nil, errTooLarge
	}
	first := min(unknownLength, limit)
	if length >= 0 {
		first = min(length, firstBuffer)
	}
	if !budget.room(max(length, first)) {
		return nil, errNoRoom
	}
	buf := newBuffer(int(min(first+1, firstBuffer))) // one more, so that the read that fills it meets the end
	if !buf.reserve(budget, first) {
		buf.release()
		return nil, errNoRoom
	}
	var began time.Time
	for {
		n, err := r.Read(buf.b[len(buf.b):cap(buf.b)])
		buf.b = buf.b[:len(buf.b)+n]
		switch {
		case int64(len(buf.b)) > limit:
			err = errTooLarge
		case !buf.reserve(budget, int64(len(buf.b))):
			err = errNoRoom
		case errors.Is(err, io.EOF):
			return buf, nil
		case err != nil:
		case began.IsZero():
			began = time.Now()
		case budget.tooSlow(began, len(buf.b)):
			err = errTooSlow
		}
		if err == nil && len(buf.b) == cap(buf.b) {
			buf, err = buf.grow(length, limit, budget)
		}
		if err != nil {
			buf.release()
			return nil, err
		}
	}
}

// grow returns a larger buffer with the same content, and lets go of b; or b, if
// there is no room for it. The larger one has room for a byte more than is
// expected or allowed, to meet what follows.
func (b *buffer) grow(length, limit int64, budget *Budget) (*buffer, error) {
	times := int64(8)
	if length < 0 && cap(b.b) >= 64*unknownLength {
		times = 2 // what is reserved must not be much more than what comes
	}
	room := min(times*int64(cap(b.b))-1, limit)
	if length >= int64(len(b.b)) {
		room = min(room, length)
	}
	if !b.reserve(budget, max(room, min(length, limit))) {
		return b, errNoRoom
	}
	larger := newBuffer(int(room) + 1)
	larger.b = append(larger.b, b.b...)
	larger.budget, larger.reserved = b.budget, b.reserved
	b.budget, b.reserved = nil, 0
	b.release()
	return larger, nil
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
		a.segs, a.buf = *segs, buf
		a.request.Body = newSegmentReader(segs, buf)
		a.request.GetBody = a.bodyAgain
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

// errBodyGone is returned to a transport that asks for the body once more after there was
// a response.
var errBodyGone = errors.New("the request body is no longer held, because the response has begun")

// bodyAgain implements http.Request.GetBody. The request is held for as long as its
// response is read, so what the body is in must not be.
func (a *Attempt) bodyAgain() (io.ReadCloser, error) {
	if a.buf == nil {
		return nil, errBodyGone
	}
	return newSegmentReader(&a.segs, a.buf), nil
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
		s.closed, s.segs = true, segments{} // a response holds its request, and that its body
		s.buf.release()
		s.buf = nil
	}
	return nil
}

// Interface guards
var _ io.ReadCloser = (*segmentReader)(nil)
