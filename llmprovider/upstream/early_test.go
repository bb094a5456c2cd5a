package upstream

import (
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// scripted is a connection that reads what there is, and fails to write once it is broken.
type scripted struct {
	net.Conn
	broken, read bool
}

func (c *scripted) Read(p []byte) (int, error) {
	if c.read {
		return 0, io.EOF
	}
	return copy(p, "HTTP/1.1 413 Too Large\r\n"), nil
}

func (c *scripted) Write(p []byte) (int, error) {
	if c.broken {
		return 0, &net.OpError{Op: "write", Err: syscall.EPIPE}
	}
	return len(p), nil
}

func (c *scripted) Close() error { return nil }

// TestEarlyConn has a peer close the connection at the moments at which it can.
func TestEarlyConn(t *testing.T) {
	for name, test := range map[string]struct {
		before string // w writes, r reads, x breaks the connection
		closes bool   // net/http closes the connection, or reads its end
		fails  bool
	}{
		"in the middle of a request":                        {before: "wwx"},
		"in the middle of the second request":               {before: "wrwx"},
		"in the middle, and the response was read":          {before: "wwrx"},
		"in the middle, read and closed":                    {before: "wwrx", closes: true, fails: true}, // which nobody waits for any more
		"while it was idle":                                 {before: "wrx", closes: true, fails: true},
		"before anything was sent":                          {before: "x", closes: true, fails: true},
		"in the middle of a request, and found by the read": {before: "wx", closes: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inner := &scripted{}
			c := &earlyConn{Conn: inner, ended: make(chan struct{})}
			for _, step := range strings.Split(test.before, "") {
				var err error
				switch step {
				case "w":
					_, err = c.Write([]byte("x"))
				case "r":
					_, err = c.Read(make([]byte, 100))
				case "x":
					inner.broken = true
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if test.closes {
				time.AfterFunc(20*time.Millisecond, func() { _, _ = c.Close(), c.Close() })
			}
			began := time.Now()
			n, err := c.Write([]byte("more"))
			if test.closes && time.Since(began) > takeUp-20*time.Millisecond {
				t.Error("the write waited to the end")
			}
			if failed := errors.Is(err, syscall.EPIPE); failed != test.fails || !failed && n != 4 {
				t.Errorf("Write returned %d, %v", n, err)
			}
		})
	}
}

// TestEarlyConnReadToItsEnd holds that no write waits once a read has met the end: TLS writes
// to idle connections that were closed, with locks held.
func TestEarlyConnReadToItsEnd(t *testing.T) {
	inner := &scripted{}
	c := &earlyConn{Conn: inner, ended: make(chan struct{})}
	if _, err := c.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	inner.read, inner.broken = true, true
	if _, err := c.Read(make([]byte, 100)); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) || time.Since(began) > takeUp/2 {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}
