package llmroute

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/llmroute/meter"
)

const finishChunk = `data: {"id":"1","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n"

// raw answers with bytes and then ends the connection.
func raw(answer string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		conn, buf, _ := w.(http.Hijacker).Hijack()
		_, _ = buf.WriteString(answer)
		_ = buf.Flush()
		conn.Close()
	}
}

// counted waits until all requests have ended, and returns the tokens counted of
// the only provider.
func (g *gateway) counted(t *testing.T) (prompt, completion uint64) {
	t.Helper()
	g.settled(t)
	for _, p := range g.app.static {
		_, figures := figuresOf(g.app, p)
		prompt += figures.PromptTokens
		completion += figures.CompletionTokens
	}
	return prompt, completion
}

// figuresOf returns what the status page shows of a provider: of the last minutes, and since
// counting began.
func figuresOf(a *App, p *provider) (recent, total meter.Figures) {
	a.metrics.Read(time.Now(), "", 0, func(r *meter.Reading) {
		recent, total, _ = r.Provider(p.state.Provider)
	})
	return recent, total
}

// TestClientThatLeavesAtTheFinishReason expects that the usage, which comes after
// it, is counted, and that the provider is not kept for longer than that.
func TestClientThatLeavesAtTheFinishReason(t *testing.T) {
	for name, test := range map[string]struct {
		after      time.Duration // until the usage comes
		then       time.Duration // until the provider ends its response
		prompt     uint64
		completion uint64
		least      time.Duration
		most       time.Duration
	}{
		"usage comes at once":   {0, 0, 3, 2, 0, 700 * time.Millisecond},
		"usage comes soon":      {300 * time.Millisecond, time.Minute, 3, 2, 200 * time.Millisecond, 1500 * time.Millisecond},
		"usage does not come":   {time.Minute, 0, 0, 0, 900 * time.Millisecond, 3 * time.Second},
		"the provider lives on": {0, time.Minute, 3, 2, 0, 1700 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
				send := streams(w)
				send(event("a") + finishChunk)
				for _, step := range []struct {
					wait time.Duration
					text string
				}{{test.after, usageChunk}, {test.then, "data: [DONE]\n\n"}} {
					select {
					case <-r.Context().Done():
						return
					case <-time.After(step.wait):
					}
					send(step.text)
				}
			})
			g := one(t, u, "")
			ctx, leave := context.WithCancel(context.Background())
			_, body := g.stream(t, ctx, streamChat)
			for line := ""; !strings.Contains(line, `"stop"`); {
				var err error
				if line, err = body.ReadString('\n'); err != nil {
					t.Fatal(err)
				}
			}
			leave()
			left := time.Now()
			prompt, completion := g.counted(t)
			if took := time.Since(left); took < test.least || took > test.most {
				t.Errorf("the request went on for %s, want %s to %s", took, test.least, test.most)
			}
			if prompt != test.prompt || completion != test.completion {
				t.Errorf("counted %d and %d tokens", prompt, completion)
			}
		})
	}
}

func TestStreamsUnderOtherContentTypes(t *testing.T) {
	for _, begin := range []string{"", "\ufeff", ": hello\n\n", "\n", "event: message\n", "id: 1\n"} {
		for _, media := range []string{"text/plain", "application/json", "application/octet-stream", ""} {
			t.Run(fmt.Sprintf("%s after %q", media, begin), func(t *testing.T) {
				u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
					w.Header()["Content-Type"] = []string{media}
					if media == "" {
						w.Header()["Content-Type"] = nil
					}
					for _, p := range begin {
						_, _ = io.WriteString(w, string(p))
						w.(http.Flusher).Flush()
					}
					_, _ = io.WriteString(w, event("a")+finishChunk+usageChunk+"data: [DONE]\n\n")
				})
				g := one(t, u, "")
				res, body := g.stream(t, context.Background(), streamChat)
				got, err := io.ReadAll(body)
				want := begin + withoutNulls(event("a")) + finishChunk + "data: [DONE]\n\n"
				if string(got) != want || err != nil {
					t.Errorf("the client got %q, %v; want %q", got, err, want)
				}
				if prompt, completion := g.counted(t); prompt != 3 || completion != 2 {
					t.Errorf("counted %d and %d tokens", prompt, completion)
				}
				if got := res.Header.Get("X-Accel-Buffering"); got != "no" {
					t.Errorf("X-Accel-Buffering: %q", got)
				}
				if got := res.Header.Get("Content-Type"); got != media && (media != "" || got != "text/event-stream") {
					t.Errorf("Content-Type: %q, the provider's %q", got, media)
				}
			})
		}
	}
	t.Run("a document in place of a stream", func(t *testing.T) {
		const doc = `{"model":"m","choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}`
		u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, doc)
		})
		g := one(t, u, "")
		res, body := g.stream(t, context.Background(), streamChat)
		if got, err := io.ReadAll(body); string(got) != doc || err != nil || res.ContentLength != int64(len(doc)) {
			t.Errorf("the client got %q, %v", got, err)
		}
		if prompt, completion := g.counted(t); prompt != 3 || completion != 2 {
			t.Errorf("counted %d and %d tokens", prompt, completion)
		}
	})
}

