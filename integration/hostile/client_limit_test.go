package hostile_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

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
			files, heap := s.OpenFiles(), s.heap(t)
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
				if grown := s.heap(t) - heap; grown > 96<<20 {
					t.Errorf("the heap grew by %d MiB", grown>>20)
				}
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
	// Clients look for a response while they send, or only after it.
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
		go fmt.Fprintf(c, "%s%x\r\n%s\r\n0\r\n\r\n", headed("Host: gateway\nContent-Type: application/json\nTransfer-Encoding: chunked", ""), len(body), body)
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
			if n := <-taken; n > limit+(64+16)<<20 { // the rest it reads to let the response be seen
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
