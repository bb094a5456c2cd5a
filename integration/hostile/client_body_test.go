package hostile_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A body that does not arrive whole goes nowhere.
func TestTruncatedBodies(t *testing.T) {
	up := plainProvider(t)
	s := start(t, up)
	const head = "Host: gateway\nContent-Type: application/json\n"
	for _, tc := range []struct{ name, request string }{
		{"shorter than announced", headed(head+"Content-Length: 500", hello)},
		{"announced, never sent", headed(head+"Content-Length: 500", "")},
		{"chunk cut short", headed(head+"Transfer-Encoding: chunked", "ff\r\n"+hello)},
		{"chunk size cut short", headed(head+"Transfer-Encoding: chunked", "f")},
		{"no last chunk", headed(head+"Transfer-Encoding: chunked", fmt.Sprintf("%x\r\n%s\r\n", len(hello), hello))},
		{"head cut short", "POST /v1/chat/completions HTTP/1.1\r\nHost: gate"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			up.Reset()
			for _, a := range s.raw(t, tc.request, true) {
				// The client has closed its side, so it may be told anything but
				// a success.
				if a.status != 400 && a.status != 499 {
					t.Errorf("got %d %.200q", a.status, a.body)
				}
			}
			if up.Count() != 0 {
				t.Errorf("the provider received %q", up.Last().Body)
			}
			s.serves(t)
		})
	}
}

// A body whose framing is wrong, or not what the sender means, is never read as
// another one.
func TestBodiesThatLieAboutTheirLength(t *testing.T) {
	up := plainProvider(t)
	s := start(t, up)
	const head = "Host: gateway\nContent-Type: application/json\n"
	length := fmt.Sprintf("%sContent-Length: %d", head, len(hello))
	chunked := head + "Transfer-Encoding: chunked"
	for _, tc := range []struct {
		name, request string
		want          []int // statuses of the answers
		received      int   // requests at the provider
	}{
		{"longer than announced", headed(length, hello+"{}{}{}\r\n\r\n"), []int{200, 400}, 1},
		{"cut off by its length", headed(head+"Content-Length: 10", hello+"\r\n\r\n"), []int{400, 400}, 0},
		{"negative length", headed(head+"Content-Length: -5", hello), []int{400}, 0},
		{"length with a sign", headed(fmt.Sprintf("%sContent-Length: +%d", head, len(hello)), hello), []int{400}, 0},
		{"length in hexadecimal", headed(fmt.Sprintf("%sContent-Length: %#x", head, len(hello)), hello), []int{400}, 0},
		{"length that is no number", headed(head+"Content-Length: many", hello), []int{400}, 0},
		{"length above 64 bits", headed(head+"Content-Length: 99999999999999999999", hello), []int{400}, 0},
		{"length of an exabyte", headed(head+"Content-Length: 1000000000000000000", hello), []int{413}, 0},
		{"chunk size that is no number", headed(chunked, "zz\r\n"+hello+"\r\n0\r\n\r\n"), []int{400}, 0},
		{"chunk size above 64 bits", headed(chunked, "fffffffffffffffff\r\n"+hello), []int{400}, 0},
		{"chunk longer than its size", headed(chunked, "2\r\n"+hello+"\r\n0\r\n\r\n"), []int{400}, 0},
		{"chunk with an endless extension", headed(chunked, "2;"+strings.Repeat("x", 1<<16)+"\r\n{}\r\n0\r\n\r\n"), []int{400}, 0},
		{"chunked, with trailers", headed(chunked+"\nConnection: close", fmt.Sprintf("%x\r\n%s\r\n0\r\nAuthorization: Bearer x\r\n\r\n", len(hello), hello)), []int{200}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			up.Reset()
			all := s.raw(t, tc.request, false)
			if fmt.Sprint(statuses(all)) != fmt.Sprint(tc.want) {
				t.Errorf("answers %v, want %v", statuses(all), tc.want)
			}
			if up.Count() != tc.received {
				t.Errorf("the provider received %d requests, want %d", up.Count(), tc.received)
			}
			for _, r := range up.Requests() {
				if string(r.Body) != hello || r.Header.Get("Authorization") != "Bearer "+providerKey {
					t.Errorf("the provider received %q with %v", r.Body, r.Header)
				}
			}
			s.serves(t)
		})
	}
}

