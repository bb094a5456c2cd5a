//go:build linux

package sidecar_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
)

// serveEach gives each connection of a listener to a function, and closes it.
func serveEach(l net.Listener, f func(*net.TCPConn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			f(c.(*net.TCPConn))
		}()
	}
}

// echoBytes answers with what it got, when that has ended.
func echoBytes(c *net.TCPConn) {
	all, _ := io.ReadAll(c)
	_, _ = c.Write(append([]byte("got "), all...))
}

// TestPassedOn has connections that the gateway has no route for, or cannot read:
// they come to their destination as the bytes they are.
func TestPassedOn(t *testing.T) {
	p := newPod(t, "documented-weighted-split")
	p.start(gatewayUID, settings{})
	p.capture()
	for _, ip := range []string{otherIP4, otherIP6} {
		t.Run(ip, func(t *testing.T) {
			address := net.JoinHostPort(ip, "80")
			t.Run("bytes", func(t *testing.T) {
				l := p.listen(address)
				defer l.Close()
				go serveEach(l, echoBytes)
				long := strings.Repeat("x", 3<<20)
				for name, bytes := range map[string]string{
					"a request as it is written": "post /a%2f//b?x=%zz HTTP/1.1\r\nhOST:  other.example.com \r\nx_under.score: 1\r\nX_under.score: 2\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: other.example.com\r\n\r\n",
					"HTTP/1.0 without a host":    "GET / HTTP/1.0\r\n\r\n",
					"an address as host":         "GET / HTTP/1.1\r\nHost: " + ip + "\r\n\r\n",
					"a large body":               "PUT / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3145728\r\n\r\n" + long,
					"HTTP/2":                     "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
					"TLS":                        "\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03",
					"a line of another protocol": "EHLO example.com\r\nMAIL FROM:<a@example.com>\r\n",
					"empty lines first":          "\r\n\r\nGET / HTTP/1.1\r\nHost: other.example.com\r\n\r\n",
					"a lenient request":          "GET  /  HTTP/1.7 \r\nHost: other.example.com\r\n\r\n",
					"one byte":                   "G",
					"nothing":                    "",
					"zeros":                      "\x00\x00\x00\x00",
				} {
					t.Run(name, func(t *testing.T) {
						c := p.connect(address).(*net.TCPConn)
						if _, err := io.WriteString(c, bytes); err != nil {
							t.Fatal(err)
						}
						_ = c.CloseWrite()
						if got, err := io.ReadAll(c); err != nil || string(got) != "got "+bytes {
							t.Errorf("%.200q, %v\nwant the same bytes back, after got", got, err)
						}
					})
				}
			})
			t.Run("a server that speaks first", func(t *testing.T) {
				l := p.listen(address)
				defer l.Close()
				go serveEach(l, func(c *net.TCPConn) {
					_, _ = io.WriteString(c, "220 ready\r\n")
					line, _ := bufio.NewReader(c).ReadString('\n')
					_, _ = io.WriteString(c, "250 "+line)
				})
				began := time.Now()
				c := p.connect(address)
				r := bufio.NewReader(c)
				if line, err := r.ReadString('\n'); line != "220 ready\r\n" {
					t.Fatalf("%q, %v", line, err)
				}
				if took := time.Since(began); took > 3*time.Second {
					t.Errorf("it took %v to hear it", took)
				}
				_, _ = io.WriteString(c, "HELO\r\n")
				if line, err := r.ReadString('\n'); line != "250 HELO\r\n" {
					t.Errorf("%q, %v", line, err)
				}
			})
			t.Run("a protocol in which the client speaks first and waits", func(t *testing.T) {
				l := p.listen(address)
				defer l.Close()
				go serveEach(l, func(c *net.TCPConn) {
					word := make([]byte, 4)
					_, _ = io.ReadFull(c, word)
					_, _ = c.Write(word)
				})
				began := time.Now()
				c := p.connect(address)
				_, _ = io.WriteString(c, "\x00\x01\x02\x03")
				word := make([]byte, 4)
				if _, err := io.ReadFull(c, word); err != nil || time.Since(began) > 500*time.Millisecond {
					t.Errorf("%v after %v: what is no HTTP must not wait", err, time.Since(began))
				}
			})
			t.Run("a destination that breaks off", func(t *testing.T) {
				l := p.listen(address)
				defer l.Close()
				go serveEach(l, func(c *net.TCPConn) {
					_, _ = c.Read(make([]byte, 1))
					_ = c.SetLinger(0)
				})
				c := p.connect(address)
				_, _ = io.WriteString(c, "\x00")
				if _, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("the client sees %v, want a reset", err)
				}
			})
			t.Run("a destination that is not there", func(t *testing.T) {
				c := p.connect(address)
				_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: other.example.com\r\n\r\n")
				if _, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("the client sees %v, want a reset", err)
				}
			})
			t.Run("a client that breaks off", func(t *testing.T) {
				l := p.listen(address)
				defer l.Close()
				seen := make(chan error, 1)
				go serveEach(l, func(c *net.TCPConn) {
					_, err := io.ReadAll(c)
					seen <- err
				})
				c := p.connect(address).(*net.TCPConn)
				_, _ = io.WriteString(c, "\x00")
				time.Sleep(50 * time.Millisecond)
				_ = c.SetLinger(0)
				_ = c.Close()
				if err := <-seen; !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("the destination sees %v, want a reset", err)
				}
			})
			t.Run("HTTP/2 with curl", func(t *testing.T) {
				var s *fakeprovider.Server
				_ = within(p.world, func() error {
					s = fakeprovider.New(t, fakeprovider.At(address), fakeprovider.Plain())
					return nil
				})
				defer s.Close()
				out := p.curl(append([]string{"--http2-prior-knowledge", "-w", " HTTP/%{http_version}", "http://" + address + "/v1/chat/completions"}, documentedCall...)...)
				if !strings.HasSuffix(out, " HTTP/2") || !strings.Contains(out, `"choices"`) {
					t.Errorf("%s", out)
				}
			})
		})
	}
	p.endsClean()
}

