package llmroute

import (
	"io"
	"sync"
	"time"

	"github.com/caddy-llm/gateway/llmprovider"
)

const (
	// peekSize is how much of a response is looked at before it is passed on, in
	// bytes.
	peekSize = 8 << 10
	// peekTime is how long a response is waited for before its head is passed on.
	peekTime = 5 * time.Second
)

// peekedBody is a response's body whose beginning is read before it is passed on.
// It reads on by itself until enough is known.
type peekedBody struct {
	io.ReadCloser

	mu    sync.Mutex
	more  sync.Cond // something was read, or reading by itself has ended
	buf   []byte    // what was read
	off   int       // how much of it was passed on
	taken bool      // it is being passed on, known or not
	ended bool      // reading by itself
	err   error     // how the body ended
	found llmprovider.Verdict
}

// peek reads a body until judge is certain of it, and for peekTime at most. judge
// is given what has come, and whether that is all. err is how the body ended, if it
// has. The whole body is then to be read from p.
func peek(body io.ReadCloser, judge func(data []byte, all bool) (v llmprovider.Verdict, certain bool)) (v llmprovider.Verdict, p *peekedBody, err error) {
	p = &peekedBody{ReadCloser: body, buf: make([]byte, 0, peekSize)}
	p.more.L = &p.mu
	timer := time.AfterFunc(peekTime, func() {
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

func (p *peekedBody) read(judge func(data []byte, all bool) (v llmprovider.Verdict, certain bool)) {
	buf := p.buf
	for {
		n, err := p.ReadCloser.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		p.mu.Lock()
		p.buf, p.err = buf, err
		p.ended = p.taken || err != nil || len(buf) == cap(buf)
		if !p.taken {
			if v, certain := judge(buf, err == io.EOF); certain {
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

// peeked returns what was read by itself.
func (p *peekedBody) peeked() []byte { return p.buf }

// Read implements io.Reader.
func (p *peekedBody) Read(b []byte) (int, error) {
	p.mu.Lock()
	for p.off == len(p.buf) && !p.ended {
		p.more.Wait()
	}
	if p.off < len(p.buf) {
		n := copy(b, p.buf[p.off:])
		p.off += n
		p.mu.Unlock()
		return n, nil
	}
	err := p.err
	p.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return p.ReadCloser.Read(b)
}
