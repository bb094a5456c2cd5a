package llmprovider

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

func TestReadersOfAnswers(t *testing.T) {
	for _, test := range []struct {
		contentType, encoding string
		want                  Reader
	}{
		{"application/json", "", new(jsonReader)},
		{"application/json; charset=utf-8", "identity", new(jsonReader)},
		{"text/event-stream", "", new(eventReader)},
		{"Text/Event-Stream;charset=UTF-8", "", new(eventReader)},
		{"text/event-stream", "gzip", new(plainReader)},
		{"audio/mpeg", "", new(plainReader)},
		{"", "", new(plainReader)},
	} {
		header := http.Header{"Content-Type": {test.contentType}}
		if test.encoding != "" {
			header.Set("Content-Encoding", test.encoding)
		}
		r := new(Attempt).NewReader(&http.Response{Header: header}, IsEvents(header))
		var same bool
		switch test.want.(type) {
		case *jsonReader:
			_, same = r.(*jsonReader)
		case *eventReader:
			_, same = r.(*eventReader)
		case *plainReader:
			_, same = r.(*plainReader)
		}
		if !same {
			t.Errorf("%q %q is read by %T", test.contentType, test.encoding, r)
		}
		if got := readAnswer(t, r, []byte("any\x00thing"), 3); string(got) != "any\x00thing" {
			t.Errorf("%q passes on %q", test.contentType, got)
		}
	}
}

func TestAnswersWithAStatusThatIsNone(t *testing.T) {
	for status, want := range map[string]string{"101 Switching Protocols": "status 101", "099 x": "status 099", "000 x": "status 000"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 "+status+"\r\nContent-Length: 0\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
			_ = conn.Close()
		}))
		host, port, _ := strings.Cut(server.Listener.Addr().String(), ":")
		number, _ := strconv.Atoi(port)
		p := &Connection{Host: host, Scheme: "http", Port: number}
		provision(t, p)
		res, err := p.RoundTrip(attempt(t, p, t.Context(), read(t, post("/", "", `{}`)), Edits{}).Request)
		if err == nil {
			res.Body.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error is %v", status, err)
		}
		server.Close()
	}
}
