package authz

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/headername"
)

// asked is what a service was asked.
type asked struct {
	*http.Request
	body string
}

// service starts a service that answers as the function says, and hands out what
// it was asked.
func service(t *testing.T, answer http.HandlerFunc) (config *ExtAuthz, questions <-chan asked) {
	t.Helper()
	seen := make(chan asked, 16)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		select {
		case seen <- asked{r, string(body)}:
		default:
		}
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	return at(t, server.Listener.Addr().String()), seen
}

func at(t *testing.T, address string) *ExtAuthz {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return &ExtAuthz{Service: host, Port: must(strconv.Atoi(port))}
}

func allow(http.ResponseWriter, *http.Request) {}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func newCheck(t *testing.T, config *ExtAuthz) *external {
	t.Helper()
	e, err := newExternal("service", config)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func original(body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "http://gateway.example/v1/a%2Fb//c?x=1&y=%20", strings.NewReader(body))
	r.Header = http.Header{
		"Authorization": {"Bearer secret"}, "Cookie": {"a=b"}, "X-Team-Id": {"1", "2"}, "X-Other": {"3"}, "User-Agent": {"test"},
		"Connection": {"x-team-hop"}, "X-Team-Hop": {"4"}, "X-Envoy-Auth-Partial-Body": {"true"}, "X-Llm-Endpoint": {"/of/the/client"}, "Content-Type": {"application/json"},
		"Te": {"trailers"}, "Expect": {"100-continue"},
	}
	return r
}

func TestCheckRequest(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*ExtAuthz)
		path   string
		body   string
		header http.Header
	}{
		"as it is": {
			change: func(*ExtAuthz) {}, path: "/v1/a%2Fb//c?x=1&y=%20",
			header: http.Header{"Authorization": {"Bearer secret"}, "Content-Length": {"0"}},
		},
		"a prefix": {
			change: func(c *ExtAuthz) { c.PathPrefix = "/che%20ck" }, path: "/che%20ck/v1/a%2Fb//c?x=1&y=%20",
			header: http.Header{"Authorization": {"Bearer secret"}, "Content-Length": {"0"}},
		},
		"headers": {
			change: func(c *ExtAuthz) {
				c.IncludeRequestHeadersInCheck = []string{"COOKIE", "x-team-*", "*-type", "te", "expect", "x-envoy*", "connection", "none", "x-llm-*"}
				c.IncludeAdditionalHeadersInCheck = map[string]string{"x-fixed": "f", "cookie": "over"}
			},
			path: "/v1/a%2Fb//c?x=1&y=%20",
			header: http.Header{
				"Authorization": {"Bearer secret"}, "Content-Length": {"0"}, "Cookie": {"over"}, "X-Team-Id": {"1", "2"},
				"Content-Type": {"application/json"}, "X-Fixed": {"f"},
			},
		},
		"the body": {
			change: func(c *ExtAuthz) { c.IncludeRequestBodyInCheck = &ExtAuthzBody{MaxRequestBytes: 100} }, path: "/v1/a%2Fb//c?x=1&y=%20",
			header: http.Header{"Authorization": {"Bearer secret"}, "Content-Length": {"11"}, "X-Envoy-Auth-Partial-Body": {"false"}},
			body:   "hello world",
		},
		"a part of the body": {
			change: func(c *ExtAuthz) {
				c.IncludeRequestBodyInCheck = &ExtAuthzBody{MaxRequestBytes: 5, AllowPartialMessage: true}
			},
			path:   "/v1/a%2Fb//c?x=1&y=%20",
			header: http.Header{"Authorization": {"Bearer secret"}, "Content-Length": {"5"}, "X-Envoy-Auth-Partial-Body": {"true"}},
			body:   "hello",
		},
		"all of the body": {
			change: func(c *ExtAuthz) {
				c.IncludeRequestBodyInCheck = &ExtAuthzBody{MaxRequestBytes: 11, AllowPartialMessage: true}
			},
			path:   "/v1/a%2Fb//c?x=1&y=%20",
			header: http.Header{"Authorization": {"Bearer secret"}, "Content-Length": {"11"}, "X-Envoy-Auth-Partial-Body": {"false"}},
			body:   "hello world",
		},
	} {
		t.Run(name, func(t *testing.T) {
			config, questions := service(t, allow)
			test.change(config)
			e := newCheck(t, config)
			for _, length := range []int64{11, -1} { // known or not
				r := original("hello world")
				r.ContentLength = length
				if err := llmprovider.Prepare(r); err != nil {
					t.Fatal(err)
				}
				before := r.Header.Clone()
				if refusal := e.check(http.Header{}, r, "/v1/chat/completions", zap.NewNop()); refusal != nil {
					t.Fatalf("refused: %+v", refusal)
				}
				got := <-questions
				if got.Method != http.MethodPost || got.RequestURI != test.path || got.Host != "gateway.example" || got.body != test.body {
					t.Errorf("got %s %s at %s with %q", got.Method, got.RequestURI, got.Host, got.body)
				}
				if llmprovider.CheckLoop(got.Header) == nil {
					t.Errorf("a question that comes back is not known: %v", got.Header)
				}
				got.Header.Del(headername.Loop)
				if !slices.Equal(got.Header["X-Llm-Endpoint"], []string{"/v1/chat/completions"}) {
					t.Errorf("the endpoint is %v", got.Header["X-Llm-Endpoint"])
				}
				got.Header.Del("X-Llm-Endpoint")
				if !reflect.DeepEqual(got.Header, test.header) {
					t.Errorf("got  %v\nwant %v", got.Header, test.header)
				}
				if !reflect.DeepEqual(r.Header, before) {
					t.Errorf("the request's header is now %v", r.Header)
				}
				if body := must(io.ReadAll(r.Body)); string(body) != "hello world" || r.ContentLength != length {
					t.Errorf("later handlers get %q, %d", body, r.ContentLength)
				}
			}
		})
	}
}