// Clients that announce 30 MiB each and send little hold little memory.
func TestManySlowBodies(t *testing.T) {
	up := plainProvider(t)
	s := start(t, up)
	const clients, sent = 300, 16 << 10
	for _, tc := range []struct{ name, header, body string }{
		{"announced", fmt.Sprintf("Content-Length: %d", 30<<20), `{"messages":"` + strings.Repeat("a", sent)},
		{"chunked", "Transfer-Encoding: chunked", fmt.Sprintf("%x\r\n{\"messages\":\"%s\r\n", sent+13, strings.Repeat("a", sent))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			files := s.OpenFiles()
			var conns []net.Conn
			s.grows(t, 96<<20, func() {
				for range clients {
					c := s.dial(t)
					if _, err := io.WriteString(c, headed("Host: gateway\nContent-Type: application/json\n"+tc.header, tc.body)); err != nil {
						t.Fatal(err)
					}
					conns = append(conns, c)
				}
				waitFor(t, "the gateway to hold all connections", func() bool { return s.OpenFiles() >= files+clients*9/10 })
				for range 3 { // and they trickle on
					for _, c := range conns {
						if _, err := io.WriteString(c, "1\r\na\r\n"); err != nil {
							t.Fatal(err)
						}
					}
				}
				s.serves(t)
			})
			for _, c := range conns {
				_ = c.Close()
			}
			waitFor(t, "the gateway to let go of them", func() bool { return s.OpenFiles() < files+clients/10 })
			for _, r := range up.Requests() {
				if string(r.Body) != hello {
					t.Errorf("the provider received %.100q", r.Body)
				}
			}
			s.serves(t)
		})
	}
}

// waitFor waits until a condition holds.
func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !cond(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

func TestBodyOverTheLimit(t *testing.T) {
	const limit = 32 << 20
	up := plainProvider(t)
	s := start(t, up)
	sized := func(n int) string {
		const head, tail = `{"messages":"`, `"}`
		return head + strings.Repeat("a", n-len(head)-len(tail)) + tail
	}

	t.Run("of exactly 32 MiB is taken", func(t *testing.T) {
		body := sized(limit)
		if a := s.post(t, body); a.err != nil || a.status != http.StatusOK {
			t.Fatalf("got %d %.200q, %v", a.status, a.body, a.err)
		}
		if got := up.Last().Body; string(got) != body {
			t.Errorf("the provider received %d bytes, want the same %d", len(got), len(body))
		}
		up.Reset()
	})
	// Clients look for an answer while they send, or only after it.
	t.Run("of 33 MiB from ordinary clients", func(t *testing.T) {
		body := sized(33 << 20)
		s.grows(t, 8<<20, func() { // by its length it is refused unread
			for range 10 {
				s.post(t, body).refused(t, http.StatusRequestEntityTooLarge, "request_too_large")
				s.post(t, body, "Connection", "close").refused(t, http.StatusRequestEntityTooLarge, "request_too_large")
			}
		})
	})
	t.Run("of 33 MiB from a client that sends all before it looks", func(t *testing.T) {
		c := s.dial(t)
		if _, err := io.WriteString(c, headed(fmt.Sprintf("Host: gateway\nContent-Type: application/json\nContent-Length: %d", 33<<20), sized(33<<20))); err != nil {
			t.Fatalf("it could not send all: %v", err)
		}
		all := answers(t, c)
		if len(all) != 1 {
			t.Fatalf("answers %v", statuses(all))
		}
		all[0].refused(t, http.StatusRequestEntityTooLarge, "request_too_large")
	})
	t.Run("of one byte more in chunks", func(t *testing.T) {
		c := s.dial(t)
		body := sized(limit + 1)
		go fmt.Fprintf(c, "%s%x\r\n%s\r\n0\r\n\r\n", headed("Host: gateway\nContent-Type: application/json\nTransfer-Encoding: chunked", ""), len(body), body) //nolint:errcheck // the gateway may close before
		all := answers(t, c)
		if len(all) != 1 {
			t.Fatalf("answers %v", statuses(all))
		}
		all[0].refused(t, http.StatusRequestEntityTooLarge, "request_too_large")
	})
	t.Run("from a client that waits to be asked for it", func(t *testing.T) {
		c := s.dial(t)
		if _, err := io.WriteString(c, headed(fmt.Sprintf("Host: gateway\nContent-Type: application/json\nExpect: 100-continue\nContent-Length: %d", 33<<20), "")); err != nil {
			t.Fatal(err)
		}
		all := answers(t, c) // a 100 would be the first of them
		if len(all) != 1 {
			t.Fatalf("answers %v", statuses(all))
		}
		all[0].refused(t, http.StatusRequestEntityTooLarge, "request_too_large")
	})
	t.Run("without an end", func(t *testing.T) {
		s.grows(t, 160<<20, func() { // what is read, and the buffer it outgrew
			c := s.dial(t)
			if _, err := io.WriteString(c, headed("Host: gateway\nContent-Type: application/json\nTransfer-Encoding: chunked", "")); err != nil {
				t.Fatal(err)
			}
			taken := make(chan int)
			go func() {
				n, chunk := 0, []byte("10000\r\n"+strings.Repeat("[", 0x10000)+"\r\n")
				for n < 1<<30 {
					if _, err := c.Write(chunk); err != nil {
						break
					}
					n += len(chunk)
				}
				taken <- n
			}()
			all := answers(t, c)
			_ = c.Close()
			if n := <-taken; n > limit+(64+16)<<20 { // the rest it reads to let the answer be seen
				t.Errorf("the gateway took %d MiB", n>>20)
			}
			if len(all) != 1 {
				t.Fatalf("answers %v", statuses(all))
			}
			all[0].refused(t, http.StatusRequestEntityTooLarge, "request_too_large")
		})
	})
	if up.Count() != 0 {
		t.Errorf("the provider received %d requests", up.Count())
	}
	s.serves(t)
}

func TestClientsThatLeaveWhileTheySend(t *testing.T) {
	up := plainProvider(t)
	s := start(t, up)
	up.Reset()
	files := s.OpenFiles()
	for i := range 200 {
		c := s.dial(t)
		if _, err := io.WriteString(c, headed("Host: gateway\nContent-Type: application/json\nContent-Length: 100000", `{"messages":"aaaa`)); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			_ = c.(*net.TCPConn).SetLinger(0) // a reset
		}
		_ = c.Close()
	}
	waitFor(t, "the gateway to let go of them", func() bool { return s.OpenFiles() <= files+5 })
	if up.Count() != 0 {
		t.Errorf("the provider received %d requests", up.Count())
	}
	s.serves(t)
}

