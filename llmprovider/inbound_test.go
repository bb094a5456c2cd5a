package llmprovider

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
)

// post is a client's request as net/http hands it over.
func post(path, contentType, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Del("Content-Type")
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}

// read reads a request that is expected to be good.
func read(t testing.TB, r *http.Request) *Inbound {
	t.Helper()
	in, refused := NewInbound(r)
	if refused == nil {
		refused = in.Read(r, DefaultMaxBody)
	}
	if refused != nil {
		t.Fatalf("%s %s: %v", r.Method, r.URL, refused)
	}
	return in
}

func TestInboundRefuses(t *testing.T) {
	const chat, images = "/v1/chat/completions", "/v1/images/edits"
	gzipped := post(chat, "application/json", "{}")
	gzipped.Header.Set("Content-Encoding", "gzip")
	headers := func(name string, values ...string) *http.Request {
		r := post(chat, "", "{}")
		r.Header[name] = values
		return r
	}
	ofTheConnection := post(chat, "application/json; charset=utf-8", "{}")
	ofTheConnection.Header.Set("Connection", "keep-alive, content-type")
	get := httptest.NewRequest(http.MethodGet, chat, nil)
	put := httptest.NewRequest(http.MethodPut, chat, strings.NewReader("{}"))
	broken := post(chat, "application/json", "{}")
	broken.Body = io.NopCloser(iotest.ErrReader(errors.New("secret detail")))
	byServer := post(chat, "application/json", `{"a":"0123456789"}`)
	byServer.ContentLength = -1
	byServer.Body = http.MaxBytesReader(httptest.NewRecorder(), byServer.Body, 5)

	for _, test := range []struct {
		name   string
		r      *http.Request
		limit  int64
		status int
		code   string
		want   string
	}{
		{"GET", get, 100, 405, "method_not_allowed", "takes POST requests, not GET"},
		{"PUT", put, 100, 405, "method_not_allowed", "takes POST requests, not PUT"},
		{"a form, as curl sends it", post(chat, "application/x-www-form-urlencoded", "{}"), 100, 415, "unsupported_media_type", `sent as "application/x-www-form-urlencoded"; send JSON with the header Content-Type: application/json`},
		{"text", post(chat, "text/plain", "{}"), 100, 415, "unsupported_media_type", "Content-Type: application/json"},
		{"text/json", post(chat, "text/json", "{}"), 100, 415, "unsupported_media_type", "Content-Type: application/json"},
		{"a content type that is none", post(chat, ";;", "{}"), 100, 415, "unsupported_media_type", "Content-Type: application/json"},
		{"files where there are none", post(chat, "multipart/form-data; boundary=x", "--x--"), 100, 415, "unsupported_media_type", "Content-Type: application/json"},
		{"parameters that are wrong", post(chat, "application/json; charset=utf-8; charset=utf-7", "{}"), 100, 415, "unsupported_media_type", "Content-Type: application/json"},
		{"two types in one line", post(chat, "application/json, application/x+json", "{}"), 100, 415, "unsupported_media_type", "Content-Type: application/json"},
		{"two types that end like JSON", post(chat, "application/x; q=1, a/b+json", "{}"), 100, 415, "unsupported_media_type", "Content-Type: application/json"},
		{"another character set", post(chat, "application/json; charset=utf-7", "{}"), 100, 415, "unsupported_charset", `charset "utf-7"; send UTF-8`},
		{"another character set of a kind of JSON", post(chat, "application/a+json;Charset=\"UTF-16\"", "{}"), 100, 415, "unsupported_charset", "send UTF-8"},
		{"ISO 8859", post(chat, "application/json; charset=iso-8859-1", "{}"), 100, 415, "unsupported_charset", "send UTF-8"},
		{"no character set", post(chat, "application/json; charset=\"\"", "{}"), 100, 415, "unsupported_charset", "send UTF-8"},
		{"an extended parameter", post(chat, "application/json; charset*=utf-8''utf-7", "{}"), 100, 415, "unsupported_media_type", "Content-Type: application/json"},
		{"two content types", headers("Content-Type", "application/json", "multipart/form-data; boundary=x"), 100, 400, "duplicate_header", "more than one header Content-Type"},
		{"two content types that are equal", headers("Content-Type", "application/json", "application/json"), 100, 400, "duplicate_header", "send it once"},
		{"two encodings", headers("Content-Encoding", "identity", "gzip"), 100, 400, "duplicate_header", "more than one header Content-Encoding"},
		{"a type that is of the connection", ofTheConnection, 100, 400, "invalid_header", "leave it out of Connection"},
		{"a form that is none", post(images, "multipart/form-data; boundary=x", "{}"), 100, 400, "invalid_form", "does not begin with the boundary"},
		{"a form without a boundary", post(images, "multipart/form-data", "--x--"), 100, 400, "invalid_form", "the boundary in Content-Type is missing"},
		{"compressed", gzipped, 100, 415, "unsupported_content_encoding", `compressed ("gzip"); send it without Content-Encoding`},
		{"over the limit", post(chat, "application/json", `{"a":"0123456789"}`), 10, 413, "request_too_large", "over the limit of 10 bytes; shorten it, or raise max_body"},
		{"over the server's limit", byServer, 100, 413, "request_too_large", "over the limit of 5 bytes"},
		{"files over the limit", post(images, "multipart/form-data; boundary=x", "0123456789a"), 10, 413, "request_too_large", "limit of 10 bytes"},
		{"cut off", broken, 100, 400, "unreadable_body", "ended early or could not be read"},
		{"no body", post(chat, "application/json", ""), 100, 400, "invalid_json", "is not a JSON object; send one, such as"},
		{"no object", post(chat, "application/json", "[]"), 100, 400, "invalid_json", "is not a JSON object"},
		{"two models", post(chat, "", `{"model":"a","model":"b"}`), 100, 400, "invalid_json", `more than one member "model"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			in, err := NewInbound(test.r)
			if err != nil {
				t.Fatal(err)
			}
			err = in.Read(test.r, test.limit)
			if err == nil {
				t.Fatal("accepted")
			}
			if err.Status != test.status || err.Code != test.code || err.Type != TypeInvalidRequest || !strings.Contains(err.Message, test.want) {
				t.Errorf("%d %s %s %q", err.Status, err.Type, err.Code, err.Message)
			}
			if strings.Contains(string(err.JSON()), "secret detail") {
				t.Errorf("the client is told %s", err.JSON())
			}
			if again := in.Read(test.r, test.limit); again != err {
				t.Errorf("read again, the error is %v", again)
			}
			in.Release()
			in.Release()
		})
	}
}

func TestInboundReads(t *testing.T) {
	long := strings.Repeat("m", maxModelName)
	for _, test := range []struct {
		name, contentType, body string
		model                   string
		stream                  bool
	}{
		{"JSON", "application/json", `{"model":"a","stream":true}`, "a", true},
		{"no content type", "", `{"model":"a"}`, "a", false},
		{"with a character set", "application/json; charset=utf-8", `{"model":"a"}`, "a", false},
		{"in another case", "Application/JSON", `{"model":"a"}`, "a", false},
		{"with a character set in quotes", "application/json; charset=\"UTF8\"", `{"model":"a"}`, "a", false},
		{"with another parameter", "application/json; version=1", `{"model":"a"}`, "a", false},
		{"a kind of JSON", "application/vnd.api+json", `{"model":"a"}`, "a", false},
		{"no model", "", `{}`, "", false},
		{"model null, stream null", "", `{"model":null,"stream":null}`, "", false},
		{"model that is no text", "", `{"model":{"a":1},"stream":"true"}`, "", false},
		{"model escaped", "", `{"model":"gpt\u002d4\u006f\n"}`, "gpt-4o\n", false},
		{"model of several bytes a letter", "", `{"model":"通义"}`, "通义", false},
		{"model that is not UTF-8", "", "{\"model\":\"a\xff\xfeb\"}", "a\uFFFDb", false},
		{"model with half a surrogate pair", "", `{"model":"a\ud800b"}`, "a\uFFFDb", false},
		{"the longest model", "", `{"model":"` + long + `"}`, long, false},
		{"a model too long", "", `{"model":"` + long + `m"}`, "", false},
		{"a model much too long", "", `{"model":"` + strings.Repeat(long, 8) + `"}`, "", false},
		{"stream false", "", `{"stream":false}`, "", false},
		{"stream as a number", "", `{"stream":1}`, "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := post("/", test.contentType, test.body)
			in := read(t, r)
			if in.Model != test.model || in.Stream != test.stream {
				t.Errorf("model %q, stream %v; want %q, %v", in.Model, in.Stream, test.model, test.stream)
			}
			if string(in.Body()) != test.body {
				t.Errorf("the body is %q", in.Body())
			}
			in.Release()
			if in.Body() != nil {
				t.Error("the body is there after its release")
			}
		})
	}
}

func TestInboundTakesFilesWhereThereAreSome(t *testing.T) {
	for _, path := range []string{"/v1/images/edits", "/v1/audio/transcriptions"} {
		in := read(t, post(path, `multipart/form-data; boundary="x"`, "--x--\r\n"))
		if in.isJSON || string(in.Body()) != "--x--\r\n" {
			t.Errorf("%s: JSON %v, body %q", path, in.isJSON, in.Body())
		}
	}
}

func TestInboundLimitIsExact(t *testing.T) {
	body := `{"a":"` + strings.Repeat("x", 5000) + `"}`
	for _, chunked := range []bool{false, true} {
		for over := -1; over <= 1; over++ {
			r := post("/", "", body)
			if chunked {
				r.ContentLength = -1
				r.Body = io.NopCloser(iotest.OneByteReader(strings.NewReader(body)))
			}
			in, _ := NewInbound(r)
			err := in.Read(r, int64(len(body)-over))
			if (err == nil) != (over <= 0) {
				t.Errorf("chunked %v, a body of %d bytes with a limit of %d: %v", chunked, len(body), len(body)-over, err)
			}
			in.Release()
		}
	}
}

func TestABodyReadBeforeIsHeldToALaterLimit(t *testing.T) {
	r := post("/", "", `{"a":"0123456789"}`)
	in := read(t, r)
	if err := in.Read(r, 10); err == nil || err.Status != http.StatusRequestEntityTooLarge {
		t.Errorf("the error is %v", err)
	}
	if err := in.Read(r, 18); err != nil {
		t.Errorf("with room enough, the error is %v", err)
	}
}

func TestReplayLeavesTheBodyForAnother(t *testing.T) {
	in := read(t, post("/", "", `{"a":1}`))
	body := in.Replay()
	in.Release()
	for range 64 { // would reuse the memory if it were given back
		other := read(t, post("/", "", `{"b":222}`))
		other.Release()
	}
	if got, err := io.ReadAll(body); string(got) != `{"a":1}` || err != nil {
		t.Errorf("replayed is %q (%v)", got, err)
	}
	if got, _ := io.ReadAll(new(Inbound).Replay()); len(got) != 0 {
		t.Errorf("a request that was not read replays %q", got)
	}
}

// TestBodiesOverTheWire sends what a client may send to a real server.
func TestBodiesOverTheWire(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in, refused := NewInbound(r)
		if refused == nil {
			refused = in.Read(r, 100)
			defer in.Release()
		}
		if refused != nil {
			_ = refused.Write(w)
			return
		}
		_, _ = fmt.Fprintf(w, "read %d bytes", len(in.Body()))
	}))
	defer server.Close()
	const head = "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
	for _, test := range []struct {
		name, request string
		closeWrite    bool
		want          string
	}{
		{"a length", head + "Content-Length: 7\r\n\r\n{\"a\":1}", false, "200 read 7 bytes"},
		{"chunks", head + "Transfer-Encoding: chunked\r\n\r\n2\r\n{\"\r\n5\r\na\":1}\r\n0\r\n\r\n", false, "200 read 7 bytes"},
		{"an announced length that is not sent", head + "Content-Length: 50\r\n\r\n{\"a\":1}", true, "400 unreadable_body"},
		{"less announced than sent", head + "Content-Length: 5\r\n\r\n{\"a\":1}", false, "400 invalid_json"},
		{"no body", head + "\r\n", false, "400 invalid_json"},
		{"chunks cut off", head + "Transfer-Encoding: chunked\r\n\r\n7\r\n{\"a\"", true, "400 unreadable_body"},
		{"chunks that are none", head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", true, "400 unreadable_body"},
		{"a length over the limit", head + "Content-Length: 101\r\n\r\n", false, "413 request_too_large"},
		{"a length beyond all limits", head + "Content-Length: 9223372036854775807\r\n\r\n", false, "413 request_too_large"},
		{"chunks over the limit", head + "Transfer-Encoding: chunked\r\n\r\n70\r\n" + strings.Repeat("x", 0x70) + "\r\n0\r\n\r\n", false, "413 request_too_large"},
	} {
		t.Run(test.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, test.request); err != nil {
				t.Fatal(err)
			}
			if test.closeWrite {
				_ = conn.(*net.TCPConn).CloseWrite()
			}
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, _ := io.ReadAll(res.Body)
			status, want, _ := strings.Cut(test.want, " ")
			if fmt.Sprint(res.StatusCode) != status || !strings.Contains(string(body), want) {
				t.Errorf("answered %d %s, want %s", res.StatusCode, body, test.want)
			}
		})
	}
}

// TestReplace holds that all attempts send the replaced body, with the client's own edits
// applied to it, and no header that vouches for the client's.
func TestReplace(t *testing.T) {
	const body = `{"stream":true,"messages":[{"content":"a secret"}],"model":"m","stream_options":{"include_usage":true}}`
	r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	in, refused := NewInbound(r)
	if refused == nil {
		refused = in.Read(r, 1<<20)
	}
	if refused != nil {
		t.Fatal(refused)
	}
	defer in.Release()
	in.Meaning = "of the client's body"
	long := strings.Repeat("x", 5000)
	refused = in.Replace(func(dst []byte) []byte { return append(dst, strings.Replace(body, "a secret", long, 1)...) })
	if refused != nil || in.Meaning != nil || in.Model != "m" || !in.Stream || !in.AsksUsage() || string(in.Body()) != strings.Replace(body, "a secret", long, 1) {
		t.Fatalf("%v: %s", refused, in.Body())
	}
	s := splice(in.Body(), &in.members, &Edits{Model: []byte(`"other"`)})
	var sent []byte
	for _, part := range s.part[:s.n] {
		sent = append(sent, part...)
	}
	if want := strings.Replace(strings.Replace(body, "a secret", long, 1), `"m"`, `"other"`, 1); string(sent) != want {
		t.Errorf("sent %s", sent)
	}
	before := string(in.Body())
	if refused = in.Replace(func(dst []byte) []byte { return append(dst, "{"...) }); refused == nil || refused.Code != "invalid_rewrite" || string(in.Body()) != before {
		t.Errorf("a body that is not JSON: %v", refused)
	}
}

// TestPassedBodies holds that a request which is passed on can be sent again with the same body,
// that of SendInstead where there is one, and that its memory counts until Release and Close.
func TestPassedBodies(t *testing.T) {
	for name, instead := range map[string][]byte{"the client's": nil, "another": []byte("another body"), "none": {}} {
		t.Run(name, func(t *testing.T) {
			budget := new(Budget)
			budget.SetLimit(1 << 20)
			in := &Inbound{Budget: budget}
			if err := in.ReadAny(post("/x", "", "body"), 100); err != nil {
				t.Fatal(err)
			}
			want := "body"
			if instead != nil {
				if err := in.SendInstead(instead); err != nil {
					t.Fatal(err)
				}
				want = string(instead)
			}
			r := post("/x", "", "something else")
			in.SetBody(r)
			if r.ContentLength != int64(len(want)) || (r.Body == nil) != (want == "") || (r.GetBody == nil) != (want == "") {
				t.Fatalf("length %d, body %v", r.ContentLength, r.Body)
			}
			if want == "" {
				in.Release()
				return
			}
			again, err := r.GetBody()
			if err != nil {
				t.Fatal(err)
			}
			in.Release()
			for _, body := range []io.ReadCloser{r.Body, again} {
				if budget.Held() < int64(len(want)) {
					t.Errorf("%d bytes are held", budget.Held())
				}
				if got, err := io.ReadAll(body); err != nil || string(got) != want {
					t.Errorf("%q, %v, want %q", got, err, want)
				}
				_ = body.Close()
			}
			if budget.Held() != 0 {
				t.Errorf("%d bytes are held", budget.Held())
			}
			if _, err := r.GetBody(); err == nil {
				t.Error("the body is sent again after Release")
			}
		})
	}
}