func TestCheckAllows(t *testing.T) {
	config, _ := service(t, func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h["X-User"], h["X-User-Groups"], h["X-Other"], h["Connection"] = []string{"alice"}, []string{"a", "b"}, []string{"o"}, []string{"X-User-Hop"}
		h["X-User-Hop"], h["Set-Cookie"], h["Host"] = []string{"h"}, []string{"c=d", "e=f"}, []string{"h"}
		h["Content-Type"], h["Content-Encoding"], h["Accept-Encoding"], h["Cdn-Loop"] = []string{"text/html"}, []string{"identity"}, []string{"gzip"}, []string{"x"}
		fmt.Fprint(w, strings.Repeat("x", 1000))
	})
	config.HeadersToUpstreamOnAllow = []string{"x-user*", "hos*", "content-*", "cdn*", "accept*"}
	config.HeadersToDownstreamOnAllow = []string{"set-cookie", "conn*", "content-*"}
	e := newCheck(t, config)
	r := original("")
	r.Header["X-User"] = []string{"mallory", "eve"}
	want := r.Header.Clone()
	want["X-User"], want["X-User-Groups"] = []string{"alice"}, []string{"a", "b"}
	answer := http.Header{"Set-Cookie": {"a=b"}}
	if refusal := e.check(answer, r, "/v1/chat/completions", zap.NewNop()); refusal != nil {
		t.Fatalf("refused: %+v", refusal)
	}
	if !reflect.DeepEqual(r.Header, want) {
		t.Errorf("got  %v\nwant %v", r.Header, want)
	}
	if want := (http.Header{"Set-Cookie": {"a=b", "c=d", "e=f"}}); !reflect.DeepEqual(answer, want) {
		t.Errorf("the client gets %v", answer)
	}
}

func TestCheckRefuses(t *testing.T) {
	answer := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Date"] = nil
			w.Header().Set("Location", "/login")
			w.Header().Set("WWW-Authenticate", "Bearer")
			w.Header().Set("X-Why", "because")
			w.Header().Set("Connection", "X-Hop")
			w.Header().Set("X-Hop", "1")
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(code)
			fmt.Fprint(w, "no")
		}
	}
	all := http.Header{"Location": {"/login"}, "Www-Authenticate": {"Bearer"}, "X-Why": {"because"}, "Content-Type": {"text/html"}}
	listed := all.Clone()
	delete(listed, "Content-Type")
	for _, code := range []int{201, 302, 401, 403, 418, 429} {
		config, _ := service(t, answer(code))
		config.FailOpen = true // which is for failures
		config.StatusOnError = 599
		for _, list := range [][]string{nil, {"X-Wh*"}} {
			config.HeadersToDownstreamOnDeny = list
			want := &Refusal{Status: code, Header: all, Body: "no"}
			if list != nil {
				want.Header = listed
			}
			if got := newCheck(t, config).check(http.Header{}, original(""), "/v1/chat/completions", zap.NewNop()); !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		}
	}
}

