package fakeprovider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// keep bounds how much of a body is kept to find the usage in it.
const keep = 8 << 20

// player plays one reply on one request.
type player struct {
	server *Server
	rec    *Recorded
	cancel context.CancelCauseFunc
	conn   net.Conn

	// status, contentType and encoding describe the head; body is what has
	// been written under it, ended tells that it was complete. mangled is set
	// when the framing may keep the client from receiving it.
	status      int
	contentType string
	encoding    string
	body        []byte
	ended       bool
	mangled     bool
}

// output is where a reply's body goes: net/http, or the bare connection.
type output interface {
	io.Writer
	// end is called when the steps have run to their end.
	end()
	// cut ends the reply without its proper end and does not return.
	cut()
}

func (p *player) play(ctx context.Context, w http.ResponseWriter, req *http.Request, r Reply) {
	for _, s := range r.Before {
		if !p.step(ctx, nil, s) {
			panic(http.ErrAbortHandler)
		}
	}
	if ctx.Err() != nil {
		panic(http.ErrAbortHandler)
	}
	p.status, p.contentType, p.encoding = r.status(), r.Header.Get("Content-Type"), r.Header.Get("Content-Encoding")
	p.mangled = r.Framing == FramingRaw ||
		r.Framing == FramingLength && r.ContentLength != int64(len(r.payload()))

	steps := r.Steps
	if r.Steps == nil {
		steps = []Step{Send(r.Body)}
	}
	out, ctx, err := p.head(ctx, w, req, r)
	if err != nil {
		p.server.t.Errorf("fake provider: %v", err)
		panic(http.ErrAbortHandler)
	}
	// A client may close as soon as it has the last byte it wants, so the
	// request counts as finished before that byte is written.
	final := len(steps)
	for final > 0 && steps[final-1].op == opSend {
		final--
		if len(steps[final].data) > 0 {
			break
		}
	}
	for i, s := range steps {
		if i >= final {
			p.rec.markFinished()
		}
		if !p.step(ctx, out, s) {
			out.cut()
		}
	}
	p.rec.markFinished()
	p.ended = true
	out.end()
}

// step runs one step; false ends the reply at once.
func (p *player) step(ctx context.Context, out output, s Step) bool {
	switch s.op {
	case opPause:
		return wait(ctx, s.pause)
	case opHang:
		<-ctx.Done()
		return false
	case opClose:
		p.rec.markFinished()
		if out == nil {
			return false
		}
		out.cut()
	case opReset:
		p.rec.markFinished()
		if p.rec.Proto == "HTTP/2.0" && len(p.body) > 0 {
			// net/http writes HTTP/2 frames in the background; what was sent
			// is to leave first.
			wait(ctx, 100*time.Millisecond)
		}
		reset(p.conn)
		return false
	case opForever:
		for p.send(ctx, out, s.data) && wait(ctx, s.pause) {
		}
		return false
	case opSend:
		return p.send(ctx, out, s.data)
	}
	return true
}

func (p *player) send(ctx context.Context, out output, data []byte) bool {
	if out == nil || ctx.Err() != nil {
		return false
	}
	n, err := out.Write(data)
	if room := keep - len(p.body); room > 0 {
		p.body = append(p.body, data[:min(n, room)]...)
	}
	p.rec.mu.Lock()
	p.rec.sent += int64(n)
	p.rec.mu.Unlock()
	if err != nil {
		p.server.noteGone(p.rec)
		return false
	}
	return true
}

func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// head sends status line and headers and returns where the body goes.
func (p *player) head(ctx context.Context, w http.ResponseWriter, req *http.Request, r Reply) (output, context.Context, error) {
	bare := r.Framing != FramingAuto && (req.ProtoMajor == 1 || r.Framing != FramingLength)
	if bare {
		return p.bareHead(ctx, w, req, r)
	}
	for name, values := range r.Header {
		w.Header()[name] = values
	}
	o := webOutput{w: w, flush: http.NewResponseController(w).Flush}
	switch {
	case r.Framing == FramingLength:
		w.Header().Set("Content-Length", fmt.Sprint(r.ContentLength))
	case r.Steps == nil:
		w.Header().Set("Content-Length", fmt.Sprint(len(r.Body)))
	}
	w.WriteHeader(r.status())
	if r.Steps == nil {
		o.flush = func() error { return nil }
	} else if err := o.flush(); err != nil {
		p.server.noteGone(p.rec)
	}
	return o, ctx, nil
}

// webOutput lets net/http do the framing.
type webOutput struct {
	w     http.ResponseWriter
	flush func() error
}

func (o webOutput) Write(b []byte) (int, error) {
	n, err := o.w.Write(b)
	if err == nil {
		err = o.flush()
	}
	return n, err
}

func (o webOutput) end() {}
func (o webOutput) cut() { panic(http.ErrAbortHandler) }

// bareHead takes the connection over and writes the head itself.
func (p *player) bareHead(ctx context.Context, w http.ResponseWriter, req *http.Request, r Reply) (output, context.Context, error) {
	if req.ProtoMajor != 1 {
		return nil, ctx, errors.New("a reply with its own framing needs HTTP/1.1: start the server with HTTP1Only")
	}
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, ctx, fmt.Errorf("taking over the connection: %w", err)
	}
	_ = c.SetDeadline(time.Time{})
	// net/http no longer watches the connection: whoever reads it sees the
	// client leave.
	go func() {
		_, _ = io.Copy(io.Discard, rw.Reader)
		p.server.noteGone(p.rec)
		p.cancel(net.ErrClosed)
	}()
	stop := context.AfterFunc(p.server.ctx, func() { _ = c.Close() })
	o := bareOutput{Conn: c, stop: stop}
	if _, err := c.Write(bareHeadBytes(r)); err != nil {
		p.server.noteGone(p.rec)
	}
	return o, ctx, nil
}

func bareHeadBytes(r Reply) []byte {
	if r.Framing == FramingRaw {
		return r.RawHead
	}
	var b strings.Builder
	proto := "HTTP/1.1"
	if r.Framing == FramingHTTP10 {
		proto = "HTTP/1.0"
	}
	fmt.Fprintf(&b, "%s %03d %s\r\n", proto, r.status(), http.StatusText(r.status()))
	names := make([]string, 0, len(r.Header))
	for name := range r.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, v := range r.Header[name] {
			fmt.Fprintf(&b, "%s: %s\r\n", name, v)
		}
	}
	if r.Framing == FramingLength {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", r.ContentLength)
	} else {
		b.WriteString("Connection: close\r\n")
	}
	b.WriteString("\r\n")
	return []byte(b.String())
}

// bareOutput writes bytes as they are; every end is a closed connection.
type bareOutput struct {
	net.Conn
	stop func() bool
}

func (o bareOutput) end() { o.stop(); _ = o.Close() }
func (o bareOutput) cut() { o.end(); panic(http.ErrAbortHandler) }

// reset closes the TCP connection under any TLS with RST instead of FIN.
func reset(c net.Conn) {
	if under, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = under.NetConn()
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
