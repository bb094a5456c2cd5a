package capture

import (
	"context"
	"net"
	"testing"
)

// TestOwnConnections tells a connection of the gateway's own from one that has
// the same port on its side and another destination: ports are given out for each
// destination, and so more than once.
func TestOwnConnections(t *testing.T) {
	o := &Outbound{relays: make(map[*relayed]struct{})}
	accept := func() (*net.TCPListener, func() *capturedConn) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l.(*net.TCPListener), func() *capturedConn {
			c, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			return &capturedConn{TCPConn: c.(*net.TCPConn)}
		}
	}
	l, next := accept()
	own, err := o.dial(context.Background(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	in := next()
	if !o.isOwn(in) {
		t.Error("a connection of the gateway's own is not known")
	}
	in.to = "192.0.2.1:80"
	if o.isOwn(in) {
		t.Error("a connection from the same port to another destination is taken for the gateway's own")
	}
	in.to = l.Addr().String()
	if !o.isOwn(in) {
		t.Error("one that was captured is not known")
	}
	_ = own.Close()
	if o.isOwn(in) {
		t.Error("a connection is known after its end")
	}
}
