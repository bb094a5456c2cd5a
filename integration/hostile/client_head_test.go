package hostile_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	fp "github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/gateway"
)

// Heads without an end are cut off, whatever of them is endless.
func TestEndlessHeads(t *testing.T) {
	up := plainProvider(t)
	s := start(t, up)
	up.Reset()
	block := strings.Repeat("a", 1000)
	for _, tc := range []struct {
		name, begin, repeat string
		want                []int // one of these; no response is right as well
	}{
		{"headers", "POST / HTTP/1.1\r\nHost: gateway\r\n", "X-Fill: " + block + "\r\n", []int{431}},
		{"one header", "POST / HTTP/1.1\r\nHost: gateway\r\nX-Fill: ", block, []int{431}},
		{"one header's name", "POST / HTTP/1.1\r\nHost: gateway\r\n", block, []int{431, 400}},
		{"empty headers", "POST / HTTP/1.1\r\nHost: gateway\r\n", "a:\r\n", []int{431}},
		{"path", "POST /", block, []int{431, 400, 414}},
		{"method", "", block, []int{431, 400, 405}},
		{"trailers", headed("Host: gateway\nContent-Type: application/json\nTransfer-Encoding: chunked", "2\r\n{}\r\n0\r\n"), "X-Fill: " + block + "\r\n", []int{400, 431}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s.grows(t, 32<<20, func() {
				c := s.dial(t)
				sent := make(chan int)
				go func() {
					n, _ := io.WriteString(c, tc.begin)
					data := strings.Repeat(tc.repeat, max(1, 16<<10/len(tc.repeat)))
					for n < 256<<20 {
						m, err := io.WriteString(c, data)
						n += m
						if err != nil {
							break
						}
					}
					sent <- n
				}()
				head := make([]byte, 64)
				n, _ := io.ReadFull(c, head) // a reset may overtake the response
				_ = c.Close()
				if total := <-sent; total > 16<<20 {
					t.Errorf("the gateway took %d MiB", total>>20)
				}
				status := 0
				if _, err := fmt.Sscanf(string(head[:n]), "HTTP/1.1 %d", &status); err != nil && n > 0 {
					t.Errorf("the response begins with %q", head[:n])
				}
				if n > 0 && !strings.Contains(fmt.Sprint(tc.want), fmt.Sprint(status)) {
					t.Errorf("got %d, want one of %v", status, tc.want)
				}
			})
			s.serves(t)
		})
	}
	for _, r := range up.Requests() {
		if string(r.Body) != hello {
			t.Errorf("the provider received %q", r.Body)
		}
	}
}