// endsClean has the gateway end at once, since nothing is in use.
func (p *pod) endsClean() {
	p.t.Helper()
	began := time.Now()
	p.gateway.stop()
	if took := time.Since(began); took > 5*time.Second {
		p.t.Errorf("it took %v to end", took)
	}
}

// TestMixedConnection sends requests for hosts with and without a route on one
// connection, as clients of a proxy do.
func TestMixedConnection(t *testing.T) {
	p := newPod(t, "documented-weighted-split")
	p.start(gatewayUID, settings{})
	p.capture()
	type seen struct {
		target, host string
		header       http.Header
	}
	requests := make(chan seen, 10)
	for _, ip := range []string{otherIP4, worldIP4} {
		l := p.listen(net.JoinHostPort(ip, "8080"))
		go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:errcheck // ends with the listener
			requests <- seen{r.RequestURI, r.Host, r.Header}
			w.Header()["Server"] = []string{"theirs"}
			fmt.Fprint(w, "other at ", ip)
		}))
	}
	l := p.listen(net.JoinHostPort(otherIP4, "80"))
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:errcheck // ends with the listener
		requests <- seen{r.RequestURI, r.Host, r.Header}
		w.Header()["Server"] = []string{"theirs"}
		fmt.Fprint(w, "other at port 80")
	}))
	const model = `"model":"qwen1.5-72b-chat"`
	chat := func(target, host string) string {
		body := `{"messages":[{"role":"user","content":"hi"}]}`
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", target, host, len(body), body)
	}
	get := func(target, host string) string {
		return fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nX-Forwarded-For: 192.0.2.7\r\nProxy-Authorization: Basic eA==\r\n\r\n", target, host)
	}
	for _, tc := range []struct {
		name, address string
		steps         []string // a request, what its response has, and the target that the destination sees
	}{
		{"captured", otherIP4 + ":80", []string{
			chat("/", "dashscope.aliyuncs.com"), model, "",
			get("/a%2Fb?c=d;e", "other.example.com"), "other at port 80", "/a%2Fb?c=d;e",
			chat("/v1/chat/completions", "dashscope.aliyuncs.com"), model, "",
		}},
		{"captured on the way to a proxy", otherIP4 + ":80", []string{
			chat("http://dashscope.aliyuncs.com/", "dashscope.aliyuncs.com"), model, "",
			get("http://elsewhere.example.com:81/x", "elsewhere.example.com:81"), "other at port 80", "http://elsewhere.example.com:81/x",
		}},
		{"as a proxy", "127.0.0.1:15001", []string{
			get("http://other.example.com/a%2Fb?c=d;e", "other.example.com"), "other at port 80", "/a%2Fb?c=d;e",
			chat("http://dashscope.aliyuncs.com/", "dashscope.aliyuncs.com"), model, "",
			get("http://other.example.com:8080/x", "other.example.com:8080"), "other at " + otherIP4, "/x",
			get("http://"+worldIP4+":8080/x", worldIP4+":8080"), "other at " + worldIP4, "/x",
			get("https://other.example.com/", "other.example.com"), "501 Not Implemented", "",
			get("http://other.example.com:1/", "other.example.com:1"), "502 Bad Gateway", "",
			get("/", "other.example.com"), "404 Not Found", "",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := p.connect(tc.address)
			r := bufio.NewReader(c)
			for i := 0; i < len(tc.steps); i += 3 {
				_, _ = io.WriteString(c, tc.steps[i])
				res, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Fatalf("%q: %v", tc.steps[i], err)
				}
				body, _ := io.ReadAll(res.Body)
				if got := res.Status + " " + string(body); !strings.Contains(got, tc.steps[i+1]) {
					t.Errorf("%q: %s, want %q in it", tc.steps[i], got, tc.steps[i+1])
				}
				if tc.steps[i+2] == "" {
					continue
				}
				got := <-requests
				if got.target != tc.steps[i+2] || got.header.Get("X-Forwarded-For") != "192.0.2.7" || len(got.header["Via"]) > 0 || len(got.header["User-Agent"]) > 0 {
					t.Errorf("the destination sees %+v, want the target %s", got, tc.steps[i+2])
				}
				if toProxy := strings.HasPrefix(got.target, "http://"); toProxy != (got.header.Get("Proxy-Authorization") != "") && tc.name != "captured" {
					t.Errorf("the destination sees %v", got.header)
				}
				if res.Header.Get("Server") != "theirs" || len(res.Header["Server"]) != 1 {
					t.Errorf("the client sees %v", res.Header)
				}
			}
		})
	}
}

