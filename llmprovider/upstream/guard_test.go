package upstream

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/internal/moduletest"
	"github.com/caddy-llm/gateway/llmprovider"
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
		{"api.example.com:80", "64:ff9b::a9fe:a9fe", "a cloud's metadata service"},
		{"api.example.com:80", "2002:a83f:8110::1", "a cloud's metadata service"},
		{"api.example.com:80", "100.100.100.200", "a cloud's metadata service"},
		// Of a proxy: those of objects are refused before.
		{"169.254.10.1:3128", "169.254.10.1", ""},
	} {
		_, port, _ := net.SplitHostPort(test.addr)
		number, _ := net.LookupPort("tcp", port)
		made := &dialed{remote: &net.TCPAddr{IP: net.ParseIP(test.ip), Port: number}}
		conn, err := GuardDial(func(context.Context, string, string) (net.Conn, error) { return made, nil })(t.Context(), "tcp", test.addr)
		switch {
		case test.refused == "" && (err != nil || conn != net.Conn(made)):
			t.Errorf("%s at %s: %v", test.addr, test.ip, err)
		case test.refused != "" && (err == nil || !strings.Contains(err.Error(), test.refused) || !made.closed):
			t.Errorf("%s at %s: got %v, closed %v; want %s", test.addr, test.ip, err, made.closed, test.refused)
		}
	}
	failure := errors.New("no route to host")
	if _, err := GuardDial(func(context.Context, string, string) (net.Conn, error) { return nil, failure })(t.Context(), "tcp", "a:1"); !errors.Is(err, failure) {
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
	tr, err := acquireTransport(moduletest.Context(t), nil, false, true, 0)
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

// TestAdminRefusesGuarded holds that a guarded provider configures nothing, wherever the
// admin endpoint is and whatever headers its object or the client adds.
func TestAdminRefusesGuarded(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	if err := caddy.Run(&caddy.Config{Admin: &caddy.AdminConfig{Listen: address, Config: &caddy.ConfigSettings{Persist: new(bool)}}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = caddy.Stop() })
	_, port, _ := net.SplitHostPort(address)
	number, _ := net.LookupPort("tcp", port)
	send := func(guarded bool) int {
		p := &Connection{Host: "127.0.0.1", Port: number, Scheme: "http", Guarded: guarded, FixedHeaders: map[string]string{"Sec-Fetch-Mode": "cors", "Origin": "http://" + address, "Referer": "http://" + address + "/"}}
		if err := p.Provision(moduletest.Context(t)); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = p.Cleanup() }()
		r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"apps":{"unknown":{}}}`))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Sec-Fetch-Mode", "cors")
		r.Header.Set("Origin", "http://"+address)
		in, refused := llmprovider.NewInbound(r)
		if refused == nil {
			refused = in.Read(r, 1<<20)
		}
		if refused != nil {
			t.Fatal(refused)
		}
		attempt, refused := p.NewAttempt(t.Context(), in, &llmprovider.Outgoing{URL: p.URL(&url.URL{Path: "/load"})})
		if refused != nil {
			t.Fatal(refused)
		}
		res, err := p.RoundTrip(attempt.Request)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		if guarded && !strings.Contains(string(body), "same-origin") {
			t.Errorf("the admin endpoint says %s", body)
		}
		if !guarded && !strings.Contains(string(body), "unknown") {
			t.Errorf("one of the Caddyfile: the admin endpoint says %s", body)
		}
		return res.StatusCode
	}
	if status := send(true); status != http.StatusBadRequest {
		t.Errorf("got %d", status)
	}
	send(false)
}