// Large bodies reach the provider byte for byte, but for what the configuration
// sets.
func TestLargeBodiesAreLeftAlone(t *testing.T) {
	up := plainProvider(t)
	s := start(t, up, "model set-by-config", "stream off")
	var filler strings.Builder
	for i := 0; filler.Len() < 1<<20; i++ {
		fmt.Fprintf(&filler, "\n\t\"k%d\" :  [ %d , 1e400, -0.0, 123456789012345678901234567890, \"\\u00e9\\/\\ud83d\\ude00 é😀 \\\"model\\\": \\\"x\\\"\" ],\r\n \"k\": {\"model\":\"inner\", \"stream\" :true},", i, i)
	}
	f := strings.TrimSuffix(filler.String(), ",")
	for _, tc := range []struct{ name, body, want string }{
		{"model first", `{"model":"mine","stream":false,` + f + `}`, `{"model":"set-by-config","stream":false,` + f + `}`},
		{"model last", ` { "stream" : false ,` + f + `, "model" : "mine" } `, ` { "stream" : false ,` + f + `, "model" : "set-by-config" } `},
		{"stream turned off", `{"stream": true,` + f + `,"model":null}`, `{"stream": false,` + f + `,"model":"set-by-config"}`},
		{"escaped name", `{"stream":false,` + f + `,"\u006dodel":"mine"}`, `{"stream":false,` + f + `,"\u006dodel":"set-by-config"}`},
		{"a value of a megabyte", `{"stream":false,"model":"` + strings.Repeat("m", 1<<20) + `","x":1}`, `{"stream":false,"model":"set-by-config","x":1}`},
		{"neither", `{` + f + `}`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if a := s.post(t, tc.body); a.err != nil || a.status != http.StatusOK {
				t.Fatalf("got %d %.200q, %v", a.status, a.body, a.err)
			}
			got := string(up.Last().Body)
			if tc.want == "" {
				got, tc.want = strings.Replace(got, `"model":"set-by-config","stream":false,`, "", 1), tc.body
			}
			if got != tc.want {
				i := 0
				for i < min(len(got), len(tc.want)) && got[i] == tc.want[i] {
					i++
				}
				t.Errorf("%d bytes instead of %d, different from byte %d: %.80q instead of %.80q", len(got), len(tc.want), i, got[i:], tc.want[i:])
			}
			if up.Last().ContentLength != int64(len(up.Last().Body)) {
				t.Errorf("Content-Length %d for %d bytes", up.Last().ContentLength, len(up.Last().Body))
			}
		})
	}
	s.serves(t)
}

func TestDeepNesting(t *testing.T) {
	up := plainProvider(t)
	s := start(t, up)
	const depth = 100_000
	arrays := strings.Repeat("[", depth) + strings.Repeat("]", depth)
	objects := strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth)
	for _, tc := range []struct {
		name, body string
		status     int
	}{
		{"arrays", `{"messages":` + arrays + `}`, 200},
		{"objects", `{"messages":` + objects + `}`, 200},
		{"in the model", `{"model":` + arrays + `}`, 200},
		{"in the stream options of a stream", `{"stream":true,"stream_options":` + objects + `}`, 200},
		{"a million levels", `{"messages":` + strings.Repeat("[", 1e6) + strings.Repeat("]", 1e6) + `}`, 200},
		{"never closed", `{"messages":` + strings.Repeat("[", depth), 400},
		{"closed by the wrong kind", `{"messages":` + strings.Repeat("[", depth) + strings.Repeat("}", depth) + `}`, 400},
		{"closed once too often", `{"messages":` + arrays + `]}`, 400},
	} {
		t.Run(tc.name, func(t *testing.T) {
			up.Reset()
			s.grows(t, 64<<20, func() {
				a := s.post(t, tc.body)
				if tc.status == 400 {
					a.refused(t, 400, "invalid_json")
					if up.Count() != 0 {
						t.Error("the provider was asked")
					}
					return
				}
				if a.err != nil || a.status != tc.status {
					t.Fatalf("got %d %.200q, %v", a.status, a.body, a.err)
				}
				if got := up.Last().Body; !strings.Contains(tc.body, `"stream":true`) && !bytes.Equal(got, []byte(tc.body)) {
					t.Errorf("the provider received %d other bytes", len(got))
				}
			})
			s.serves(t)
		})
	}
}
