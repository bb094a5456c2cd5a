package main

import (
	"bufio"
	"net"
	"strings"
	"testing"
)

// answerWith returns a client whose next answer is raw, after which the other
// side hangs up.
func answerWith(t *testing.T, raw string) *client {
	here, there := net.Pipe()
	t.Cleanup(func() { here.Close() })
	go func() {
		defer there.Close()
		buf := make([]byte, 1024)
		if _, err := there.Read(buf); err == nil {
			_, _ = there.Write([]byte(raw))
		}
	}()
	return &client{conn: here, r: bufio.NewReader(here)}
}

func TestClientChecksTheWholeAnswer(t *testing.T) {
	const body = `{"id":"chatcmpl-0123456789abcdef","x":1}` // 40 bytes
	want, err := newAnswer("application/json", []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	const head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	for _, tc := range []struct{ name, raw, says string }{
		{"with a length", head + "Content-Length: 40\r\n\r\n" + body, ""},
		{"in one chunk", head + "Transfer-Encoding: chunked\r\n\r\n28\r\n" + body + "\r\n0\r\n\r\n", ""},
		{"in two chunks", head + "Transfer-Encoding: chunked\r\n\r\n8\r\n" + body[:8] + "\r\n20\r\n" + body[8:] + "\r\n0\r\n\r\n", ""},
		{"header names in lower case", "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 40\r\n\r\n" + body, ""},
		{"an error", "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\nno\r\n", "502 Bad Gateway"},
		{"another type", strings.Replace(head, "json", "xml", 1) + "Content-Length: 40\r\n\r\n" + body, "Content-Type"},
		{"no type", "HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n" + body, "no Content-Type"},
		{"another length", head + "Content-Length: 41\r\n\r\n" + body + " ", "Content-Length"},
		{"no length", head + "\r\n" + body, "not one length"},
		{"two lengths", head + "Content-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n" + body, "not one length"},
		{"a connection that will close", head + "Content-Length: 40\r\nConnection: close\r\n\r\n" + body, "Connection: close"},
		{"cut off in the body", head + "Content-Length: 40\r\n\r\n" + body[:20], "after 20 of 40"},
		{"cut off between chunks", head + "Transfer-Encoding: chunked\r\n\r\n28\r\n" + body + "\r\n", "unexpected EOF"},
		{"cut off after the last chunk's size", head + "Transfer-Encoding: chunked\r\n\r\n28\r\n" + body + "\r\n0\r\n", "unexpected EOF"},
		{"a chunk without size", head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n" + body + "\r\n", "size of a chunk"},
		{"a chunk longer than it says", head + "Transfer-Encoding: chunked\r\n\r\n8\r\n" + body + "\r\n0\r\n\r\n", "is followed by"},
		{"a chunk missing", head + "Transfer-Encoding: chunked\r\n\r\n8\r\n" + body[:8] + "\r\n0\r\n\r\n", "ended after 8"},
		{"a chunk too many", head + "Transfer-Encoding: chunked\r\n\r\n28\r\n" + body + "\r\n1\r\n \r\n0\r\n\r\n", "goes on"},
		{"another body", head + "Content-Length: 40\r\n\r\n" + strings.Replace(body, "1}", "2}", 1), "differs"},
	} {
		took, err := answerWith(t, tc.raw).do([]byte("POST"), want)
		if tc.says == "" && err != nil || tc.says != "" && (err == nil || !strings.Contains(err.Error(), tc.says)) {
			t.Errorf("%s: error %v, want one with %q", tc.name, err, tc.says)
		}
		if err == nil && (took.first <= 0 || took.whole < took.first) {
			t.Errorf("%s: timing %+v", tc.name, took)
		}
	}
}
