// Package hostile_test sends the built gateway what nobody should: from clients
// and from providers. After each case the gateway must serve the next request,
// in bounded memory and without a panic in its log (package gateway sees to the
// last).
package hostile_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	fp "github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/gateway"
	"github.com/caddy-llm/gateway/integration/testclient"
)

const (
	// patience bounds each wait; it is long because machines may be busy.
	patience = time.Minute

	// providerKey is what the gateway has for its provider, and nobody else
	// may see.
	providerKey = "sk-provider-7d1f0a52e4"

	// hello is an ordinary request.
	hello = `{"messages":[{"role":"user","content":"hello"}]}`
)

// site is a gateway in front of one provider.
type site struct {
	*gateway.Gateway
	up           *fp.Server
	port, status int
}

const siteConfig = `{
	llm {
		status_listen 127.0.0.1:{{.Status}}
		provider up {{.URL}} {
			api_key {env.PROVIDER_KEY}
{{.Options}}
		}
	}
}
http://:{{.Port}} {
	log
	llm_route {
		rule only {
			to up
		}
	}
}
`

// start runs a gateway whose provider block has the options, one a line.
func start(t *testing.T, up *fp.Server, options ...string) *site {
	t.Helper()
	s := &site{up: up, port: gateway.FreePort(t), status: gateway.FreePort(t)}
	s.Gateway = gateway.Start(t, gateway.Render(t, siteConfig, map[string]any{
		"Port": s.port, "Status": s.status, "URL": up.URL(), "Options": strings.Join(options, "\n"),
	}), gateway.Env("PROVIDER_KEY", providerKey), gateway.Env("SSL_CERT_FILE", up.CAFile()))
	s.serves(t)
	return s
}

// plainProvider speaks HTTP/1.1 without TLS and remembers the last requests.
func plainProvider(t *testing.T) *fp.Server {
	t.Helper()
	return fp.New(t, fp.Plain(), fp.HTTP1Only(), fp.Keep(64))
}

func (s *site) addr() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// actHeader makes a request one that the provider answers as scripted by act.
const actHeader = "X-Act"

// act has the provider answer reply to the requests with actHeader, and all
// others as usual.
func act(up *fp.Server, reply fp.Reply) {
	up.Script(func(i int, r *fp.Recorded) fp.Reply {
		if r.Header.Get(actHeader) != "" {
			return reply
		}
		return fp.Default(i, r)
	})
}

// answer is a response read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    error // of the request or of the body
}

// post sends a body with a client that follows, keeps and unpacks nothing.
// headers are pairs of name and value.
func (s *site) post(t *testing.T, body string, headers ...string) answer {
	t.Helper()
	res, leave, err := s.open(t, body, headers...)
	if err != nil {
		return answer{err: err}
	}
	defer leave()
	a := answer{status: res.StatusCode, header: res.Header}
	a.body, a.err = io.ReadAll(res.Body)
	return a
}

// open is post for responses that are read by the caller, who calls leave to end
// the connection.
func (s *site) open(t *testing.T, body string, headers ...string) (res *http.Response, leave func(), err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.addr()+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	tr := &http.Transport{DisableCompression: true}
	client := &http.Client{Transport: tr, Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if res, err = client.Do(req); err != nil {
		tr.CloseIdleConnections()
		return nil, nil, err
	}
	return res, func() {
		_ = res.Body.Close()
		tr.CloseIdleConnections()
	}, nil
}

// serves checks that an ordinary request is answered as always.
func (s *site) serves(t *testing.T) {
	t.Helper()
	a := s.post(t, hello)
	if a.err != nil || a.status != http.StatusOK || !bytes.Contains(a.body, []byte(`"Hello`)) {
		t.Fatalf("the next request got %d %.200q, %v", a.status, a.body, a.err)
	}
}

// refused checks that a response is the gateway's own error, in JSON.
func (a answer) refused(t *testing.T, status int, code string) {
	t.Helper()
	if a.err != nil {
		t.Fatalf("no response: %v", a.err)
	}
	var e struct {
		Error struct{ Message, Type, Code string }
	}
	if err := json.Unmarshal(a.body, &e); err != nil {
		t.Fatalf("%d with a body that is no JSON: %.300q", a.status, a.body)
	}
	if a.status != status || e.Error.Code != code || e.Error.Message == "" || e.Error.Type == "" {
		t.Errorf("got %d %+v, want %d %s", a.status, e.Error, status, code)
	}
	if bytes.Contains(a.body, []byte(providerKey)) {
		t.Error("the key is in the error")
	}
}

// grows fails the test when f makes the gateway's resident memory grow by more
// than limit bytes, at any time.
func (s *site) grows(t *testing.T, limit int64, f func()) {
	t.Helper()
	before := s.Memory()
	var most atomic.Int64
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			most.Store(max(most.Load(), s.Memory()))
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	end := func() { close(stop); <-stopped }
	func() {
		defer end()
		f()
	}()
	// The race detector's own memory is many times that.
	if grown := max(most.Load(), s.Memory()) - before; grown > limit && os.Getenv("LLM_TEST_RACE") != "1" {
		t.Errorf("memory grew by %d MiB, from %d; at most %d are right", grown>>20, before>>20, limit>>20)
	} else {
		t.Logf("memory grew by %d MiB, from %d", grown>>20, before>>20)
	}
}

// metrics fetches them from the status listener.
func (s *site) metrics(t *testing.T) string {
	t.Helper()
	return testclient.Get(t, fmt.Sprintf("http://127.0.0.1:%d/metrics", s.status)).Body
}

// heap is how much memory the gateway has taken up, in bytes, whether or not it
// has ever been written to, which resident memory counts alone.
func (s *site) heap(t *testing.T) int64 {
	t.Helper()
	_, after, _ := strings.Cut(s.metrics(t), "\ngo_memstats_heap_inuse_bytes ")
	value, _, _ := strings.Cut(after, "\n")
	n, err := strconv.ParseFloat(value, 64)
	if err != nil {
		t.Fatalf("the metrics have no size of the heap: %v", err)
	}
	return int64(n)
}

// dial opens a connection for bytes that no HTTP client would send.
func (s *site) dial(t *testing.T) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", s.addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// raw sends bytes and returns every response that came until the gateway closed
// the connection. truncated tells that the bytes end in the middle of a
// request: then the sending side is closed after them, which a gateway takes
// for a client that has left.
func (s *site) raw(t *testing.T, request string, truncated bool) []answer {
	t.Helper()
	c := s.dial(t)
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatalf("sending: %v", err)
	}
	if truncated {
		_ = c.(*net.TCPConn).CloseWrite()
	}
	return answers(t, c)
}

// answers reads the responses on a connection until its end.
func answers(t *testing.T, c net.Conn) []answer {
	t.Helper()
	var all []answer
	for r := bufio.NewReader(c); ; {
		if _, err := r.Peek(1); err != nil {
			return all
		}
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("the gateway's answer is not HTTP: %v", err)
		}
		a := answer{status: res.StatusCode, header: res.Header}
		a.body, a.err = io.ReadAll(res.Body)
		_ = res.Body.Close()
		all = append(all, a)
	}
}

// statuses lists the status of each response.
func statuses(all []answer) []int {
	out := make([]int, len(all))
	for i, a := range all {
		out[i] = a.status
	}
	return out
}

// headed is a POST with the headers given, one a line, and a body.
func headed(headers, body string) string {
	return "POST /v1/chat/completions HTTP/1.1\r\n" + strings.ReplaceAll(headers, "\n", "\r\n") + "\r\n\r\n" + body
}