// Where two readers could see different requests in the same bytes, the gateway
// reads as RFC 9112 has it or refuses: nothing after the request a reader of
// one kind sees is ever sent to the provider as a part of it.
func TestRequestSmuggling(t *testing.T) {
	up := plainProvider(t)
	s := start(t, up)
	const (
		base  = "Host: gateway\nContent-Type: application/json\n"
		inner = "POST /smuggled HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{\"smuggled\":1}"
	)
	chunks := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(hello), hello)
	for _, tc := range []struct {
		name, request string
		first         int  // status of the first response
		ends          bool // nothing after the first request may be answered
	}{
		{"length and chunks", headed(base+fmt.Sprintf("Content-Length: %d\nTransfer-Encoding: chunked\nConnection: close", len(chunks)), chunks), 200, true},
		{"short length and chunks", headed(base+"Content-Length: 4\nTransfer-Encoding: chunked\nConnection: close", chunks+inner), 200, true},
		{"long length and chunks", headed(base+fmt.Sprintf("Content-Length: %d\nTransfer-Encoding: chunked\nConnection: close", len(chunks)+len(inner)), chunks+inner), 200, true},
		{"two lengths", headed(base+fmt.Sprintf("Content-Length: %d\nContent-Length: 0", len(hello)), hello+inner), 400, true},
		{"lengths in a list", headed(base+fmt.Sprintf("Content-Length: %d, 0", len(hello)), hello+inner), 400, true},
		{"unknown transfer encoding", headed(base+"Transfer-Encoding: xchunked", chunks+inner), 501, true},
		{"chunked is not the last", headed(base+"Transfer-Encoding: chunked, identity", chunks+inner), 501, true},
		{"chunked twice", headed(base+"Transfer-Encoding: chunked\nTransfer-Encoding: chunked", chunks+inner), 501, true},
		{"chunked after a comma", headed(base+"Transfer-Encoding: , chunked", chunks+inner), 501, true},
		{"chunked with a vertical tab", headed(base+"Transfer-Encoding: \x0bchunked", chunks+inner), 400, true},
		{"space before the colon", headed(base+"Transfer-Encoding : chunked", chunks+inner), 400, true},
		{"length with a space before the colon", headed(base+fmt.Sprintf("Content-Length : %d", len(hello)), hello+inner), 400, true},
		{"line folded", headed(base+"Connection: close\nX-A: b\n Transfer-Encoding: chunked", chunks), 400, true},
		{"carriage return inside", headed(base+"X-A: b\rTransfer-Encoding: chunked", chunks+inner), 400, true},
		{"NUL inside", headed(base+"X-A: b\x00", hello), 400, true},
		{"chunked in HTTP/1.0", strings.Replace(headed(base+"Transfer-Encoding: chunked", chunks+inner), "HTTP/1.1", "HTTP/1.0", 1), 0, true},
		{"line of a chunk ended by LF", headed(base+"Transfer-Encoding: chunked\nConnection: close", fmt.Sprintf("%x\n%s\n0\n\n", len(hello), hello)), 0, true},
		{"chunk extension with LF", headed(base+"Transfer-Encoding: chunked\nConnection: close", fmt.Sprintf("%x;\n%s\r\n0\r\n\r\n", len(hello), hello)+inner), 0, true},
		{"chunk size with a sign", headed(base+"Transfer-Encoding: chunked", fmt.Sprintf("+%x\r\n%s\r\n0\r\n\r\n", len(hello), hello)+inner), 400, true},
		{"chunk size with 0x", headed(base+"Transfer-Encoding: chunked", fmt.Sprintf("0x%x\r\n%s\r\n0\r\n\r\n", len(hello), hello)+inner), 400, true},
		{"body on a GET", strings.Replace(headed(base+fmt.Sprintf("Content-Length: %d\nConnection: close", len(inner)), inner), "POST", "GET", 1), 405, true},
		{"two requests in one write", headed(base+fmt.Sprintf("Content-Length: %d", len(hello)), hello) + headed(base+fmt.Sprintf("Content-Length: %d\nConnection: close", len(hello)), hello), 200, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			up.Reset()
			all := s.raw(t, tc.request, false)
			if tc.first != 0 && (len(all) == 0 || all[0].status != tc.first) {
				t.Errorf("answers %v, want %d first", statuses(all), tc.first)
			}
			if tc.ends && len(all) > 1 {
				t.Errorf("answers %v, want one", statuses(all))
			}
			if up.Count() > len(all) {
				t.Errorf("the provider received %d requests for the responses %v", up.Count(), statuses(all))
			}
			for _, r := range up.Requests() {
				if string(r.Body) != hello || r.Path != "/v1/chat/completions" || r.Header.Get("Transfer-Encoding") != "" ||
					r.ContentLength != int64(len(r.Body)) || r.Header.Get("Authorization") != "Bearer "+providerKey {
					t.Errorf("the provider received %s of %d bytes: %.200q", r.Path, r.ContentLength, r.Body)
				}
			}
			s.serves(t)
		})
	}
}

// Headers of one connection, and those that a Connection header names, end at
// the gateway.
func TestConnectionHeadersEndAtTheGateway(t *testing.T) {
	up := plainProvider(t)
	s := start(t, up)
	all := s.raw(t, headed(fmt.Sprintf(`Host: gateway
Content-Type: application/json
Content-Length: %d
Connection: close, X-Named, Authorization
Connection: Content-Length, host
X-Named: 1
X-Other: 2
Authorization: Bearer client
Keep-Alive: timeout=5
Proxy-Connection: keep-alive
Proxy-Authorization: Basic eA==
TE: trailers
Trailer: X-Late
Upgrade: h2c, websocket
HTTP2-Settings: AAAA`, len(hello)), hello), false)
	if len(all) != 1 || all[0].status != 200 {
		t.Fatalf("answers %v", statuses(all))
	}
	r := up.Last()
	for _, name := range []string{"Connection", "X-Named", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "Te", "Trailer", "Upgrade", "Http2-Settings", "Transfer-Encoding"} {
		if v, ok := r.Header[name]; ok {
			t.Errorf("the provider received %s: %q", name, v)
		}
	}
	if r.Header.Get("X-Other") != "2" || r.Header.Get("Authorization") != "Bearer "+providerKey || string(r.Body) != hello || r.ContentLength != int64(len(hello)) {
		t.Errorf("the provider received %v %q", r.Header, r.Body)
	}
	s.serves(t)
}