// TestTunnels are those of CONNECT, which some clients ask for to port 80 too.
func TestTunnels(t *testing.T) {
	p := newPod(t, "documented-weighted-split")
	p.start(gatewayUID, settings{})
	go serveEach(p.listen(otherIP4+":80"), echoBytes)
	proxy := []string{"-p", "-x", "http://127.0.0.1:15001"}
	if out := p.curl(append(proxy, call("http://dashscope.aliyuncs.com")...)...); !strings.Contains(out, `"model":"qwen1.5-72b-chat"`) {
		t.Errorf("a route through a tunnel: %s", out)
	}
	out := p.curl(append(proxy, append([]string{"--cacert", p.dir + "/ca.pem"}, call("https://dashscope.aliyuncs.com/v1/chat/completions")...)...)...)
	if !strings.Contains(out, `"choices"`) {
		t.Errorf("TLS through a tunnel: %s", out)
	}
	if got := p.dashscope.Requests(); got[len(got)-1].Header.Get("Authorization") != "" {
		t.Error("a key was added inside of TLS")
	}
	for request, want := range map[string]string{
		"CONNECT other.example.com HTTP/1.1\r\nHost: other.example.com\r\n\r\n":                                                        "400 Bad Request",
		"CONNECT :80 HTTP/1.1\r\nHost: x\r\n\r\n":                                                                                      "400 Bad Request",
		"CONNECT " + otherIP4 + ":80 HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic eA==\r\n\r\n\x00early":                          "200 OK\r\n\r\ngot \x00early",
		"CONNECT dashscope.aliyuncs.com:80 HTTP/1.1\r\nHost: x\r\n\r\nGET /v1/models HTTP/1.0\r\nHost: dashscope.aliyuncs.com\r\n\r\n": "200 OK\r\n\r\nHTTP/1.0 200 OK",
	} {
		c := p.connect("127.0.0.1:15001").(*net.TCPConn)
		_, _ = io.WriteString(c, request)
		_ = c.CloseWrite()
		got, _ := io.ReadAll(c)
		if !strings.HasPrefix(string(got), "HTTP/1.1 "+want) {
			t.Errorf("%q: %q, want %q", request, got, want)
		}
	}
}

