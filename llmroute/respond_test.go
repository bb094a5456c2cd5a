package llmroute

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

const usageChunk = `data: {"id":"1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}` + "\n\n"

func event(text string) string {
	return fmt.Sprintf(`data: {"id":"1","choices":[{"index":0,"delta":{"content":%q},"finish_reason":null}],"usage":null}`+"\n\n", text)
}

// withoutNulls is what a client that did not ask for usage gets of such events.
func withoutNulls(events string) string { return strings.ReplaceAll(events, `,"usage":null`, "") }

func streams(w http.ResponseWriter) func(string) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(200)
	w.(http.Flusher).Flush()
	return func(s string) {
		_, _ = io.WriteString(w, s)
		w.(http.Flusher).Flush()
	}
}

const streamChat = `{"stream":true,"messages":[]}`

func (g *gateway) stream(t *testing.T, ctx context.Context, body string) (*http.Response, *bufio.Reader) {
	t.Helper()
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, g.URL, strings.NewReader(body))
	res, err := g.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res, bufio.NewReader(res.Body)
}

// one is a gateway with one provider.
func one(t *testing.T, u *fakeProvider, more string) *gateway {
	t.Helper()
	name := unique("p")
	return newGateway(t, providers(name, u.provider(more)), fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q}]}]}`, name))
}

func TestEventsArriveAtOnce(t *testing.T) {
	next := make(chan string)
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		send := streams(w)
		for s := range next {
			send(s)
		}
	})
	g := one(t, u, "")
	res, body := g.stream(t, context.Background(), streamChat)
	if got := res.Header.Values("Cache-Control"); len(got) != 1 || got[0] != "no-transform" {
		t.Errorf("Cache-Control %q, want no-transform, so that encode does not hold events back", got)
	}
	for i := range 5 {
		want := event(fmt.Sprint("part ", i))
		next <- want
		want = withoutNulls(want)
		got := make([]byte, len(want))
		done := make(chan error, 1)
		go func() { _, err := io.ReadFull(body, got); done <- err }()
		select {
		case err := <-done:
			if err != nil || string(got) != want {
				t.Fatalf("event %d: %q, %v", i, got, err)
			}
		case <-time.After(2 * time.Second):
			t.Fatalf("event %d did not arrive while the stream was open", i)
		}
	}
	next <- usageChunk
	next <- "data: [DONE]\n\n"
	close(next)
	rest, err := io.ReadAll(body)
	if string(rest) != "data: [DONE]\n\n" || err != nil {
		t.Errorf("the end of the stream: %q, %v; want the usage chunk hidden from a client that did not ask", rest, err)
	}
	if got := (<-u.requests).body; got != `{"stream_options":{"include_usage":true},"stream":true,"messages":[]}` {
		t.Errorf("the provider got %s", got)
	}
}

func TestClientThatAskedForUsageGetsIt(t *testing.T) {
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) { streams(w)(event("a") + usageChunk + "data: [DONE]\n\n") })
	_, body := one(t, u, "").stream(t, context.Background(), `{"stream":true,"stream_options":{"include_usage":true}}`)
	if got, _ := io.ReadAll(body); string(got) != event("a")+usageChunk+"data: [DONE]\n\n" {
		t.Errorf("got %q", got)
	}
}

func TestClientThatLeavesCancelsTheProvider(t *testing.T) {
	cancelled := make(chan struct{})
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		streams(w)(event("a"))
		<-r.Context().Done()
		close(cancelled)
	})
	ctx, leave := context.WithCancel(context.Background())
	_, body := one(t, u, "").stream(t, ctx, streamChat)
	_, _ = body.ReadString('\n')
	leave()
	select {
	case <-cancelled:
	case <-time.After(2 * time.Second):
		t.Error("the provider's call was not cancelled")
	}
}

// TestClientThatLeavesACompleteStream leaves at the event that ends a stream, as
// the Go SDK does, while the provider has yet to end its response.
func TestClientThatLeavesACompleteStream(t *testing.T) {
	for name, test := range map[string]struct {
		takes time.Duration // until the provider ends its response
		kept  bool
	}{
		"and its connection is used again":   {200 * time.Millisecond, true},
		"whose provider does not end it":     {time.Minute, false},
		"whose provider has ended it by now": {0, true},
	} {
		t.Run(name, func(t *testing.T) {
			from := make(chan string, 2)
			u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
				from <- r.RemoteAddr
				send := streams(w)
				send(event("a"))
				send("data: [DONE]\n\n")
				select {
				case <-r.Context().Done():
				case <-time.After(test.takes):
				}
			})
			g := one(t, u, "")
			for range 2 {
				ctx, leave := context.WithCancel(context.Background())
				_, body := g.stream(t, ctx, streamChat)
				for line := ""; !strings.Contains(line, "[DONE]"); {
					var err error
					if line, err = body.ReadString('\n'); err != nil {
						t.Fatal(err)
					}
				}
				leave()
				g.settled(t)
			}
			if first, second := <-from, <-from; (first == second) != test.kept {
				t.Errorf("the provider was called from %s and %s, same connection wanted: %v", first, second, test.kept)
			}
		})
	}
}

func TestProviderThatDiesInsideAStreamIsSeen(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"cut": func(w http.ResponseWriter, r *http.Request) {
			streams(w)(event("a"))
			panic(http.ErrAbortHandler)
		},
		"cut inside an event": func(w http.ResponseWriter, r *http.Request) {
			streams(w)(event("a") + `data: {"id":"1","cho`)
			panic(http.ErrAbortHandler)
		},
		"silent": func(w http.ResponseWriter, r *http.Request) {
			streams(w)(event("a"))
			<-r.Context().Done()
		},
		"end of the connection is the end of the body": func(w http.ResponseWriter, r *http.Request) {
			conn, buf, _ := w.(http.Hijacker).Hijack()
			_, _ = buf.WriteString("HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + event("a"))
			_ = buf.Flush()
			conn.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := one(t, newUpstream(t, answer), `"idle_timeout":"200ms"`)
			_, body := g.stream(t, context.Background(), streamChat)
			got, err := io.ReadAll(body)
			if err == nil {
				t.Error("the body ended cleanly")
			}
			rest, ok := strings.CutPrefix(string(got), withoutNulls(event("a")))
			rest = strings.TrimLeft(rest, "\n") // ends an event that was cut
			if !ok || !strings.HasPrefix(rest, `data: {"error":{"message":`) || !strings.HasSuffix(rest, "\n\n") {
				t.Errorf("got %q, want the event that came and an error event", got)
			}
		})
	}
}

