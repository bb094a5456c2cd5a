//go:build linux

package sidecar_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
)

// TestReadiness has another process at the gateway's port: it is not ready, says why,
// and is once the port is free.
func TestReadiness(t *testing.T) {
	p := newPod(t, "documented-weighted-split")
	var other net.Listener
	if err := within(p.pod, func() (err error) {
		other, err = net.Listen("tcp", "127.0.0.1:15001")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	p.launch(gatewayUID, settings{})
	until(t, "it says why it is not ready", func() bool { return strings.HasPrefix(p.readyz(), "503 cannot listen at 127.0.0.1:15001: ") })
	other.Close()
	until(t, "it is ready", func() bool { return p.readyz() == "200 ok\n" })
	if out := p.curl(call("http://dashscope.aliyuncs.com", "-x", "http://127.0.0.1:15001")...); !strings.Contains(out, `"model":"qwen1.5-72b-chat"`) {
		t.Errorf("%s", out)
	}
}

// TestStop ends a sidecar while its application still uses it: what is under way
// comes to its end, what is new is refused, and the process does not outlast it.
func TestStop(t *testing.T) {
	p := newPod(t, "documented-weighted-split")
	p.start(gatewayUID, settings{})
	p.capture()
	p.dashscope.Script(fakeprovider.Always(fakeprovider.EndlessEvents("data: {\"choices\":[]}\n\n", 20*time.Millisecond)))
	go serveEach(p.listen(otherIP4+":80"), func(c *net.TCPConn) { _, _ = io.Copy(c, c) })

	// A stream, a connection in use, and a silent one.
	client := p.client()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://dashscope.aliyuncs.com/", strings.NewReader(`{"stream": true, "messages": []}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	event := make([]byte, 20)
	if _, err := io.ReadFull(res.Body, event); err != nil {
		t.Fatal(err)
	}
	busy, silent := p.connect(otherIP4+":80"), p.connect(otherIP4+":80")
	echo := func(c net.Conn) error {
		_, _ = c.Write([]byte{0})
		_, err := io.ReadFull(c, make([]byte, 1))
		return err
	}
	if err := errors.Join(echo(busy), echo(silent)); err != nil {
		t.Fatal(err)
	}

	if err := p.gateway.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	until(t, "new connections are refused", func() bool {
		c, err := p.dial(t.Context(), otherIP4+":80")
		if err == nil {
			_ = c.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	if ready := p.readyz(); !strings.HasPrefix(ready, "503 shutting down") {
		t.Errorf("ready: %s", ready)
	}
	// Longer than a connection may be silent, and all the while in use.
	for end := time.Now().Add(4 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err := echo(busy); err != nil {
			t.Fatalf("a connection in use broke off: %v", err)
		}
		if _, err := io.ReadFull(res.Body, event); err != nil {
			t.Fatalf("the stream broke off: %v", err)
		}
	}
	if _, err := silent.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a silent connection: %v, want its end", err)
	}
	p.gateway.runs(t, "something under way")
	cancel()
	_ = busy.Close()
	p.gateway.ends(t, "the last connection")
}

// TestConnectionsAreCounted has one of each outcome.
func TestConnectionsAreCounted(t *testing.T) {
	counted := func(p *pod, outcome, reason, want string) {
		t.Helper()
		series := `llm_captured_connections_total{outcome="` + outcome + `",reason="` + reason + `"}`
		until(t, series+" is "+want, func() bool { return p.metric(series) == want })
	}
	p := newPod(t, "documented-weighted-split")
	p.start(gatewayUID, settings{})
	p.capture()
	l := p.listen(otherIP4 + ":80")
	go serveEach(l, echoBytes)
	p.curl(call("http://dashscope.aliyuncs.com")...)
	for _, first := range []string{"GET / HTTP/1.0\r\n\r\n", "\x00"} {
		c := p.connect(otherIP4 + ":80").(*net.TCPConn)
		_, _ = io.WriteString(c, first)
		_ = c.CloseWrite()
		_, _ = io.ReadAll(c)
	}
	l.Close()
	_, _ = io.ReadAll(func() io.Reader { c := p.connect(otherIP4 + ":80"); _, _ = io.WriteString(c, "\x00"); return c }())
	counted(p, "routed", "", "1")
	counted(p, "passed_on", "no_route", "1")
	counted(p, "passed_on", "not_http", "1")
	counted(p, "refused", "unreachable", "1")
	p.gateway.stop()
	p.start(gatewayUID, settings{Policy: "REGISTRY_ONLY"})
	p.curl("-s", "http://other.example.com/")
	counted(p, "refused", "registry_only", "1")
	p.gateway.stop()
	p.start(1338, settings{})
	p.curl("http://localhost:15001/", "-x", "http://127.0.0.1:15001")
	counted(p, "refused", "loop", "1")
}
