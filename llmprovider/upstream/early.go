package upstream

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// errConnect marks a failure to connect, TLS included.
type errConnect struct{ error }

// Unwrap returns the cause.
func (e errConnect) Unwrap() error { return e.error }

// NotConnected reports whether an attempt failed before there was a connection.
func NotConnected(err error) bool {
	var e errConnect
	return errors.As(err, &e)
}

// earlyAnswers has the connections of dial deliver a response that a server gives
// before it has read the request, after which it closes the connection.
func earlyAnswers(dial DialFunc) DialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, errConnect{err}
		}
		return &earlyConn{Conn: conn, ended: make(chan struct{})}, nil
	}
}

// earlyConn is a connection whose writes do not fail when the peer has closed it in
// the middle of a request: net/http would give up then, while the response, a 413
// perhaps, waits to be read. The end of the connection is met by the next read.
//
// If nothing was written since the last read, one of two things has happened. Either the
// connection was closed while it was idle: then net/http, which reads as well, meets its end
// at once, the write fails as ever, and the request is sent again on another connection. Or
// the early response was read before the write failed: net/http must take it up before it
// hears of the write, or it would take one or the other at random. It has done so when it
// reads on.
type earlyConn struct {
	net.Conn
	asked  atomic.Bool // something was written since the last read
	broken atomic.Bool // a write has failed since

	once  sync.Once
	ended chan struct{} // a read has met the end, or the connection was closed
}

// takeUp is how long a failed write waits until a read meets the end of the connection. It is
// over in microseconds unless the machine is busy, or nobody reads.
const takeUp = 300 * time.Millisecond

// Read implements net.Conn.
func (c *earlyConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.asked.Store(false)
	}
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.end()
	}
	return n, err
}

func (c *earlyConn) end() { c.once.Do(func() { close(c.ended) }) }

// Write implements net.Conn.
func (c *earlyConn) Write(p []byte) (int, error) {
	if c.broken.Load() {
		return len(p), nil
	}
	asked := c.asked.Load() // a response may be read while this waits
	n, err := c.Conn.Write(p)
	if err == nil {
		c.asked.Store(true)
		return n, nil
	}
	if !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		return n, err
	}
	if !asked {
		timer := time.NewTimer(takeUp)
		defer timer.Stop()
		select {
		case <-c.ended:
			return n, err
		case <-timer.C:
		}
	}
	c.broken.Store(true)
	return len(p), nil
}

// Close implements net.Conn.
func (c *earlyConn) Close() error {
	c.end()
	return c.Conn.Close()
}

// Interface guards
var _ net.Conn = (*earlyConn)(nil)