func TestCheckRefusalIsBounded(t *testing.T) {
	config, _ := service(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, strings.Repeat("x", 1<<20))
	})
	got := newCheck(t, config).check(http.Header{}, original(""), "/v1/chat/completions", zap.NewNop())
	if len(got.Body) != 64<<10 || got.Header["Content-Length"] != nil {
		t.Errorf("got %d bytes, %v", len(got.Body), got.Header)
	}
}

func TestCheckFails(t *testing.T) {
	closed := must(net.Listen("tcp", "127.0.0.1:0"))
	closed.Close()
	slow, _ := service(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	slow.Timeout = caddy.Duration(50 * time.Millisecond)
	broken, _ := service(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	internal, _ := service(t, status(500))
	unavailable, _ := service(t, status(503))
	for name, config := range map[string]*ExtAuthz{
		"nobody there": at(t, closed.Addr().String()), "slow": slow, "broken": broken, "500": internal, "503": unavailable,
	} {
		t.Run(name, func(t *testing.T) {
			for _, want := range []*Refusal{{Status: 403}, {Status: 503}, nil} {
				c := *config
				switch {
				case want == nil:
					c.FailOpen = true
				case want.Status != 403:
					c.StatusOnError = want.Status
				}
				core, logs := observer.New(zap.ErrorLevel)
				if got := newCheck(t, &c).check(http.Header{}, original(""), "/v1/chat/completions", zap.New(core)); !reflect.DeepEqual(got, want) {
					t.Errorf("got %+v, want %+v", got, want)
				}
				if logs.Len() != 1 || strings.Contains(fmt.Sprint(logs.All()), "secret") {
					t.Errorf("logged %v", logs.All())
				}
			}
		})
	}
}

func TestCheckBodyTooLarge(t *testing.T) {
	config, questions := service(t, allow)
	config.FailOpen = true
	config.IncludeRequestBodyInCheck = &ExtAuthzBody{MaxRequestBytes: 10}
	e := newCheck(t, config)
	for _, length := range []int64{11, -1} {
		r := original("hello world")
		r.ContentLength = length
		if got := e.check(http.Header{}, r, "/v1/chat/completions", zap.NewNop()); got == nil || got.Status != http.StatusRequestEntityTooLarge {
			t.Errorf("got %+v", got)
		}
	}
	broken := io.NopCloser(iotest.ErrReader(errors.New("broken")))
	r := original("")
	r.Body, r.ContentLength = broken, 11 // which need not be read
	if got := e.check(http.Header{}, r, "/v1/chat/completions", zap.NewNop()); got == nil || got.Status != http.StatusRequestEntityTooLarge {
		t.Errorf("got %+v", got)
	}
	r.Body, r.ContentLength = broken, -1
	if got := e.check(http.Header{}, r, "/v1/chat/completions", zap.NewNop()); got == nil || got.Status != http.StatusBadRequest {
		t.Errorf("got %+v", got)
	}
	r.Body = http.MaxBytesReader(nil, io.NopCloser(strings.NewReader("hello")), 3)
	if got := e.check(http.Header{}, r, "/v1/chat/completions", zap.NewNop()); got == nil || got.Status != http.StatusRequestEntityTooLarge {
		t.Errorf("got %+v", got)
	}
	if len(questions) != 0 {
		t.Error("the service was asked")
	}
}

func TestCheckEndsWithTheClient(t *testing.T) {
	gone := make(chan struct{})
	config, questions := service(t, func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		close(gone)
	})
	config.FailOpen = true
	ctx, cancel := context.WithCancel(t.Context())
	core, logs := observer.New(zap.DebugLevel)
	go func() {
		<-questions
		cancel()
	}()
	got := newCheck(t, config).check(http.Header{}, original("").WithContext(ctx), "/v1/chat/completions", zap.New(core))
	if got == nil || logs.Len() != 0 {
		t.Errorf("got %+v, %v", got, logs.All())
	}
	<-gone
}

// A client that waits to be asked for its body is asked when the service needs
// the body, and not otherwise; later handlers read it as if nobody had before.
func TestCheckThroughAServer(t *testing.T) {
	for _, limit := range []int{0, 4, 1 << 20} {
		config, questions := service(t, allow)
		if limit > 0 {
			config.IncludeRequestBodyInCheck = &ExtAuthzBody{MaxRequestBytes: limit, AllowPartialMessage: true}
		}
		e := newCheck(t, config)
		gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if refusal := e.check(w.Header(), r, "/v1/chat/completions", zap.NewNop()); refusal != nil {
				t.Errorf("refused: %+v", refusal)
			}
			body, _ := io.ReadAll(r.Body)
			_, _ = w.Write(body)
		}))
		defer gateway.Close()
		text := strings.Repeat("slow ", 1000)
		pipe, writer := io.Pipe()
		go func() {
			for piece := range strings.SplitAfterSeq(text, " ") {
				_, _ = io.WriteString(writer, piece)
			}
			writer.Close()
		}()
		r := must(http.NewRequestWithContext(t.Context(), http.MethodPost, gateway.URL, pipe))
		r.Header.Set("Expect", "100-continue")
		client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute}}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if got := must(io.ReadAll(res.Body)); string(got) != text {
			t.Errorf("later handlers get %d bytes of %d", len(got), len(text))
		}
		res.Body.Close()
		if got := <-questions; got.body != text[:min(limit, len(text))] {
			t.Errorf("the service gets %d bytes", len(got.body))
		}
	}
}