// TestFromOutside has a gateway that listens on all addresses: others may use its
// routes, as at any gateway, but not go through it to elsewhere.
func TestFromOutside(t *testing.T) {
	p := newPod(t, "documented-weighted-split")
	p.start(gatewayUID, settings{Listen: ":15001"})
	go serveEach(p.listen(otherIP4+":80"), echoBytes)
	for request, want := range map[string]string{
		"GET /v1/models HTTP/1.0\r\nHost: dashscope.aliyuncs.com\r\n\r\n":                    "HTTP/1.0 200 OK",
		"GET http://other.example.com/ HTTP/1.0\r\nHost: other.example.com\r\n\r\n":          "HTTP/1.0 403 Forbidden",
		"CONNECT " + otherIP4 + ":80 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n":       "HTTP/1.1 404 Not Found",
		"CONNECT dashscope.aliyuncs.com:80 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n": "HTTP/1.1 40",
	} {
		var got []byte
		err := within(p.world, func() error {
			c, err := net.Dial("tcp", net.JoinHostPort(podIP4, "15001"))
			if err != nil {
				return err
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(5 * time.Second))
			_, _ = io.WriteString(c, request)
			got, err = io.ReadAll(c)
			return err
		})
		if err != nil || !strings.HasPrefix(string(got), want) {
			t.Errorf("%q: %q, %v; want %q", request, got, err, want)
		}
	}
}

// TestRegistryOnly refuses what has no route.
func TestRegistryOnly(t *testing.T) {
	p := newPod(t, "documented-weighted-split")
	p.start(gatewayUID, settings{Policy: "REGISTRY_ONLY"})
	p.capture()
	reached := countConnections(p.listen(otherIP4+":80"), p.listen("["+otherIP6+"]:80"))
	if out := p.curl(call("http://dashscope.aliyuncs.com")...); !strings.Contains(out, `"model":"qwen1.5-72b-chat"`) {
		t.Errorf("a route: %s", out)
	}
	proxy := []string{"-x", "http://127.0.0.1:15001"}
	for name, args := range map[string][]string{
		"captured": {"http://other.example.com/"}, "captured over IPv6": {"http://other6.example.com/"},
		"as a proxy": append(proxy, "http://other.example.com/"),
	} {
		if out := p.curl(append(args, "-w", "%{http_code}")...); !strings.HasSuffix(out, "502") || !strings.Contains(out, "outbound_traffic_policy is REGISTRY_ONLY") {
			t.Errorf("%s: %s", name, out)
		}
	}
	out, err := p.as(appUID, append([]string{"curl", "-sS", "-p", "-w", "%{http_connect}", "http://other.example.com/"}, proxy...)...).CombinedOutput()
	if err == nil || !strings.HasSuffix(string(out), "403") {
		t.Errorf("a tunnel: %s", out)
	}
	if out := p.curl("--http2-prior-knowledge", "http://other.example.com/", "-w", "%{http_code}"); !strings.HasSuffix(out, "502") {
		t.Errorf("HTTP/2: %s", out)
	}
	for name, bytes := range map[string]string{"TLS": "\x16\x03\x01", "silence": ""} {
		c := p.connect(otherIP4 + ":80")
		_, _ = io.WriteString(c, bytes)
		if _, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: %v, want a reset", name, err)
		}
	}
	if n := reached.count(); n > 0 {
		t.Errorf("%d connections came to their destination", n)
	}
}

// TestLoop has gateways whose own connections come back to them.
func TestLoop(t *testing.T) {
	for name, user := range map[string]int{"another user": 1338, "root": 0} {
		t.Run(name, func(t *testing.T) {
			p := newPod(t, "documented-weighted-split")
			p.start(user, settings{})
			p.capture()
			p.listen(otherIP4 + ":80")
			if out := p.curl("-w", "%{http_code}", "http://other.example.com/"); !strings.HasSuffix(out, "508") {
				t.Errorf("%s", out)
			}
			c := p.connect(otherIP4 + ":80")
			_, _ = io.WriteString(c, "\x00")
			if _, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%v, want a reset", err)
			}
			until(t, "the log says so for two connections", func() bool {
				return strings.Count(p.gateway.log.String(), "refused a connection that the gateway itself had opened") == 2
			})
		})
	}
	t.Run("a name that leads here", func(t *testing.T) {
		p := newPod(t, "documented-weighted-split")
		p.start(gatewayUID, settings{})
		for _, url := range []string{"http://localhost:15001/", "http://127.0.0.1:15001/", "http://[::1]:15001/"} {
			if out := p.curl("-x", "http://127.0.0.1:15001", "-w", "%{http_code}", url); !strings.HasSuffix(out, "508") {
				t.Errorf("%s: %s", url, out)
			}
		}
		if out := p.curl("-p", "-x", "http://127.0.0.1:15001", "-w", "%{http_code}", "http://127.0.0.1:15001/"); !strings.HasSuffix(out, "508") {
			t.Errorf("a tunnel: %s", out)
		}
	})
}
