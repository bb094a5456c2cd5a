package capture

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"
)

func TestScanHead(t *testing.T) {
	for in, want := range map[string]requestHead{
		"":                                 {headUnknown, ""},
		"G":                                {headUnknown, ""},
		"GET":                              {headUnknown, ""},
		"GET /a?b":                         {headUnknown, ""},
		"GET / HTTP/1.":                    {headUnknown, ""},
		"GET / HTTP/1.1\r":                 {headUnknown, ""},
		"GET / HTTP/1.1\r\n":               {headNoHost, ""},
		"GET / HTTP/1.1\r\nHost: a.ex":     {headNoHost, ""},
		"GET / HTTP/1.1\r\nX: y\r\nHo":     {headNoHost, ""},
		"GET / HTTP/1.1\r\nHost: a.ex\r\n": {headHost, "a.ex"},
		"GET / HTTP/1.1\nhOST:a.ex \n\n":   {headRequest, "a.ex"},
		"POST /x HTTP/1.0\r\n\r\n":         {headRequest, ""},
		"GET / HTTP/1.1\r\nX: 1\r\n\r\nHost: a.ex\r\n":       {headRequest, ""},
		"GET / HTTP/1.1\r\nHost: a.ex\r\nX: a\r\n b\r\n\r\n": {headRequest, "a.ex"},
		"GET http://a.ex:81/b HTTP/1.1\r\nHost: c\r\n":       {headRequest, "a.ex:81"},
		"GET http://u:p@a.ex?b HTTP/1.1\r\n":                 {headRequest, "a.ex"},
		"GET /http://b HTTP/1.1\r\nHost: c\r\n\r\n":          {headRequest, "c"},
		"CONNECT a.ex:443 HTTP/1.1\r\n":                      {headConnect, "a.ex:443"},
		"OPTIONS * HTTP/1.1\r\nHost: c\r\n\r\n":              {headRequest, "c"},

		// What a lenient server reads.
		"\r\n\nGET / HTTP/1.1\r\nHost: c\r\n\r\n": {headRequest, "c"},
		"\r\n":                                 {headUnknown, ""},
		"GET / HTTP/1.2\r\nHost: c\r\n\r\n":    {headRequest, "c"},
		"GET / http/1.1\nHost: c\n\n":          {headRequest, "c"},
		"GET  /  HTTP/1.1 \r\nHost: c\r\n\r\n": {headRequest, "c"},
		"GET /\tx HTTP/1.1\r\nHost: c\r\n\r\n": {headRequest, "c"},
		"PRI * HTTP/2.0\r\nHost: c\r\n\r\n":    {headRequest, "c"},
		"PRI * HTTP/2.0\r\n\r\nSM":             {headUnknown, ""},
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":     {headWaiting, ""},

		// What servers do not read alike.
		"GET / HTTP/1.1\r\nHost: a:80\r\nHost: b\r\n\r\n":    {headUnclear, ""},
		"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nhost:\r\n\r\n": {headUnclear, ""},
		"GET / HTTP/1.1\r\nHost : a\r\n\r\n":                 {headUnclear, ""},
		"GET / HTTP/1.1\r\n Host: a\r\n\r\n":                 {headUnclear, ""},
		"GET / HTTP/1.1\r\nHost:\r\n a\r\n\r\n":              {headUnclear, ""},
		"GET / HTTP/1.1\r\nHost: b\r\n\ta\r\n\r\n":           {headUnclear, ""},
		"GET / HTTP/1.1\r\nHost: b\r\nX: y\rHost: a\r\n\r\n": {headUnclear, ""},

		"\x16\x03\x01":                  {headOther, ""}, // TLS
		" GET":                          {headOther, ""},
		"PING\r\n":                      {headOther, ""},
		"EHLO example.com\r\n":          {headOther, ""},
		"*1\r\n$4\r\nPING\r\n":          {headOther, ""}, // Redis
		"GET /\r\n":                     {headOther, ""}, // HTTP/0.9
		"GET /\x00x HTTP/1.1":           {headOther, ""},
		"OPTIONS rtsp://a RTSP/1.0\r\n": {headOther, ""},
		strings.Repeat("A", 33):         {headOther, ""},
	} {
		if got := scanHead([]byte(in)); got != want {
			t.Errorf("%q: %v, want %v", in, got, want)
		}
	}
}

// FuzzScanHead compares with the reading of net/http: what it takes for a request
// is one here, with the same host, and more bytes never change what was decided.
func FuzzScanHead(f *testing.F) {
	f.Add([]byte("POST /v1 HTTP/1.1\r\nX: y\r\nHost: a.example.com:80\r\n\r\n"), 20)
	f.Add([]byte("GET http://a.example.com/x HTTP/1.0\r\nHost: b\r\n\r\n"), 5)
	f.Add([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 9)
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		head := scanHead(in)
		if cut >= 0 && cut < len(in) {
			part := scanHead(in[:cut])
			if part.isWhole() && part != head {
				t.Errorf("%q: %v, and then %v", in, part, head)
			}
			if part.isHTTP() && !head.isHTTP() {
				t.Errorf("%q: first HTTP, and then %v", in, head)
			}
		}
		bare := bytes.ReplaceAll(in, []byte("\r\n"), []byte("\n"))
		if in = in[lineBreaks(in):]; bytes.IndexByte(bare, '\r') >= 0 {
			return // no two servers read it alike
		}
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(in)))
		if err != nil || r.ProtoMajor != 1 || r.ProtoMinor > 1 || len(r.Method) > maxMethod || r.Header.Get("Host") != "" || bytes.Contains(in, []byte("\n ")) || bytes.Contains(in, []byte("\n\t")) {
			return
		}
		switch {
		case r.Method == http.MethodConnect:
			if head.kind != headConnect {
				t.Errorf("%q: %v, want a tunnel", in, head)
			}
		case head.kind != headRequest || head.host != r.Host && r.URL.Host == "":
			t.Errorf("%q: %v, want a request for %q", in, head, r.Host)
		}
	})
}