func TestProviderThatDiesInsideADocumentIsSeen(t *testing.T) {
	for name, answer := range map[string]string{
		"content length":    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"id\":",
		"chunked":           "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n{\"id\":\r\n",
		"end of connection": "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{\"id\":",
	} {
		t.Run(name, func(t *testing.T) {
			u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
				conn, buf, _ := w.(http.Hijacker).Hijack()
				_, _ = buf.WriteString(answer)
				_ = buf.Flush()
				conn.Close()
			})
			_, body := one(t, u, "").stream(t, context.Background(), chat)
			if got, err := io.ReadAll(body); err == nil {
				t.Errorf("the body %q ended cleanly", got)
			}
		})
	}
	t.Run("a whole document that ends with its connection", func(t *testing.T) {
		u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
			conn, buf, _ := w.(http.Hijacker).Hijack()
			_, _ = buf.WriteString("HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{\"id\":1}")
			_ = buf.Flush()
			conn.Close()
		})
		_, body := one(t, u, "").stream(t, context.Background(), chat)
		if got, err := io.ReadAll(body); err != nil || string(got) != `{"id":1}` {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestErrorInsideAStreamIsCounted(t *testing.T) {
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		streams(w)(event("a") + `data: {"error":{"message":"overloaded","type":"server_error"}}` + "\n\n")
	})
	g := one(t, u, "")
	_, body := g.stream(t, context.Background(), streamChat)
	if got, err := io.ReadAll(body); err != nil || !strings.HasSuffix(string(got), `"type":"server_error"}}`+"\n\n") {
		t.Errorf("got %q, %v; want the provider's own error", got, err)
	}
	for _, p := range g.app.static {
		if n := failuresKnown(p); n != 1 {
			t.Errorf("%d failures of the provider are known, want 1", n)
		}
	}
}