// A request that says twice, or not at all, whom it is for is refused.
func TestDoubtfulHosts(t *testing.T) {
	up := plainProvider(t)
	s := start(t, up)
	up.Reset()
	rest := fmt.Sprintf("Content-Type: application/json\nContent-Length: %d\nConnection: close", len(hello))
	for _, tc := range []struct{ name, request string }{
		{"two", headed("Host: gateway\nHost: other\n"+rest, hello)},
		{"the same twice", headed("Host: gateway\nHost: gateway\n"+rest, hello)},
		{"two, the second in other letters", headed("Host: gateway\nhOST: other\n"+rest, hello)},
		{"none", headed(rest, hello)},
		{"with a space", headed("Host: gate way\n"+rest, hello)},
		{"with a path", headed("Host: gateway/x\n"+rest, hello)},
		{"with a line break", headed("Host: gate\x0away\n"+rest, hello)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			all := s.raw(t, tc.request, false)
			if len(all) != 1 || all[0].status != 400 {
				t.Errorf("answers %v", statuses(all))
			}
		})
	}
	if up.Count() != 0 {
		t.Errorf("the provider received %d requests", up.Count())
	}
	s.serves(t)
}

// The host in an absolute request target wins over the Host header (RFC 9112,
// section 3.2.2), at every place where a host decides.
func TestAbsoluteFormWins(t *testing.T) {
	one, two := fp.New(t, fp.Names("one.test")), fp.New(t, fp.Names("two.test"))
	proxy := fp.NewProxy(t, map[string]*fp.Server{"one.test": one, "two.test": two})
	ports := gateway.FreePorts(t, 3)
	g := gateway.Start(t, gateway.Render(t, `{
	llm {
		status_listen off
		provider one.test {
			api_key {env.ONE}
		}
		provider two.test {
			api_key {env.TWO}
		}
	}
}
http://:{{index . 0}} {
	llm_route
}
http://:{{index . 1}} {
	llm_route {
		rule one {
			match host one.test
			to one.test
		}
		rule two {
			match host two.test
			to two.test
		}
	}
}
http://one.test:{{index . 2}} {
	llm_route {
		to one.test
	}
}
http://two.test:{{index . 2}} {
	llm_route {
		to two.test
	}
}
`, ports), gateway.Env("ONE", "key-of-one"), gateway.Env("TWO", "key-of-two"),
		gateway.Env("HTTPS_PROXY", proxy.URL()), gateway.Env("SSL_CERT_FILE", one.CAFile()))

	for i, by := range []string{"providers", "rules", "sites"} {
		s := &site{Gateway: g, port: ports[i]}
		for _, tc := range []struct {
			target, host string
			want         *fp.Server // nil: refused, nobody asked
		}{
			{"/v1/chat/completions", "one.test", one},
			{"http://one.test/v1/chat/completions", "one.test", one},
			{"http://one.test/v1/chat/completions", "two.test", one},
			{"http://two.test/", "one.test", two},
			{"http://TWO.test:80/", "one.test", two},
			{"https://two.test/v1/chat/completions?x=http://one.test/", "one.test", two},
			{"http://one.test@two.test/", "one.test", two},
			{"http://none.test/", "one.test", nil},
			{"//two.test/v1/chat/completions", "one.test", nil}, // a path, with an empty segment
		} {
			t.Run(fmt.Sprintf("by %s, %s with Host %s", by, tc.target, tc.host), func(t *testing.T) {
				one.Reset()
				two.Reset()
				c := s.dial(t)
				fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", tc.target, tc.host, len(hello), hello)
				all := answers(t, c)
				if len(all) != 1 {
					t.Fatalf("answers %v", statuses(all))
				}
				for _, p := range []*fp.Server{one, two} {
					want := 0
					if p == tc.want {
						want = 1
					}
					if p.Count() != want {
						t.Errorf("answer %d; one.test received %d requests, two.test %d", all[0].status, one.Count(), two.Count())
						break
					}
				}
				if tc.want == nil {
					if all[0].status == 200 && len(all[0].body) > 0 {
						t.Errorf("got %d %q", all[0].status, all[0].body)
					}
					return
				}
				r := tc.want.Last()
				name, key := "one.test", "key-of-one"
				if tc.want == two {
					name, key = "two.test", "key-of-two"
				}
				if r.Host != name || r.SNI != name || r.Header.Get("Authorization") != "Bearer "+key || r.Target != "/v1/chat/completions" {
					t.Errorf("the provider received %s for %s (SNI %s) with %v", r.Target, r.Host, r.SNI, r.Header)
				}
			})
		}
	}
}
