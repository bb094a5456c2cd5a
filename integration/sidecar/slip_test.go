//go:build linux

package sidecar_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// served is the host that has a route.
const served = "dashscope.aliyuncs.com"

// TestServedHostsDoNotSlipPast sends requests for a host with a route in all the ways
// that some server may read: none of them reaches the destination, where prompts would be
// in plain text.
func TestServedHostsDoNotSlipPast(t *testing.T) {
	p := newPod(t, "documented-weighted-split")
	p.start(gatewayUID, settings{})
	p.capture()
	address := net.JoinHostPort(otherIP4, "80")
	reached := make(chan string, 100)
	l := p.listen(address)
	defer l.Close()
	go serveEach(l, func(c *net.TCPConn) {
		got := make([]byte, 1<<10)
		n, _ := c.Read(got)
		reached <- string(got[:n])
	})
	const body = `{"messages":[{"role":"user","content":"hi"}]}`
	rest := fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	for name, test := range map[string]struct{ head, want string }{
		"plain":                   {"POST / HTTP/1.1\r\nHost: " + served + "\r\n", "200"},
		"empty lines first":       {"\r\n\n\r\nPOST / HTTP/1.1\r\nHost: " + served + "\r\n", "200"},
		"line feeds alone":        {"POST / HTTP/1.1\nHost: " + served + "\n", "200"},
		"with dot and port":       {"POST / HTTP/1.1\r\nHost: DashScope.Aliyuncs.COM.:80\r\n", "200"},
		"in brackets":             {"POST / HTTP/1.1\r\nHost: [" + served + "]\r\n", "400"},
		"in brackets with a port": {"POST / HTTP/1.1\r\nHost: [" + served + "]:80\r\n", "400"},
		"with two ports":          {"POST / HTTP/1.1\r\nHost: " + served + ":80:80\r\n", "400"},
		"half a bracket":          {"POST / HTTP/1.1\r\nHost: " + served + "]\r\n", "400"},
		"the second Host":         {"POST / HTTP/1.1\r\nHost: other.example.com\r\nHost: " + served + "\r\n", "400"},
		"the first Host":          {"POST / HTTP/1.1\r\nHost: " + served + "\r\nHost: other.example.com\r\n", "400"},
		"space before the colon":  {"POST / HTTP/1.1\r\nHost : " + served + "\r\n", "400"},
		"on the next line":        {"POST / HTTP/1.1\r\nHost:\r\n " + served + "\r\n", "200"},
		"a bare carriage return":  {"POST / HTTP/1.1\r\nHost: other.example.com\r\nX: y\rHost: " + served + "\r\n", "400"},
		"spaces too many":         {"POST  /  HTTP/1.1\r\nHost: " + served + "\r\n", "400"},
		"another version":         {"POST / HTTP/1.5\r\nHost: " + served + "\r\n", "200"},
		"a version in lower case": {"POST / http/1.1\r\nHost: " + served + "\r\n", "400"},
		"a target with a tab":     {"POST /\tx HTTP/1.1\r\nHost: " + served + "\r\n", "400"},
		"absolute":                {"POST http://" + served + "/ HTTP/1.1\r\nHost: other.example.com\r\n", "200"},
	} {
		t.Run(name, func(t *testing.T) {
			c := p.connect(address)
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			_, _ = io.WriteString(c, test.head+rest)
			got := make([]byte, 1<<10)
			n, err := c.Read(got)
			if len(got[:n]) < 12 || string(got[9:12]) != test.want {
				t.Errorf("%q, %v, want status %s", got[:n], err, test.want)
			}
			if len(reached) > 0 {
				t.Errorf("the destination got %q", <-reached)
			}
		})
	}
}

// TestHTTP2 has a client of HTTP/2 without TLS: its first request decides.
func TestHTTP2(t *testing.T) {
	p := newPod(t, "documented-weighted-split")
	p.start(gatewayUID, settings{})
	p.capture()
	address := net.JoinHostPort(otherIP4, "80")
	requests := make(chan string, 100)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Protocols: protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests <- r.Host
		fmt.Fprint(w, "other over ", r.Proto)
	})}
	l := p.listen(address)
	defer l.Close()
	go server.Serve(l) //nolint:errcheck // ends with the listener
	if out := p.curl(append(call("http://"+served), "--http2-prior-knowledge")...); !strings.Contains(out, `"model":"qwen1.5-72b-chat"`) {
		t.Errorf("a host with a route: %s", out)
	}
	if out := p.curl("--http2-prior-knowledge", "http://other.example.com/"); out != "other over HTTP/2.0" || <-requests != "other.example.com" {
		t.Errorf("a host without: %s", out)
	}
	block := func(host string) []byte {
		var b bytes.Buffer
		e := hpack.NewEncoder(&b)
		for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {":authority", host}} {
			_ = e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
		}
		return b.Bytes()
	}
	// A client that waits for the server's settings before it sends a request.
	for host, passes := range map[string]bool{"other.example.com": true, served: false, "[" + served + "]": false} {
		c := p.connect(address)
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = io.WriteString(c, http2.ClientPreface)
		framer := http2.NewFramer(c, c)
		_ = framer.WriteSettings()
		if f, err := framer.ReadFrame(); err != nil || f.Header().Type != http2.FrameSettings {
			t.Fatalf("%v, %v, want the server's settings", f, err)
		}
		_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(host), EndStream: true, EndHeaders: true})
		var err error
		answered := false
		for err == nil && !answered {
			var f http2.Frame
			if f, err = framer.ReadFrame(); err == nil {
				answered = f.Header().Type == http2.FrameHeaders
			}
		}
		if answered != passes || len(requests) > 0 != passes {
			t.Errorf("%s: answered %v, %v", host, answered, err)
		}
		for len(requests) > 0 {
			<-requests
		}
	}
}