func TestNothingAfterTheFirstByte(t *testing.T) {
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		streams(w)(event("a"))
		panic(http.ErrAbortHandler)
	})
	other := newUpstream(t, answers("other"))
	a, b := unique("a"), unique("b")
	g := newGateway(t, providers(a, u.provider(""), b, other.provider("")),
		fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q},{"provider":%q,"priority":1}],"attempts":2}]}`, a, b))
	_, body := g.stream(t, context.Background(), streamChat)
	_, _ = io.ReadAll(body)
	if other.count() != 0 {
		t.Error("a second attempt was made after bytes had gone to the client")
	}
}

func TestResponseHeaders(t *testing.T) {
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("X-Request-Id", "req_1")
		h.Set("X-Ratelimit-Remaining-Tokens", "7")
		h.Set("Connection", "X-Hop")
		h.Set("X-Hop", "1")
		h.Set("Keep-Alive", "timeout=5")
		_, _ = io.WriteString(w, `{"a":1}`)
	})
	res, body := one(t, u, "").post(t, chat)
	if body != `{"a":1}` || res.ContentLength != 7 || res.Header.Get("X-Request-Id") != "req_1" || res.Header.Get("X-Ratelimit-Remaining-Tokens") != "7" {
		t.Errorf("got %v %q", res.Header, body)
	}
	for _, name := range []string{"X-Hop", "Keep-Alive"} {
		if res.Header.Get(name) != "" {
			t.Errorf("%s of the provider's connection reached the client", name)
		}
	}
}

func TestCompressedAnswerPassesThrough(t *testing.T) {
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Accept-Encoding"); got != "identity" {
			t.Errorf("the provider was offered %q; the usage of a compressed answer cannot be read", got)
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = io.WriteString(w, "\x1f\x8bnot really")
	})
	g := one(t, u, "")
	req, _ := http.NewRequest(http.MethodPost, g.URL, strings.NewReader(chat))
	req.Header.Set("Accept-Encoding", "gzip")
	res, err := g.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got, _ := io.ReadAll(res.Body); string(got) != "\x1f\x8bnot really" || res.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("got %v %q", res.Header, got)
	}
}

func TestSlowHandshakeIsATimeout(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	name := unique("p")
	g := newGateway(t, providers(name, fmt.Sprintf(`{"kind":"openai","host":"127.0.0.1","port":%d,"dial_timeout":"200ms"}`, silent.Addr().(*net.TCPAddr).Port)),
		fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q}]}]}`, name))
	began := time.Now()
	if res, body := g.post(t, chat); res.StatusCode != 504 || time.Since(began) > 2*time.Second {
		t.Errorf("got %d %s after %s, want 504 after 200 ms", res.StatusCode, body, time.Since(began))
	}
}

// TestABodyThatWasReadKeepsItsConnection has a response break off before its client has
// any of it: the request's body was read, and the connection can go on.
func TestABodyThatWasReadKeepsItsConnection(t *testing.T) {
	u := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		w.WriteHeader(200)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	g := newGateway(t, providers("cut-early", u.provider("")), `{"rules":[{"backends":[{"provider":"cut-early"}]}]}`)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.URL, strings.NewReader(chat))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Expect", "100-continue")
	res, err := g.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusBadGateway || res.Close {
		t.Errorf("got %d %s, and the connection is closed: %v", res.StatusCode, body, res.Close)
	}
}
