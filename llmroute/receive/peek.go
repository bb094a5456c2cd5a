package receive

import (
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/caddy-llm/gateway/llmprovider/tap"
)

const (
	// PeekSize is how much of a response is looked at before it is passed on, in
	// bytes.
	PeekSize = 8 << 10
	// PeekTime is how long a response is waited for before its head is passed on.
	PeekTime = 5 * time.Second
)

// peekBuffers holds the buffers of beginnings that were passed on.
var peekBuffers = sync.Pool{New: func() any { return new([PeekSize]byte) }}

// judgement says what a response is by its beginning, and whether that is certain; all
// reports whether data is the whole.
type judgement func(data []byte, all bool) (v tap.Verdict, certain bool)

// BegunBody is a response's body whose beginning was read before it is passed on.
type BegunBody struct {
	io.ReadCloser
	room *[PeekSize]byte
	buf  []byte // of room: what was read
	off  int    // how much of it was passed on
	err  error  // how the body ended
}

// PeekWhole reads the beginning of a body that is no stream until judge is certain of
// it, or PeekSize of it. Its client gets nothing before its first bytes anyway. err is
// how the body ended, if it has. The whole body is then to be read from b.
func PeekWhole(body io.ReadCloser, dog *Watchdog, judge judgement) (v tap.Verdict, b *BegunBody, err error) {
	b = &BegunBody{ReadCloser: body, room: peekBuffers.Get().(*[PeekSize]byte)}
	for certain := false; !certain && b.err == nil && len(b.buf) < PeekSize; {
		dog.Wait()
		n, err := body.Read(b.room[len(b.buf):])
		dog.Rest()
		b.buf, b.err = b.room[:len(b.buf)+n], err
		v, certain = judge(b.buf, err == io.EOF)
		if !certain {
			v = ""
		}
	}
	return v, b, b.err
}

// Peeked returns what was read so far. It is to be called before the body is read.
func (b *BegunBody) Peeked() []byte { return b.buf }

// Read implements io.Reader.
func (b *BegunBody) Read(p []byte) (int, error) {
	if b.off < len(b.buf) {
		n := copy(p, b.buf[b.off:])
		if b.off += n; b.off < len(b.buf) {
			return n, nil
		}
		peekBuffers.Put(b.room)
		b.room, b.buf, b.off = nil, nil, 0
		return n, b.err
	}
	if b.err != nil {
		return 0, b.err
	}
	return b.ReadCloser.Read(p)
}

// PeekedBody is the body of a stream whose beginning is read before it is passed on.
// It reads on by itself until enough is known.
type PeekedBody struct {
	io.ReadCloser

	mu    sync.Mutex
	more  sync.Cond       // something was read, or reading by itself has ended
	limit int             // of what is read by itself, in bytes
	room  *[PeekSize]byte // nil for a buffer that grows
	buf   []byte          // of room: what was read
	off   int             // how much of it was passed on
	taken bool            // it is being passed on, known or not
	ended bool            // reading by itself
	err   error           // how the body ended
	found tap.Verdict
}

// Peek reads the body of a stream until judge is certain of it, and for PeekTime at
// most. err is how the body ended, if it has. The whole body is then to be read from p.
func Peek(body io.ReadCloser, judge judgement) (v tap.Verdict, p *PeekedBody, err error) {
	p = &PeekedBody{ReadCloser: body, limit: PeekSize, room: peekBuffers.Get().(*[PeekSize]byte)}
	p.buf, p.more.L = p.room[:0], &p.mu
	timer := time.AfterFunc(PeekTime, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.taken = true
		p.more.Broadcast()
	})
	defer timer.Stop()
	go p.read(judge)
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.ended && !p.taken {
		p.more.Wait()
	}
	p.taken = true
	return p.found, p, p.err
}

// Ahead has a body read by itself while its reader waits for something else: up to that many
// bytes, until Take is called. The whole body is then to be read from what it returns.
func Ahead(body io.ReadCloser, limit int) *PeekedBody {
	p := &PeekedBody{ReadCloser: body, limit: limit}
	p.more.L = &p.mu
	go p.read(func([]byte, bool) (v tap.Verdict, certain bool) { return "", false })
	return p
}

// Take ends the reading ahead when what is being read has come.
func (p *PeekedBody) Take() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken = true
}

// Peeked returns what was read by itself so far. It is to be called before the body is
// read.
func (p *PeekedBody) Peeked() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.buf
}

func (p *PeekedBody) read(judge judgement) {
	buf := p.buf
	for {
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, PeekSize)
		}
		n, err := p.ReadCloser.Read(buf[len(buf):min(cap(buf), p.limit)])
		buf = buf[:len(buf)+n]
		p.mu.Lock()
		p.buf, p.err = buf, err
		p.ended = p.taken || err != nil || len(buf) == p.limit
		if !p.taken {
			if v, certain := judge(buf, errors.Is(err, io.EOF)); certain {
				p.found, p.ended = v, true
			}
		}
		ended := p.ended
		p.more.Broadcast()
		p.mu.Unlock()
		if ended {
			return
		}
	}
}

// Read implements io.Reader.
func (p *PeekedBody) Read(b []byte) (int, error) {
	p.mu.Lock()
	for p.off == len(p.buf) && !p.ended {
		p.more.Wait()
	}
	if p.off < len(p.buf) {
		n := copy(b, p.buf[p.off:])
		p.off += n
		p.release()
		p.mu.Unlock()
		return n, nil
	}
	p.release()
	err := p.err
	p.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return p.ReadCloser.Read(b)
}

// release gives back the memory of the beginning once all of it was passed on: the
// stream may stay open for long.
func (p *PeekedBody) release() {
	if p.ended && p.off == len(p.buf) {
		if p.room != nil {
			peekBuffers.Put(p.room)
		}
		p.room, p.buf, p.off = nil, nil, 0
	}
}
