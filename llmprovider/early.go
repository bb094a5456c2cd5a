package llmprovider

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"syscall"
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

// earlyAnswers has the connections of dial deliver an answer that a server gives
// before it has read the request, after which it closes the connection.
func earlyAnswers(dial DialFunc) DialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, errConnect{err}
		}
		return &earlyConn{Conn: conn}, nil
	}
}

// earlyConn is a connection whose writes do not fail when the peer has closed it in
// the middle of a request: net/http would give up then, while the answer, a 413
// perhaps, waits to be read. The end of the connection is met by the next read.
//
// A write fails as ever if nothing was written since the last read: then the
// connection was closed while it was idle, and net/http sends the request again on
// another one.
type earlyConn struct {
	net.Conn
	asked  atomic.Bool // something was written since the last read
	broken atomic.Bool // a write has failed since
}

// Read implements net.Conn.
func (c *earlyConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.asked.Store(false)
	}
	return n, err
}

// Write implements net.Conn.
func (c *earlyConn) Write(p []byte) (int, error) {
	if c.broken.Load() {
		return len(p), nil
	}
	asked := c.asked.Load() // an answer may be read while this waits
	n, err := c.Conn.Write(p)
	if err == nil {
		c.asked.Store(true)
		return n, nil
	}
	if asked && (errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)) {
		c.broken.Store(true)
		return len(p), nil
	}
	return n, err
}

// Interface guards
var _ net.Conn = (*earlyConn)(nil)
