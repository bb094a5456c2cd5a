package llmroute

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestWhatCoolsAProvider sends three requests that end the same way, and looks
// whether a fourth one prefers the other provider.
func TestWhatCoolsAProvider(t *testing.T) {
	status := func(code int, header ...string) http.HandlerFunc { return fails(code, header...) }
	sse := func(events ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			send := streams(w)
			for _, e := range events {
				send("data: " + e + "\n\n")
			}
		}
	}
	const content = `{"choices":[{"index":0,"delta":{"content":"x"}}]}`
	breaks := func(w http.ResponseWriter, r *http.Request) {
		streams(w)("data: " + content + "\n\n")
		panic(http.ErrAbortHandler)
	}
	early := rawServer(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1000))
		_, _ = io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large")
	})
	closes := rawServer(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 1000)) })
	large := `{"messages":[],"x":"` + strings.Repeat("x", 4<<20) + `"}`
	longHeader := []string{"X-Long", strings.Repeat("x", 20<<10)}
	for name, test := range map[string]struct {
		provider string
		handler  http.HandlerFunc
		body     string
		header   []string
		status   int
		cools    bool
	}{
		"500":                                 {handler: status(500), status: 500, cools: true},
		"503":                                 {handler: status(503), status: 503, cools: true},
		"529":                                 {handler: status(529), status: 529, cools: true},
		"525":                                 {handler: status(525), status: 525, cools: true},
		"408":                                 {handler: status(408), status: 408, cools: true},
		"a redirect":                          {handler: status(302, "Location", "http://other.example/"), status: 502, cools: true},
		"401 with the client's own key":       {handler: status(401), status: 401},
		"403":                                 {handler: status(403), status: 403},
		"424":                                 {handler: status(424), status: 424},
		"400":                                 {handler: status(400), status: 400},
		"404":                                 {handler: status(404), status: 404},
		"413":                                 {handler: status(413), status: 413},
		"422":                                 {handler: status(422), status: 422},
		"431":                                 {handler: status(431), status: 431},
		"501":                                 {handler: status(501), status: 501},
		"an early 413":                        {provider: early, body: large, status: 413},
		"a large body, and the connection":    {provider: closes, body: large, status: 502},
		"a large header, and the connection":  {provider: closes, header: longHeader, status: 502},
		"the connection":                      {provider: closes, status: 502, cools: true},
		"no connection":                       {provider: unreachable, status: 502, cools: true},
		"no connection for a large body":      {provider: unreachable, body: large, status: 502, cools: true},
		"streams that break off":              {handler: breaks, status: 200, cools: true},
		"an error in a stream":                {handler: sse(content, `{"error":{"message":"overloaded"}}`), status: 200, cools: true},
		"an error at its beginning":           {handler: sse(`{"error":{"message":"x","type":"server_error"}}`), status: 200, cools: true},
		"the client's error in a stream":      {handler: sse(content, `{"error":{"message":"too long","code":"context_length_exceeded"}}`), status: 200},
		"the client's error, by number":       {handler: sse(`{"error":{"message":"x","code":400}}`), status: 200},
		"the client's error, by a text":       {handler: sse(`{"error":{"message":"x","code":"400"}}`), status: 200},
		"the client's error, by type":         {handler: sse(`{"error":{"message":"x","type":"invalid_request_error","code":null}}`), status: 200},
		"the client's error, by vLLM's type":  {handler: sse(`{"error":{"object":"error","message":"x","type":"BadRequestError"}}`), status: 200},
		"the client's error, beside the text": {handler: sse(`{"object":"error","message":"x","type":"BadRequestError","code":400,"error":{"message":"x"}}`), status: 200},
	} {
		t.Run(name, func(t *testing.T) {
			first := test.provider
			if first == "" {
				first = newUpstream(t, test.handler).provider("")
			}
			second := newUpstream(t, answers("second"))
			a, b := unique("first"), unique("second")
			config := providers(a, first, b, second.provider(""))
			g := newGateway(t, config, fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q}]}]}`, a))
			body := test.body
			if body == "" {
				body = `{"model":"m","stream":true,"messages":[]}`
			}
			for range 3 {
				if res, text := g.tryPost(body, test.header...); res != test.status {
					t.Fatalf("got %d %s, want %d", res, text, test.status)
				}
			}
			cooling := !g.app.static[a].state.Pauses.Until(time.Now()).IsZero()
			if cooling != test.cools {
				t.Errorf("the provider cools down: %v, want %v", cooling, test.cools)
			}
		})
	}
}

// TestClientsThatLeaveCoolNobody leave at every moment.
func TestClientsThatLeaveCoolNobody(t *testing.T) {
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.RawQuery, "head") {
			<-r.Context().Done()
			return
		}
		streams(w)(event("x"))
		<-r.Context().Done()
	})
	p := unique("left")
	g := newGateway(t, providers(p, u.provider("")), fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q}]}]}`, p))
	for range 4 {
		c, err := net.Dial("tcp", strings.TrimPrefix(g.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		body := `{"stream":true}`
		_, _ = fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		_, _ = bufio.NewReader(c).ReadString('x')
		_ = c.Close()
	}
	time.Sleep(100 * time.Millisecond)
	if n := failuresKnown(g.app.static[p]); n != 0 {
		t.Errorf("%d failures are counted", n)
	}
}

// failuresKnown returns how many failures in a row are known of a provider. It fails until
// the provider cools down, which it does at the third.
func failuresKnown(p *provider) int {
	for n := 2; n >= 0; n-- {
		if now := time.Now(); p.state.Pauses.Failed(now, now, "", 0, nil) > 0 {
			return n
		}
	}
	return -1
}

// tryPost is post for responses that may break off.
func (g *gateway) tryPost(body string, header ...string) (status int, text string) {
	req, _ := http.NewRequest(http.MethodPost, g.URL, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := g.Client().Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	data, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(data)
}

// rawServer is a provider that does with each connection what it likes.
func rawServer(t *testing.T, serve func(net.Conn)) (provider string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				serve(c)
				_ = c.Close()
			}()
		}
	}()
	return fmt.Sprintf(`{"kind":"openai","host":"127.0.0.1","scheme":"http","port":%d}`, l.Addr().(*net.TCPAddr).Port)
}

// TestHeadersThatAProviderDoesNotTake has a provider with HTTP/2 that says how large
// a header it takes.
func TestHeadersThatAProviderDoesNotTake(t *testing.T) {
	s := httptest.NewUnstartedServer(answers("x"))
	s.Config.MaxHeaderBytes = 4 << 10
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	at, _ := url.Parse(s.URL)
	p := unique("small")
	g := newGateway(t, providers(p, fmt.Sprintf(`{"kind":"openai","host":"127.0.0.1","port":%s,"transport":{"tls":{"insecure_skip_verify":true}}}`, at.Port())),
		fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q}]}]}`, p))
	if res, body := g.post(t, chat); res.StatusCode != 200 {
		t.Fatalf("got %d %s", res.StatusCode, body)
	}
	for range 3 {
		if res, body := g.post(t, chat, "X-Long", strings.Repeat("x", 20<<10)); res.StatusCode != 431 || !strings.Contains(body, "headers_too_large") {
			t.Errorf("got %d %s, want 431", res.StatusCode, body)
		}
	}
	if !g.app.static[p].state.Pauses.Until(time.Now()).IsZero() {
		t.Error("the provider cools down")
	}
}
