package hostile_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	fp "github.com/caddy-llm/gateway/integration/fakeprovider"
)

// head is a reply whose status line and headers are sent as they are, one a
// line, then the body, then the connection is closed.
func head(lines, body string) fp.Reply {
	raw := strings.ReplaceAll(lines, "\n", "\r\n") + "\r\n\r\n"
	return fp.Reply{Framing: fp.FramingRaw, RawHead: []byte(raw), Steps: []fp.Step{fp.Send(body)}}
}

const (
	okJSON = `{"model":"m","choices":[{"index":0,"finish_reason":"stop","message":{"content":"x"}}],"usage":{"prompt_tokens":3,"completion_tokens":4}}`
	okHead = "HTTP/1.1 200 OK\nContent-Type: application/json"
)

// A head that is no HTTP, or has no end, is a provider out of order: 502.
func TestBrokenHeads(t *testing.T) {
	up := plainProvider(t)
	s := start(t, up)
	fill := "X-Fill: " + strings.Repeat("a", 1000) + "\r\n"
	endless := func(begin, repeat string) fp.Reply {
		return fp.Reply{Framing: fp.FramingRaw, RawHead: []byte(begin)}.Then(fp.Forever(strings.Repeat(repeat, 16), 0))
	}
	for _, tc := range []struct {
		name  string
		reply fp.Reply
	}{
		{"endless headers", fp.EndlessHeaders()},
		{"one endless header", endless("HTTP/1.1 200 OK\r\nX-Fill: ", strings.Repeat("a", 1000))},
		{"endless status line", endless("HTTP/1.1 200 ", strings.Repeat("a", 1000))},
		{"headers of an error without an end", endless("HTTP/1.1 500 Internal Server Error\r\n", fill)},
		{"endless interim answers", endless("", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")},
		{"interim answers with much in them", endless("", "HTTP/1.1 102 Processing\r\n"+strings.Repeat(fill, 30)+"\r\n")},
		{"300 KiB of headers", head("HTTP/1.1 200 OK\n"+strings.TrimSuffix(strings.Repeat(strings.TrimSpace(fill)+"\n", 300), "\n"), okJSON)},
		{"another protocol", head("SSH-2.0-OpenSSH_9.0", "")},
		{"binary", head("\x16\x03\x01\x02\x00\x01\x00\x01\xfc", "\x00\x00")},
		{"HTML without a head", head("<html>", "</html>")},
		{"a status of letters", head("HTTP/1.1 abc OK\nContent-Length: 2", "{}")},
		{"a status of two digits", head("HTTP/1.1 20 OK\nContent-Length: 2", "{}")},
		{"a status of four digits", head("HTTP/1.1 2000 OK\nContent-Length: 2", "{}")},
		{"a negative status", head("HTTP/1.1 -20 OK\nContent-Length: 2", "{}")},
		{"status 000", head("HTTP/1.1 000 None\nContent-Length: 2", "{}")},
		{"status 099", head("HTTP/1.1 099 None\nContent-Length: 2", "{}")},
		{"a header without a colon", head(okHead+"\nnonsense", okJSON)},
		{"a header without a name", head(okHead+"\n: x", okJSON)},
		{"a carriage return inside a header", head(okHead+"\nX-Bare: a\rX-Injected: 1", okJSON)},
		{"a NUL inside a header", head(okHead+"\nX-Bare: a\x00b", okJSON)},
		{"two lengths", head(okHead+"\nContent-Length: 2\nContent-Length: 3", "{}")},
		{"a negative length", head(okHead+"\nContent-Length: -2", "{}")},
		{"a length that is no number", head(okHead+"\nContent-Length: two", "{}")},
		{"an unknown transfer encoding", head(okHead+"\nTransfer-Encoding: gzip, chunked", "2\r\n{}\r\n0\r\n\r\n")},
		{"a switch of protocols nobody asked for", head("HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: Upgrade", okJSON)},
		{"nothing", fp.Reply{}.CloseBeforeHead()},
		{"a reset", fp.Reply{}.ResetBeforeHead()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			act(up, tc.reply)
			mark := s.LogMark()
			s.grows(t, 32<<20, func() {
				s.post(t, hello, actHeader, "1").refused(t, http.StatusBadGateway, "provider_unreachable")
			})
			line := s.WaitLogSince(mark, "request refused")
			if line.Level != "error" || line.Fields["error"] == nil {
				t.Errorf("the log says %s", line.Raw)
			}
			s.serves(t)
		})
	}
}

// What is odd, and HTTP all the same, passes through.
func TestOddHeadsThatPass(t *testing.T) {
	up := plainProvider(t)
	s := start(t, up)
	for _, tc := range []struct {
		name   string
		reply  fp.Reply
		status int
		body   string
	}{
		{"no reason", head("HTTP/1.1 200\nConnection: close\nContent-Type: application/json\nContent-Length: 2", "{}"), 200, "{}"},
		{"an unknown success", head("HTTP/1.1 299 Odd\nConnection: close\nContent-Length: 2", "{}"), 299, "{}"},
		{"an unknown error", head("HTTP/1.1 799 Odd\nConnection: close\nContent-Length: 2", "{}"), 799, "{}"},
		{"999", head("HTTP/1.1 999 Request denied\nConnection: close\nContent-Length: 2", "{}"), 999, "{}"},
		{"204 with a body", head("HTTP/1.1 204 No Content\nConnection: close\nContent-Type: application/json", "{}"), 204, ""},
		{"204 that is said to be a stream", head("HTTP/1.1 204 No Content\nConnection: close\nContent-Type: text/event-stream", "data: x\n\n"), 204, ""},
		{"an interim answer before", head("HTTP/1.1 103 Early Hints\nLink: </x>\nX-Early: 1\n\nHTTP/1.1 100 Continue\n\n"+okHead+fmt.Sprintf("\nConnection: close\nContent-Length: %d", len(okJSON)), okJSON), 200, okJSON},
		{"the same length twice", head(okHead+"\nConnection: close\nContent-Length: 2\nContent-Length: 2", "{}"), 200, "{}"},
		{"lines ended by LF", fp.Reply{Framing: fp.FramingRaw, RawHead: []byte("HTTP/1.1 200 OK\nConnection: close\nContent-Type: application/json\nContent-Length: 2\n\n{}")}, 200, "{}"},
		{"no content type", head("HTTP/1.1 200 OK\nConnection: close\nContent-Length: 15", "<script>x</scri"), 200, "<script>x</scri"},
		{"200 KiB of headers", head(okHead+"\nConnection: close\nContent-Length: 2"+strings.Repeat("\nX-Fill: "+strings.Repeat("a", 1000), 200), "{}"), 200, "{}"},
		{"HTTP/1.0", fp.JSON(200, okJSON).HTTP10(), 200, okJSON},
	} {
		t.Run(tc.name, func(t *testing.T) {
			act(up, tc.reply)
			a := s.post(t, hello, actHeader, "1")
			if a.err != nil || a.status != tc.status || string(a.body) != tc.body {
				t.Errorf("got %d %.200q, %v", a.status, a.body, a.err)
			}
			if a.header.Get("X-Early") != "" {
				t.Error("a header of the interim answer is in the response")
			}
			s.serves(t)
		})
	}
}

// A redirect is the provider's error: followed with the key, it would hand the key
// to whomever it names, and passed on, it would show the client an address.
func TestRedirectsAreNeverFollowed(t *testing.T) {
	elsewhere := plainProvider(t)
	for name, up := range map[string]*fp.Server{"HTTP/1.1": plainProvider(t), "HTTP/2": fp.New(t)} {
		s := start(t, up)
		for _, status := range []int{300, 301, 302, 303, 305, 307, 308, 399} {
			for _, to := range []string{elsewhere.URL() + "/v1/chat/completions", up.URL() + "/other", "/other", "//" + elsewhere.Addr() + "/"} {
				t.Run(fmt.Sprintf("%s, %d to %.8s", name, status, to), func(t *testing.T) {
					up.Reset()
					act(up, fp.Bytes(status, "text/html", []byte("<a>moved</a>")).WithHeader("Location", to))
					a := s.post(t, hello, actHeader, "1")
					a.refused(t, http.StatusBadGateway, "provider_redirected")
					if a.header.Get("Location") != "" || strings.Contains(string(a.body), "moved") || strings.Contains(string(a.body), "other") {
						t.Errorf("the client is told %v %q", a.header, a.body)
					}
					if up.Count() != 1 || elsewhere.Connections() != 0 {
						t.Errorf("the provider received %d requests, the other place %d connections", up.Count(), elsewhere.Connections())
					}
				})
			}
		}
		s.serves(t)
	}
}

// A provider's headers reach the client as they are, but for those of the
// provider's connection; none of them makes a line of its own.
func TestProviderHeaders(t *testing.T) {
	up := plainProvider(t)
	s := start(t, up)
	long := strings.Repeat("v", 60<<10)
	act(up, head(okHead+fmt.Sprintf(`
Content-Length: %d
Set-Cookie: __cf_bm=abc; path=/; HttpOnly; Secure
Set-Cookie: session=xyz; Domain=.example.com
X Spaced: 1
X-Folded: a
  X-Injected-Too: 1
X-Bytes: %s
X-Long: %s
X-Request-Id: req_1
Connection: X-Hop, Keep-Alive
X-Hop: 1
Keep-Alive: timeout=5
Proxy-Authenticate: Basic
Upgrade: h2c
Trailer: X-Late`, len(okJSON), "\xff\xfe", long), okJSON))

	c := s.dial(t)
	fmt.Fprint(c, headed(fmt.Sprintf("Host: gateway\nContent-Type: application/json\n%s: 1\nContent-Length: %d\nConnection: close", actHeader, len(hello)), hello))
	r := bufio.NewReader(c)
	var lines []string
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("the head ended early: %v", err)
		}
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			break
		}
		lines = append(lines, line)
	}
	for _, line := range lines {
		name, _, _ := strings.Cut(strings.ToLower(line), ":")
		if slices.Contains([]string{"x spaced", "x-injected-too", "x-hop", "keep-alive", "proxy-authenticate", "upgrade", "trailer"}, name) {
			t.Errorf("the client received %.100q", line)
		}
		if strings.ContainsAny(line, "\r\x00") {
			t.Errorf("a control character in %.100q", line)
		}
	}
	for _, want := range []string{
		"HTTP/1.1 200 OK", "Set-Cookie: __cf_bm=abc; path=/; HttpOnly; Secure", "Set-Cookie: session=xyz; Domain=.example.com",
		"X-Long: " + long, "X-Request-Id: req_1", fmt.Sprintf("Content-Length: %d", len(okJSON)), "Content-Type: application/json",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("the client did not receive %.100q", want)
		}
	}
	if body, err := io.ReadAll(r); err != nil || string(body) != okJSON {
		t.Errorf("body %q, %v", body, err)
	}

	// The provider has closed the connection, though it announced to keep it. A
	// request that comes before the gateway has seen that would be lost.
	time.Sleep(100 * time.Millisecond)

	// The gateway is no browser: it keeps no cookie for the next request.
	s.serves(t)
	if cookie := up.Last().Header.Get("Cookie"); cookie != "" {
		t.Errorf("the provider's cookie came back: %s", cookie)
	}
}

