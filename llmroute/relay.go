package llmroute

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/receive"
)

const (
	// smallBuffer is the buffer of a stream for as long as its events are
	// small: it is held for as long as the stream is open.
	smallBuffer = 4 << 10
	// largeBuffer is the buffer of other responses, and of streams while what
	// comes fills the small one.
	largeBuffer = 32 << 10
	// hugeBuffer is the buffer of responses that are known to be longer than that.
	// Each read of an HTTP/2 answer is acknowledged to the provider by itself.
	hugeBuffer = 128 << 10

	// headWait is how long a stream's headers wait for its first event, to be
	// sent with it. Then the client is to know that the stream is open.
	headWait = 2 * time.Millisecond
)

var (
	smallBuffers = sync.Pool{New: func() any { return new([smallBuffer]byte) }}
	largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}
	hugeBuffers  = sync.Pool{New: func() any { return new([hugeBuffer]byte) }}
)

// relay passes the body of one response on to the client.
type relay struct {
	x       *exchange
	body    io.Reader
	length  int64 // of the body, -1 if it is not known
	reader  llmprovider.Reader
	dog     *receive.Watchdog
	out     *http.ResponseController
	stream  bool
	flushes bool // what is read goes out at once
	pass    func([]byte) error

	// lost is why a stream can no longer be written to the client. If the client
	// has left at the finish reason, the stream is read on for its usage.
	lost   error
	lostAt time.Time

	begin llmprovider.Head
	begun bool // begin was written

	head struct { // the headers, on their way before the first event
		sync.Mutex
		timer *time.Timer
		done  bool
	}
}

// run reads the body to its end and passes it on.
func (r *relay) run() error {
	r.pass = r.write
	if !r.stream {
		return r.copyAll()
	}
	r.writeHead()
	r.sendHeadSoon()
	defer r.headIsDone()
	for {
		b := smallBuffers.Get().(*[smallBuffer]byte)
		more, err := r.copy(b[:], func(n int) bool { return n < smallBuffer })
		smallBuffers.Put(b)
		if !more {
			return err
		}
		// Back to the small one when all that had arrived is passed on: one large
		// event must not cost a large buffer for the rest of the stream.
		l := largeBuffers.Get().(*[largeBuffer]byte)
		more, err = r.copy(l[:], func(n int) bool { return n > smallBuffer })
		largeBuffers.Put(l)
		if !more {
			return err
		}
	}
}

// copyAll passes on the body of a response that is no stream.
func (r *relay) copyAll() error {
	var buf []byte
	if r.length > largeBuffer {
		b := hugeBuffers.Get().(*[hugeBuffer]byte)
		defer hugeBuffers.Put(b)
		buf = b[:]
	} else {
		b := largeBuffers.Get().(*[largeBuffer]byte)
		defer largeBuffers.Put(b)
		buf = b[:]
	}
	_, err := r.copy(buf, func(int) bool { return true })
	return err
}

// copy passes the body on until it ends, or until a read of n bytes shows that
// the buffer no longer fits what comes; more tells that the body goes on.
func (r *relay) copy(buf []byte, fits func(n int) bool) (more bool, err error) {
	for {
		r.dog.Wait()
		n, readErr := r.body.Read(buf)
		r.dog.Rest() // a slow client is not the provider's silence
		if n > 0 {
			if r.x.firstByte == 0 {
				r.x.firstByte = time.Since(r.x.Began)
				r.headIsDone()
				r.x.showAnswer()
			}
			at := time.Duration(0)
			if r.stream && r.x.FirstToken == 0 {
				at = time.Since(r.x.Began)
			}
			if err := r.reader.Write(buf[:n], r.pass); err != nil {
				return false, err
			}
			if at > 0 && r.reader.Content() {
				r.x.FirstToken = at
				r.x.span.FirstToken()
			}
			if readErr == nil && r.flushes && r.lost == nil {
				if err := r.flush(); err != nil {
					return false, err
				}
			}
			if r.stream && (r.noteFinish() || r.lost != nil) && r.left() {
				return false, r.lost
			}
		}
		switch {
		case readErr == io.EOF:
			if err := r.reader.Finish(r.pass); err != nil {
				return false, err
			}
			r.writeHead() // of a response without a body
			return false, nil
		case readErr != nil:
			return false, readErr
		case !fits(n):
			return true, nil
		}
	}
}

// writeHead writes the response's head, if it was not written yet: before the body of
// most streams, else with the first byte of the body.
func (r *relay) writeHead() {
	if r.begun {
		return
	}
	r.begun = true
	if r.begin.Stream {
		streamed(r.begin.Header)
	}
	copyHeader(r.x.w.Header(), r.begin.Header)
	r.x.Status = r.begin.Status
	r.x.w.WriteHeader(r.begin.Status)
}

func (r *relay) write(p []byte) error {
	if r.lost != nil {
		return nil //nolint:nilerr // a stream is read on for its usage, see lose
	}
	if r.stream {
		r.noteFinish() // before the client sees it, and leaves
	}
	r.writeHead()
	if _, err := r.x.w.Write(p); err != nil {
		return r.lose(err)
	}
	return nil
}

func (r *relay) flush() error {
	if !r.begun { // the reader holds everything back
		return nil
	}
	if err := r.out.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return r.lose(err)
	}
	return nil
}

// lose notes that the client cannot be written to. It is an error for what is no
// stream; a stream's reader is to see all of what was read.
func (r *relay) lose(err error) error {
	if !r.stream {
		return errClientWrite{err}
	}
	r.lost, r.lostAt = errClientWrite{err}, time.Now()
	return nil
}

// noteFinish reports whether all content has come: the stream gave a finish
// reason, or ended.
func (r *relay) noteFinish() bool {
	if r.x.complete.Load() {
		return true
	}
	if r.reader.Usage().FinishReason == "" && !r.reader.Ended() {
		return false
	}
	r.x.complete.Store(true)
	return true
}

// left reports whether the client has left and nothing more is to be read: at
// once before the finish reason, after it when the usage has come.
func (r *relay) left() bool {
	if r.lost == nil {
		if !r.x.clientGone() {
			return false
		}
		_ = r.lose(context.Cause(r.x.r.Context()))
	}
	if !r.x.complete.Load() || r.reader.Settled() || r.reader.Ended() || time.Since(r.lostAt) > restTime {
		return true
	}
	r.dog.Restart(restTime, receive.ErrIdle)
	return false
}

// sendHeadSoon sends the headers if no event comes first.
func (r *relay) sendHeadSoon() {
	r.head.timer = time.AfterFunc(headWait, func() {
		r.head.Lock()
		defer r.head.Unlock()
		if !r.head.done {
			r.head.done = true
			_ = r.out.Flush() // a client that is gone is found out at the first event
		}
	})
}

// headIsDone keeps the headers from being sent any more: from here on it is the
// request's own goroutine that writes.
func (r *relay) headIsDone() {
	if r.head.timer == nil {
		return
	}
	r.head.timer.Stop()
	r.head.Lock()
	r.head.done = true
	r.head.Unlock()
	r.head.timer = nil
}
