package hostile_test

import (
	"bytes"
	"fmt"
	"io"
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
		want          []int // statuses of the responses
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

// waitFor waits until a condition holds.
func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !cond(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
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

// Clients that wait to be asked for their body get a refusal without sending it.
func TestRefusalsBeforeTheBody(t *testing.T) {
	s := start(t, plainProvider(t))
	for _, tc := range []struct {
		name, head, code string
		status           int
	}{
		{"of the method", "PUT / HTTP/1.1\r\nContent-Type: application/json\r\n", "method_not_allowed", http.StatusMethodNotAllowed},
		{"of the endpoint", "POST /v1/files HTTP/1.1\r\nContent-Type: application/json\r\n", "unsupported_endpoint", http.StatusNotFound},
		{"of the type", "POST / HTTP/1.1\r\nContent-Type: text/plain\r\n", "unsupported_media_type", http.StatusUnsupportedMediaType},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := s.dial(t)
			_ = c.SetReadDeadline(time.Now().Add(patience / 2)) // a server gives up on a body later
			if _, err := io.WriteString(c, tc.head+"Host: gateway\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			all := answers(t, c) // a 100 would be the first of them
			if len(all) != 1 {
				t.Fatalf("answers %v", statuses(all))
			}
			all[0].refused(t, tc.status, tc.code)
		})
	}
	t.Run("but not of the body itself", func(t *testing.T) {
		c := s.dial(t)
		go func() {
			_, _ = io.WriteString(c, headed(fmt.Sprintf("Host: gateway\nContent-Type: application/json\nExpect: 100-continue\nConnection: close\nContent-Length: %d", len(hello)), hello))
		}()
		if all := answers(t, c); len(all) != 2 || all[0].status != http.StatusContinue || all[1].status != http.StatusOK {
			t.Errorf("answers %v, want 100 and 200", statuses(all))
		}
	})
}