// Providers that refuse early do not read the body. Their response must reach the
// client all the same.
func TestAnswerBeforeTheBodyIsRead(t *testing.T) {
	body := `{"messages":"` + strings.Repeat("a", 8<<20) + `"}`
	for name, options := range map[string][]fp.Option{
		"HTTP/1.1": {fp.Plain(), fp.HTTP1Only(), fp.BodyLimit(1000)},
		"HTTP/2":   {fp.HTTP2Only(), fp.BodyLimit(1000)},
	} {
		up := fp.New(t, options...)
		s := start(t, up)
		for _, reply := range []fp.Reply{
			fp.JSON(401, `{"error":{"message":"who are you"}}`),
			fp.JSON(413, `{"error":{"message":"too long"}}`),
			fp.JSON(200, okJSON),
			fp.SSE("data: {}\n\n", "data: [DONE]\n\n"),
		} {
			t.Run(fmt.Sprintf("%s %d", name, reply.Status), func(t *testing.T) {
				act(up, reply)
				want := reply.Body
				if want == nil {
					want = []byte("data: {}\n\ndata: [DONE]\n\n")
				}
				a := s.post(t, body, actHeader, "1")
				if a.err != nil || a.status != max(reply.Status, 200) || string(a.body) != string(want) {
					t.Errorf("got %d %.200q, %v", a.status, a.body, a.err)
				}
				s.serves(t)
			})
		}
	}
}