func TestResponsesThatEndWithTheirConnection(t *testing.T) {
	transcript := `data: {"type":"transcript.text.delta","delta":"x"}` + "\n\n"
	const head = "HTTP/1.0 200 OK\r\nContent-Type: "
	for name, test := range map[string]struct {
		path, answer string
		body         string
		whole        bool
	}{
		"compressed JSON":                {"/v1/chat/completions", head + "application/json\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8bx", "\x1f\x8bx", true},
		"a finish reason without [DONE]": {"/v1/chat/completions", head + "text/event-stream\r\n\r\n" + finishChunk, finishChunk, true},
		"a transcript stream":            {"/v1/audio/transcriptions", head + "text/event-stream\r\n\r\n" + transcript + `data: {"type":"transcript.text.done"}` + "\n\n", transcript + `data: {"type":"transcript.text.done"}` + "\n\n", true},
		"another transcript stream":      {"/v1/audio/transcriptions", head + "text/event-stream\r\n\r\ndata: {\"text\":\"x\"}\n\n", "data: {\"text\":\"x\"}\n\n", true},
		"HTTP/1.1 without chunks":        {"/v1/chat/completions", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/event-stream\r\n\r\n" + finishChunk, finishChunk, true},
		"text":                           {"/v1/audio/transcriptions", head + "text/plain\r\n\r\nhello", "hello", true},
		"an empty document":              {"/v1/embeddings", head + "application/json\r\n\r\n", "", true},

		"half a transcript":                {"/v1/audio/transcriptions", head + "text/event-stream\r\n\r\n" + transcript, transcript, false},
		"half a document":                  {"/v1/embeddings", head + "application/json\r\n\r\n{\"a\":", "{\"a\":", false},
		"half a length":                    {"/v1/chat/completions", head + "text/event-stream\r\nContent-Length: 1000\r\n\r\n" + finishChunk, finishChunk, false},
		"chunks that end early":            {"/v1/chat/completions", "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", "{}", false},
		"compressed chunks that end early": {"/v1/chat/completions", "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", "{}", false},
	} {
		t.Run(name, func(t *testing.T) {
			g := one(t, newUpstream(t, raw(test.answer)), "")
			req, _ := http.NewRequest(http.MethodPost, g.URL+test.path, strings.NewReader(`{"messages":[],"input":"x"}`))
			req.Header.Set("Accept-Encoding", "gzip")
			res, err := g.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			got, err := io.ReadAll(res.Body)
			if (err == nil) != test.whole || !strings.HasPrefix(string(got), test.body) || test.whole && string(got) != test.body {
				t.Errorf("the client got %q, %v", got, err)
			}
		})
	}
}

// TestBrokenStreamsEndInTheirAPI expects the error event of the API that was
// called.
func TestBrokenStreamsEndInTheirAPI(t *testing.T) {
	for _, test := range []struct{ path, sent, want string }{
		{"/v1/chat/completions", event("a"), "data: {\"error\":{\"message\":"},
		{"/v1/completions", `data: {"choices":[{"text":"a"}]}` + "\n\n", "data: {\"error\":{\"message\":"},
		{"/v1/responses", `data: {"type":"response.created"}` + "\n\n" + `data: {"type":"response.output_text.delta"}` + "\n\n", `event: error` + "\n" + `data: {"type":"error","sequence_number":2,"code":"provider_`},
		{"/v1/audio/speech", `data: {"type":"speech.audio.delta"}` + "\n\n", `event: error` + "\n" + `data: {"type":"error","error":{"message":`},
	} {
		u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
			streams(w)(test.sent)
			panic(http.ErrAbortHandler)
		})
		g := one(t, u, `"apis":{"responses":{}}`)
		req, _ := http.NewRequest(http.MethodPost, g.URL+test.path, strings.NewReader(`{"stream":true}`))
		res, err := g.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		res.Body.Close()
		sent := withoutNulls(test.sent)
		if rest, ok := strings.CutPrefix(string(got), sent); !ok || !strings.HasPrefix(strings.TrimLeft(rest, "\n"), test.want) || err == nil {
			t.Errorf("%s: the client got %q, %v; want an event that begins %s", test.path, got, err, test.want)
		}
	}
}

// TestTimeToFirstToken expects the time of the first event with content, not of
// the comments and the role before it.
func TestTimeToFirstToken(t *testing.T) {
	const wait = 150 * time.Millisecond
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		send := streams(w)
		send(": keep-alive\n\n" + `data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}` + "\n\n")
		time.Sleep(wait)
		send(event("a") + finishChunk + usageChunk + "data: [DONE]\n\n")
	})
	g := one(t, u, "")
	_, body := g.stream(t, context.Background(), streamChat)
	_, _ = io.ReadAll(body)
	g.counted(t)
	for _, p := range g.app.static {
		_, figures := figuresOf(g.app, p)
		if first := figures.FirstToken; first == nil || first.Median <= wait.Seconds()*2/3 {
			t.Errorf("the stream is said to have begun after %+v, want about %s", first, wait)
		}
	}
}

func TestCommentsReachTheClientAtOnce(t *testing.T) {
	next := make(chan string)
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		send := streams(w)
		for s := range next {
			send(s)
		}
	})
	_, body := one(t, u, "").stream(t, context.Background(), streamChat)
	defer close(next)
	for _, comment := range []string{": keep-alive\n", ":\n", ": OPENROUTER PROCESSING"} {
		next <- comment
		got := make([]byte, len(comment))
		done := make(chan error, 1)
		go func() { _, err := io.ReadFull(body, got); done <- err }()
		select {
		case err := <-done:
			if err != nil || string(got) != comment {
				t.Fatalf("%q came as %q, %v", comment, got, err)
			}
		case <-time.After(2 * time.Second):
			t.Fatalf("%q is held back", comment)
		}
	}
}