// A service may close a connection just when it is to be used again.
func TestCheckOnAClosedConnection(t *testing.T) {
	var requests atomic.Int32
	config, _ := service(t, func(w http.ResponseWriter, _ *http.Request) {
		if requests.Add(1) == 2 {
			connection, _, _ := http.NewResponseController(w).Hijack()
			connection.Close()
		}
	})
	config.IncludeRequestBodyInCheck = &ExtAuthzBody{MaxRequestBytes: 100}
	e := newCheck(t, config)
	for range 2 {
		if refusal := e.check(http.Header{}, original("hello"), "/v1/chat/completions", zap.NewNop()); refusal != nil {
			t.Errorf("refused: %+v", refusal)
		}
	}
}

func TestConnectionsAreShared(t *testing.T) {
	config, _ := service(t, allow)
	other := *config
	other.Service, other.PathPrefix = "namespace/"+config.Service, "/other"
	if newCheck(t, config).transport != newCheck(t, &other).transport {
		t.Error("the same service has two transports")
	}
}

func TestExternalMistakes(t *testing.T) {
	for field, change := range map[string]func(*ExtAuthz){
		"service: write":           func(c *ExtAuthz) { c.Service = "namespace/" },
		"service: this is not":     func(c *ExtAuthz) { c.Service = "http://host" },
		"service: this is no":      func(c *ExtAuthz) { c.Service = "host:1" },
		"port: 0":                  func(c *ExtAuthz) { c.Port = 0 },
		"port: 65536":              func(c *ExtAuthz) { c.Port = 65536 },
		"timeout":                  func(c *ExtAuthz) { c.Timeout = -1 },
		"path_prefix: this does":   func(c *ExtAuthz) { c.PathPrefix = "check" },
		"path_prefix: this has":    func(c *ExtAuthz) { c.PathPrefix = "/%zz" },
		"path_prefix: this has ch": func(c *ExtAuthz) { c.PathPrefix = "/a?b" },
		"status_on_error":          func(c *ExtAuthz) { c.StatusOnError = 101 },
		"include_request_body_in_check.max_request_bytes": func(c *ExtAuthz) { c.IncludeRequestBodyInCheck = &ExtAuthzBody{} },
		"include_request_headers_in_check: it cannot":     func(c *ExtAuthz) { c.IncludeRequestHeadersInCheck = []string{"*"} },
		"headers_to_upstream_on_allow: Content-Type says": func(c *ExtAuthz) { c.HeadersToUpstreamOnAllow = []string{"x-a", "content-type"} },
		"headers_to_upstream_on_allow: Cdn-Loop says":     func(c *ExtAuthz) { c.HeadersToUpstreamOnAllow = []string{"CDN-Loop"} },
		"headers_to_downstream_on_allow: Connection says": func(c *ExtAuthz) { c.HeadersToDownstreamOnAllow = []string{"connection"} },
		"headers_to_upstream_on_allow: an entry":          func(c *ExtAuthz) { c.HeadersToUpstreamOnAllow = []string{"a*b"} },
		"headers_to_downstream_on_allow: it cannot":       func(c *ExtAuthz) { c.HeadersToDownstreamOnAllow = []string{""} },
		"headers_to_downstream_on_deny: an entry":         func(c *ExtAuthz) { c.HeadersToDownstreamOnDeny = []string{"a b"} },
		"include_additional_headers_in_check: a name":     func(c *ExtAuthz) { c.IncludeAdditionalHeadersInCheck = map[string]string{"a b": ""} },
		"include_additional_headers_in_check: the value":  func(c *ExtAuthz) { c.IncludeAdditionalHeadersInCheck = map[string]string{"a": "\n"} },
		"include_additional_headers_in_check: host":       func(c *ExtAuthz) { c.IncludeAdditionalHeadersInCheck = map[string]string{"host": "a"} },
	} {
		config := &ExtAuthz{Service: "namespace/host", Port: 80}
		change(config)
		if _, err := newExternal("x", config); err == nil || !strings.HasPrefix(err.Error(), field) {
			t.Errorf("%s: got %v", field, err)
		}
	}
	if _, err := newExternal("x", nil); err == nil {
		t.Error("nothing is a service")
	}
	for address, want := range map[string]string{"ns/host.example": "host.example:80", "[::1]": "[::1]:80", "::1": "[::1]:80", "127.0.0.1": "127.0.0.1:80"} {
		if e := newCheck(t, &ExtAuthz{Service: address, Port: 80}); e.address != want || e.timeout != 600*time.Second {
			t.Errorf("got %s, want %s", e.address, want)
		}
	}
}

