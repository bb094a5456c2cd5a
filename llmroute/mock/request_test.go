package mock

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

func TestMockReadBody(t *testing.T) {
	large := strings.Repeat("x", 3<<20)
	broken := errors.New("broken")
	for _, tc := range []struct {
		name   string
		reader io.Reader
		size   int64
		want   string
		err    error
	}{
		{"none", nil, 0, "", nil},
		{"empty", strings.NewReader(""), 0, "", nil},
		{"size unknown", strings.NewReader(large), -1, large, nil},
		{"size known", strings.NewReader(large), int64(len(large)), large, nil},
		{"less than claimed", strings.NewReader("x"), 30 << 20, "x", nil},
		{"byte by byte", iotest.OneByteReader(strings.NewReader("abc")), -1, "abc", nil},
		{"ends with the last data", iotest.DataErrReader(strings.NewReader("abc")), 3, "abc", nil},
		{"claims too much", strings.NewReader("x"), maxBody + 1, "", errMockTooLarge},
		{"has too much", io.LimitReader(endlessBody{}, maxBody+1), -1, "", errMockTooLarge},
		{"breaks off", iotest.ErrReader(broken), 5, "", broken},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := readBody(tc.reader, tc.size, make([]byte, 0, 16))
			if !errors.Is(err, tc.err) || err == nil && string(got) != tc.want {
				t.Errorf("%d bytes, %v; want %d bytes, %v", len(got), err, len(tc.want), tc.err)
			}
			if claimed := 2 << 20; tc.err == nil && len(got) < 1<<20 && cap(got) > claimed {
				t.Errorf("%d bytes take a buffer of %d", len(got), cap(got))
			}
		})
	}
}

type endlessBody struct{}

func (endlessBody) Read(b []byte) (int, error) { return len(b), nil }

func TestMockRefusesBodiesItCannotRead(t *testing.T) {
	m := newMock(t, &Handler{})
	for _, tc := range []struct {
		name   string
		body   io.Reader
		status int
	}{
		{"too large", io.LimitReader(endlessBody{}, maxBody+1), 413},
		{"over the server's own limit", iotest.ErrReader(&http.MaxBytesError{Limit: 1}), 413},
		{"breaks off", iotest.ErrReader(io.ErrUnexpectedEOF), 400},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			if err := m.ServeHTTP(w, httptest.NewRequest("POST", "/v1/chat/completions", tc.body), nil); err != nil {
				t.Fatal(err)
			}
			if w.Code != tc.status || gjson.Get(w.Body.String(), "error.message").Str == "" {
				t.Error(w.Code, w.Body)
			}
		})
	}
}

// The buffer of one request's body becomes that of the next one.
func TestMockKeepsNothingOfTheBody(t *testing.T) {
	body := []byte(`{"model":"first","messages":[{"role":"user"}],"tools":[{"type":"function","function":{"name":"tool"}}]}`)
	req, fail := parseRequest(body, chatEndpoint, `"default"`)
	for i := range body {
		body[i] = '!'
	}
	if fail != nil || req.model != `"first"` || req.tool != `"tool"` {
		t.Error(req, fail)
	}
}

var documents = []string{
	`{}`, ` { } `, `[]`, `"x"`, ``, `{`, `}`, `{}}`, `{"a":1,}`, `{,}`, `{"a"}`, `{"a":}`, `{a:1}`, `{"a":1 2}`, `{"a":[1,]}`, `{"a":[,]}`,
	`{"a":[1 2]}`, `{"a":[}]}`, `{"a":{"b":[{"c":null}]}}`, `{"a":{]}`, `{"a":truE,"b":nul}`, `{"a":[true,false,null]}`,
	`{"a":0,"b":-0,"c":1.5e+10,"d":10E-3}`, `{"a":01}`, `{"a":-}`, `{"a":1.}`, `{"a":.5}`, `{"a":1e}`, `{"a":+1}`, `{"a":--1}`,
	`{"a":"\"\\\/\b\f\n\r\t\u00e9"}`, `{"a":"\x"}`, `{"a":"\u12"}`, `{"a":"\u12G4"}`, `{"a":"` + "\n" + `"}`, `{"a":"01234567` + "\x1f" + `"}`,
	`{"a":"0123456789abcdef\"x"}`, `{"a":"0123456`, `{"a":"01234567\`, `{"a":"é` + "\x7f\u2028" + `"}`, "\ufeff{}", "{\"a\"\r\n:\t1}", `{"a":1}x`, `{"a":1` + "\x00}",
	`{"a":"` + "\n" + `n"}`, `{"a":"0123456` + "\x1f" + `0123456789"}`, `{"a":"\u123G"}`, `{"a":"\u123"}`, `{"a":[1}}`, `{"a":{"b":1]}`, `{"a":[1}`,
	`{"stream":true,"stream_options":{"include_usage":true},"model":"m","messages":[{"role":"user"}],"tools":[{"type":"function","function":{"name":"f"}}]}`,
	`{"input":[[1],[2]],"encoding_format":"base64"}`,
}

func FuzzMockRequest(f *testing.F) {
	paths := []string{"/chat/completions", "/completions", "/responses", "/embeddings", "/moderations"}
	for i, doc := range documents {
		f.Add(i, []byte(doc))
	}
	m := newMock(f, &Handler{Reply: "abc", Chunks: 2})
	f.Fuzz(func(t *testing.T, i int, body []byte) {
		w := call(t, m, "POST", paths[uint(i)%uint(len(paths))], string(body))
		switch {
		case w.Code != 200 && w.Code != 400:
			t.Fatalf("status %d for %q", w.Code, body)
		case !utf8.Valid(w.Body.Bytes()):
			t.Fatalf("the response to %q is not UTF-8: %q", body, w.Body)
		case w.Header().Get("Content-Type") == "text/event-stream":
			eventsOf(t, w.Body.String())
		case !json.Valid(w.Body.Bytes()):
			t.Fatalf("the response to %q is not JSON: %s", body, w.Body)
		}
	})
}
