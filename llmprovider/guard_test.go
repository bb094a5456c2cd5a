package llmprovider

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
)

// dialed is a connection that only has a remote address.
type dialed struct {
	net.Conn
	remote net.Addr
	closed bool
}

func (d *dialed) RemoteAddr() net.Addr { return d.remote }
func (d *dialed) Close() error         { d.closed = true; return nil }

func TestGuarded(t *testing.T) {
	for _, test := range []struct{ addr, ip, refused string }{
		{"api.example.com:443", "192.0.2.1", ""},
		{"api.example.com:443", "127.0.0.1", ""},
		{"api.example.com:2019", "192.0.2.1", ""},
		{"api.example.com:2019", "127.0.0.9", "the gateway's admin endpoint"},
		{"api.example.com:2019", "::1", "the gateway's admin endpoint"},
		{"api.example.com:80", "169.254.169.254", "a cloud's metadata service"},
		{"api.example.com:80", "::ffff:169.254.169.254", "a cloud's metadata service"},
		{"api.example.com:80", "fe80::1", "a cloud's metadata service"},
		{"api.example.com:80", "100.100.100.200", "a cloud's metadata service"},
		// Of a proxy: those of objects are refused before.
		{"169.254.10.1:3128", "169.254.10.1", ""},
	} {
		_, port, _ := net.SplitHostPort(test.addr)
		number, _ := net.LookupPort("tcp", port)
		made := &dialed{remote: &net.TCPAddr{IP: net.ParseIP(test.ip), Port: number}}
		conn, err := guarded(func(context.Context, string, string) (net.Conn, error) { return made, nil })(t.Context(), "tcp", test.addr)
		switch {
		case test.refused == "" && (err != nil || conn != net.Conn(made)):
			t.Errorf("%s at %s: %v", test.addr, test.ip, err)
		case test.refused != "" && (err == nil || !strings.Contains(err.Error(), test.refused) || !made.closed):
			t.Errorf("%s at %s: got %v, closed %v; want %s", test.addr, test.ip, err, made.closed, test.refused)
		}
	}
	failure := errors.New("no route to host")
	if _, err := guarded(func(context.Context, string, string) (net.Conn, error) { return nil, failure })(t.Context(), "tcp", "a:1"); !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
}

// TestGuardedTransports holds that guarded providers share no connections with
// others, and that theirs are guarded.
func TestGuardedTransports(t *testing.T) {
	if l, err := net.Listen("tcp", "127.0.0.1:2019"); err == nil { // else somebody is there
		defer l.Close()
	}
	free := acquire(t, "", false, 0)
	tr, err := acquireTransport(newContext(t), nil, false, true, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tr.release() })
	if conn, err := tr.Transport.DialContext(t.Context(), "tcp", "localhost:2019"); err == nil || !strings.Contains(err.Error(), "admin endpoint") {
		t.Errorf("got %v, %v", conn, err)
	}
	conn, err := free.Transport.DialContext(t.Context(), "tcp", "localhost:2019")
	if err != nil {
		t.Fatalf("a provider of the Caddyfile: %v", err)
	}
	_ = conn.Close()
}