// TestCustomWithSlashesMerged holds that a service which a request with several slashes in a row
// needs is asked twice, both times as the client sent the request, and that its
// headers are those of the path as it is.
func TestCustomWithSlashesMerged(t *testing.T) {
	for target, want := range map[string][]string{
		"/a//b?x=//":     {"/a/b?x=//", "/a//b?x=//"},
		"/%2Fa/b":        {"/a/b", "/%2Fa/b"},
		"//a%2Fb":        {"/a%2Fb", "//a%2Fb"},
		"/a/%2F%20b!//":  {"/a/%20b!/", "/a/%2F%20b!//"},
		"/a%2F%2Fb%2F/c": {"/a%2Fb/c", "/a%2F%2Fb%2F/c"},
		"//embeddings":   {"/embeddings for /v1/embeddings", "//embeddings"},
		"/other//x":      nil,
	} {
		t.Run(target, func(t *testing.T) {
			config, questions := service(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-Seen", r.RequestURI)
				w.Header().Set("Authorization", "changed")
			})
			config.HeadersToUpstreamOnAllow, config.HeadersToDownstreamOnAllow = []string{"x-seen", "authorization"}, []string{"x-seen"}
			config.IncludeRequestBodyInCheck = &ExtAuthzBody{MaxRequestBytes: 100}
			set, problems := New(&Config{
				ExtAuthz: map[string]*ExtAuthz{"e": config},
				Policies: []*Policy{{Action: Custom, Provider: "e", Rules: []*Rule{{To: []*Operation{{NotPaths: []string{"/other*"}}}}}}},
			}, zap.NewNop())
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			r := httptest.NewRequest(http.MethodPost, target, strings.NewReader("body"))
			r.Header.Set("Authorization", "client's")
			answer := http.Header{}
			if d := set.AuthorizeMerged(answer, r, nil); d.Refusal != nil {
				t.Fatalf("%+v", d)
			}
			var got []string
			for len(questions) > 0 {
				q := <-questions
				question := q.RequestURI
				if endpoint := q.Header.Get("X-Llm-Endpoint"); endpoint != "" {
					question += " for " + endpoint
				}
				got = append(got, question)
				if q.Header.Get("Authorization") != "client's" || q.body != "body" {
					t.Errorf("%s: asked with %v and %q", q.RequestURI, q.Header, q.body)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("asked for %q, want %q", got, want)
			}
			if body, _ := io.ReadAll(r.Body); string(body) != "body" {
				t.Errorf("what is left of the body is %q", body)
			}
			if want != nil && (!slices.Equal(answer["X-Seen"], []string{target}) || !slices.Equal(r.Header["X-Seen"], []string{target})) {
				t.Errorf("headers of the response %v, and of the request %v", answer, r.Header)
			}
		})
	}
}
