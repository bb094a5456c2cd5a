package fakeprovider_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	fp "github.com/caddy-llm/gateway/integration/fakeprovider"
)

func mustURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func soon() time.Time { return time.Now().Add(100 * time.Millisecond) }

// three is a stream whose last event holds the usage.
func three() fp.Reply {
	return fp.SSE("data: {\"model\":\"m\",\"n\":1}\n\n", "data: {\"model\":\"m\",\"n\":2}\n\n",
		"data: {\"model\":\"m\",\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n")
}

const (
	one = "data: {\"model\":\"m\",\"n\":1}\n\n"
	two = "data: {\"model\":\"m\",\"n\":2}\n\n"
)

func TestRepliesOnTheWire(t *testing.T) {
	whole := string(bytes.Join([][]byte{[]byte(one), []byte(two), []byte("data: {\"model\":\"m\",\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n")}, nil))
	doc := `{"model":"m","usage":{"prompt_tokens":3,"completion_tokens":4}}`
	for _, tc := range []struct {
		name   string
		reply  fp.Reply
		h1only bool
		// noHead: the client gets no response at all.
		noHead bool
		body   string
		broken bool
		// counted: the ledger has 3 and 4 tokens.
		counted bool
		proto   string
	}{
		{name: "json", reply: fp.JSON(200, doc), body: doc, counted: true},
		{name: "json error", reply: fp.JSON(500, doc), body: doc, counted: true},
		{name: "stream", reply: three(), body: whole, counted: true},
		{name: "stream from raw bytes", reply: fp.Stream([]byte(whole)), body: whole, counted: true},
		{name: "pieces", reply: three().InPieces(7, time.Millisecond), body: whole, counted: true},
		{name: "slow", reply: three().Every(5 * time.Millisecond).After(5 * time.Millisecond), body: whole, counted: true},
		{name: "close before head", reply: three().CloseBeforeHead(), noHead: true},
		{name: "reset before head", reply: three().ResetBeforeHead(), noHead: true},
		{name: "close after head", reply: three().CloseAfter(0), broken: true},
		{name: "close after two", reply: three().CloseAfter(2), body: one + two, broken: true},
		{name: "close after all", reply: three().CloseAfter(3), body: whole, broken: true, counted: true},
		{name: "whole json without its end", reply: fp.JSON(200, doc).CloseAfter(1), body: doc, broken: true},
		{name: "close mid event", reply: three().CloseMidEvent(1), body: one + two[:len(two)/2], broken: true},
		{name: "reset after two", reply: three().ResetAfter(2), body: one + two, broken: true},
		{name: "reset mid event", reply: three().ResetMidEvent(1), body: one + two[:len(two)/2], broken: true},
		{name: "close delimited", reply: three().CloseDelimited(), h1only: true, body: whole, counted: true, proto: "HTTP/1.1"},
		{name: "close delimited json", reply: fp.JSON(200, doc).CloseDelimited(), h1only: true, body: doc, counted: true, proto: "HTTP/1.1"},
		{name: "http/1.0", reply: three().HTTP10(), h1only: true, body: whole, counted: true, proto: "HTTP/1.0"},
		{name: "length too long", reply: fp.JSON(200, doc).DeclareLength(1000), h1only: true, body: doc, broken: true},
		{name: "length too short", reply: fp.JSON(200, doc).DeclareLength(5), h1only: true, body: doc[:5]},
		{name: "length right", reply: fp.JSON(200, doc).DeclareLength(int64(len(doc))), h1only: true, body: doc, counted: true},
		{name: "raw head", reply: fp.Reply{Framing: fp.FramingRaw, RawHead: []byte("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n")}.Then(fp.Send("{}")), h1only: true, body: "{}"},
	} {
		for _, protocol := range []string{"h1", "h2"} {
			if protocol == "h2" && tc.h1only {
				continue
			}
			t.Run(tc.name+"/"+protocol, func(t *testing.T) {
				options := []fp.Option{fp.HTTP1Only()}
				if protocol == "h2" {
					options = nil
				}
				s := fp.New(t, options...)
				s.Script(fp.Always(tc.reply))
				res, err := s.Client().Post(s.URL(), "application/json", strings.NewReader("{}"))
				if tc.noHead {
					if err == nil {
						t.Fatalf("got status %d", res.StatusCode)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(res.Body)
				if string(body) != tc.body {
					t.Errorf("body %q, want %q", body, tc.body)
				}
				if (err != nil) != tc.broken {
					t.Errorf("read error %v, want one: %v", err, tc.broken)
				}
				if tc.proto != "" && res.Proto != tc.proto {
					t.Errorf("proto %s", res.Proto)
				}
				s.WaitIdle(5 * time.Second)
				want := map[string]fp.Usage{}
				if tc.counted {
					want["m"] = fp.Usage{Prompt: 3, Completion: 4}
				}
				if got := s.Ledger(); len(got) != len(want) || got["m"] != want["m"] {
					t.Errorf("ledger %v, want %v", got, want)
				}
				if s.Cancelled() != 0 {
					t.Errorf("%d cancelled", s.Cancelled())
				}
			})
		}
	}
}

// What was sent before a reset arrives: the ledger counts on it.
func TestResetLosesNothingOnLoopback(t *testing.T) {
	s := fp.New(t, fp.HTTP1Only())
	s.Script(fp.Always(three().ResetAfter(3)))
	for range 50 {
		res, err := s.Client().Post(s.URL(), "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		if n := len(fp.Events(body)); n != 3 || err == nil || !strings.Contains(err.Error(), "connection reset") {
			t.Fatalf("%d events, error %v", n, err)
		}
	}
}

func TestCancellationIsSeen(t *testing.T) {
	for name, reply := range map[string]fp.Reply{
		"hang before head": three().HangBeforeHead(),
		"hang after one":   three().HangAfter(1),
		"hang after head":  three().HangAfter(0),
		"pause":            three().After(time.Hour),
		"endless line":     fp.EndlessLine(),
		"endless events":   fp.EndlessEvents(one, time.Millisecond),
		"endless headers":  fp.EndlessHeaders(),
		"close delimited":  three().CloseDelimited().HangAfter(1),
		"declared length":  three().DeclareLength(1000).HangAfter(1),
	} {
		for _, options := range [][]fp.Option{{fp.HTTP1Only()}, {fp.HTTP2Only()}, {fp.Plain(), fp.HTTP1Only()}} {
			h2 := len(options) == 1 && name != "endless headers" && name != "close delimited"
			s := fp.New(t, options...)
			if s.Client().Transport.(*http.Transport).ForceAttemptHTTP2 && !h2 {
				continue // these need HTTP/1.1
			}
			t.Run(name, func(t *testing.T) {
				s.Script(fp.Always(reply))
				ctx, cancel := context.WithCancel(t.Context())
				go func() {
					for s.Count() == 0 && t.Context().Err() == nil {
						time.Sleep(5 * time.Millisecond)
					}
					time.Sleep(50 * time.Millisecond)
					cancel()
				}()
				req, _ := http.NewRequestWithContext(ctx, "POST", s.URL(), strings.NewReader("{}"))
				c := s.Client()
				c.Transport.(*http.Transport).MaxResponseHeaderBytes = 1 << 40
				if res, err := c.Do(req); err == nil {
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
				}
				s.WaitCancelled(1, 5*time.Second)
				select {
				case r := <-s.Cancellations():
					if d := time.Since(r.CancelledAt()); !r.Cancelled() || d > time.Minute {
						t.Errorf("cancelled %v ago", d)
					}
					<-r.Done()
				case <-time.After(5 * time.Second):
					t.Error("nothing on the channel")
				}
				s.WaitIdle(5 * time.Second)
				if len(s.Ledger()) != 0 {
					t.Errorf("ledger %v", s.Ledger())
				}
			})
		}
	}
}

// Closing as soon as the last event is there is how SDKs end a stream.
func TestLeavingAfterTheLastByteIsNoCancellation(t *testing.T) {
	s := fp.New(t, fp.HTTP1Only())
	s.Script(fp.Always(three().Then(fp.Send("data: [DONE]\n\n"))))
	for range 20 {
		res, err := s.Client().Post(s.URL(), "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		var got []byte
		for buf := make([]byte, 512); !bytes.HasSuffix(got, []byte("[DONE]\n\n")); {
			n, err := res.Body.Read(buf)
			got = append(got, buf[:n]...)
			if err != nil {
				break
			}
		}
		_ = res.Body.Close()
	}
	s.WaitIdle(5 * time.Second)
	if n := s.Cancelled(); n != 0 {
		t.Errorf("%d cancelled", n)
	}
	if got := s.LedgerByRequest()[""]; got.Prompt != 60 || got.Completion != 80 {
		t.Errorf("ledger %+v", got)
	}
}

func TestUsageCountsThoughTheClientLeavesLater(t *testing.T) {
	s := fp.New(t)
	s.Script(fp.Always(three().Then(fp.Hang())))
	res, err := s.Client().Post(s.URL(), "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, len(one)+len(two)+10) // into the third event
	if _, err := io.ReadFull(res.Body, buf); err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	s.WaitCancelled(1, 5*time.Second)
	s.WaitIdle(5 * time.Second)
	if r := s.Last(); s.Ledger()["m"].Prompt != 3 || r.Reported() == nil || r.Reported().Completion != 4 {
		t.Errorf("ledger %v", s.Ledger())
	}
}

func TestClientThatStopsSendingIsCancelled(t *testing.T) {
	s := fp.New(t, fp.Plain())
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = c.Write([]byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"))
	time.Sleep(20 * time.Millisecond)
	_ = c.Close()
	s.WaitCancelled(1, 5*time.Second)
	if r := s.Last(); r.BodyError == nil || string(r.Body) != "{" {
		t.Errorf("body %q, error %v", r.Body, r.BodyError)
	}
}

func TestBodyLimitAnswersEarly(t *testing.T) {
	s := fp.New(t, fp.Plain(), fp.BodyLimit(1))
	s.Script(fp.Always(fp.JSON(401, `{"error":{}}`)))
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = c.Write([]byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"))
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	buf := make([]byte, 12)
	if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "HTTP/1.1 401" {
		t.Errorf("got %q, %v", buf, err)
	}
}

func TestGzip(t *testing.T) {
	s := fp.New(t)
	for name, reply := range map[string]fp.Reply{"json": fp.JSON(200, `{"model":"m","usage":{"prompt_tokens":3,"completion_tokens":4}}`), "stream": three()} {
		t.Run(name, func(t *testing.T) {
			s.Reset()
			s.Script(fp.Always(reply.Gzipped()))
			req, _ := http.NewRequest("POST", s.URL(), strings.NewReader("{}"))
			req.Header.Set("Accept-Encoding", "identity")
			res, err := s.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if res.Header.Get("Content-Encoding") != "gzip" {
				t.Fatal("not compressed")
			}
			z, err := gzip.NewReader(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(z)
			if err != nil || !strings.Contains(string(body), `"usage":{"prompt_tokens":3,"completion_tokens":4}}`) {
				t.Errorf("%q, %v", body, err)
			}
			s.WaitIdle(5 * time.Second)
			if got := s.Ledger()["m"]; got.Prompt != 3 {
				t.Errorf("ledger %v", got)
			}
		})
	}
	t.Run("bomb", func(t *testing.T) {
		s.Script(fp.Always(fp.GzipBomb(10 << 20)))
		res, err := s.Client().Post(s.URL(), "application/json", strings.NewReader("{}")) // decompresses
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, res.Body); n != 10<<20+8 || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
		if sent := s.Last().Sent(); sent > 200<<10 {
			t.Errorf("%d bytes on the wire", sent)
		}
	})
}

func TestRepliesAreValues(t *testing.T) {
	base := three()
	_ = base.CloseAfter(1).WithHeader("X", "y").Every(time.Second).Gzipped().WithStatus(500)
	if len(base.Steps) != 3 || base.Header.Get("X") != "" || base.Status != 0 {
		t.Errorf("changed: %+v", base)
	}
}
