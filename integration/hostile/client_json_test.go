package hostile_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// What is no JSON object is refused, and no provider hears of it.
func TestInvalidJSON(t *testing.T) {
	up := plainProvider(t)
	s := start(t, up)
	up.Reset()
	for _, body := range []string{
		``, ` `, "\n", `null`, `true`, `1`, `"x"`, `[]`, `[{"model":"x"}]`, `x`, `hello=world`, `<?xml version="1.0"?>`,
		`{`, `}`, `{{}}`, `{"`, `{"a`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{,"a":1}`, `{"a":1,,"b":2}`, `{"a"}`, `{"a":}`,
		`{"a":1}}`, `{"a":1}x`, `{"a":1}{"b":2}`, `{"a":1},{"b":2}`, `{"a":1}]`, "{\"a\":1}\x00",
		`{'a':1}`, `{a:1}`, `{1:1}`, `{"a" 1}`, `{"a"=1}`, `{"a":1 "b":2}`, `{"a":1;"b":2}`, `{"a":"x""b":1}`,
		`{"a":"unterminated}`, `{"a":"\"}`, `{"a":"\\\"}`, `{"a":[}`, `{"a":[1}`, `{"a":{]}`, `{"a":{"b":1]}`, `{"a":[[]}`,
		"\ufeff{\"a\":1}", "/* c */{}", "{\"a\":1} // c", "data: {\"a\":1}\n\n", "\x00\x00\x00\x07{}",
		"{\"a\\q\":1}", "{\"\\u00zz\":1}",
		`{"a":[1,,2]}`, `{"a":01}`, `{"a":NaN}`, `{"a":tru}`, `{"a":"tab	inside"}`, `{"a":"\q"}`, "{\"a\":\"\x00\"}", "{\"model\":\"\x01\x7f\"}",
	} {
		s.post(t, body).refused(t, 400, "invalid_json")
		if t.Failed() {
			t.Fatalf("with %q", body)
		}
	}
	if up.Count() != 0 {
		t.Errorf("the provider received %d requests, the last with %q", up.Count(), up.Last().Body)
	}
	s.serves(t)
}

// What an object means is for the provider to say: it passes as it is.
func TestDoubtfulJSONPassesUnchanged(t *testing.T) {
	up := plainProvider(t)
	s := start(t, up)
	for _, body := range []string{
		`{}`, ` { } `, "\t\r\n{\n}\n", `{"":1}`, `{"a":1,"a":2}`, `{"a":"\ud800"}`, `{"\ud800":1}`, `{"a":1e999999}`, `{"a":` + strings.Repeat("9", 10_000) + `}`,
		"{\"a\":\"\xff\xfe\xc3\x28\"}", "{\"\xff\":1}", "{\"a\":\"\xed\xa0\x80\"}",
		"{\"model\":\"\xff\xfe\"}", "{\"model\":\"\x7f\"}", `{"model":"\ud800"}`, `{"model":"\u0000"}`,
		`{"model":null}`, `{"model":5}`, `{"model":true}`, `{"model":["a","b"]}`, `{"model":{"model":"a"}}`, `{"model":""}`,
		`{"model":"` + strings.Repeat("m", 100_000) + `"}`, `{"model":"{env.PROVIDER_KEY}"}`, `{"model":"{http.vars.x} {file./etc/passwd}"}`,
		`{"stream":null}`, `{"stream":"true"}`, `{"stream":1}`, `{"stream":[true]}`, `{"stream":{}}`, `{"stream":false}`,
		`{"stream_options":null}`, `{"stream_options":5}`, `{"stream_options":[]}`, `{"stream_options":{"include_usage":"x"}}`,
		`{"stream":true,"stream_options":{"include_usage":true}}`,
		`{"model":"a","metadata":{"model":"b","Model":"c","stream":true}}`, `{"models":["a"],"model_":"b","streams":1}`,
	} {
		up.Reset()
		a := s.post(t, body)
		if a.err != nil || a.status != 200 {
			t.Fatalf("%.100q got %d %.300q, %v", body, a.status, a.body, a.err)
		}
		if got := string(up.Last().Body); got != body {
			t.Errorf("the provider received %.200q instead of %.200q", got, body)
		}
	}
	s.serves(t)
	for _, line := range s.Logs() {
		if !utf8.ValidString(line.Raw) || line.Fields == nil {
			t.Errorf("a log line that is no JSON in UTF-8: %q", line.Raw)
		}
		if strings.Contains(line.Raw, providerKey) || len(line.Raw) > 8<<10 {
			t.Errorf("a log line with a key, or of %d bytes: %.500q", len(line.Raw), line.Raw)
		}
	}
}

// The model that the gateway reads and the one that a provider reads must be
// the same, or a client could have another one than its rule allows. So no
// second member may be there that any decoder could take for it.
func TestSecondModelsAreRefused(t *testing.T) {
	up := plainProvider(t)
	s := start(t, up, "model set-by-config")
	up.Reset()
	for _, body := range []string{
		`{"model":"a","model":"b"}`, `{"model":"a","messages":[],"model":"a"}`, `{"model":null,"model":"b"}`, `{"model":{},"model":"b"}`,
		`{"model":"a","\u006dodel":"b"}`, `{"\u006Dodel":"a","model":"b"}`, `{"\u006d\u006f\u0064\u0065\u006c":"a","mode\u006C":"b"}`,
		`{"model":"a","Model":"b"}`, `{"MODEL":"a"}`, `{"model":"a","\u004dodel":"b"}`, `{"Model":"a","model":"b"}`,
		`{"stream":false,"stream":true}`, `{"stream":false,"Stream":true}`, `{"stream":false,"\u0073tream":true}`,
		`{"stream":false,"ſtream":true}`, `{"stream":false,"\u017ftream":true}`,
		`{"stream_options":{},"stream_options":{}}`, `{"Stream_Options":{}}`, `{"stream_option\u0073":{},"stream_options":{}}`,
		`{"` + strings.Repeat(`x":1,"`, 50_000) + `model":"a","model":"b"}`,
	} {
		s.post(t, body).refused(t, 400, "invalid_json")
		if t.Failed() {
			t.Fatalf("with %.200q", body)
		}
	}
	if up.Count() != 0 {
		t.Errorf("the provider received %d requests, the last with %q", up.Count(), up.Last().Body)
	}
	s.serves(t)

	// One alone may be written as it likes.
	for _, body := range []string{`{"mode\u006c":"mine"}`, `{"\u006d\u006f\u0064\u0065\u006c" : "mine"}`} {
		if a := s.post(t, body); a.status != 200 {
			t.Fatalf("%q got %d %s", body, a.status, a.body)
		}
		var got struct{ Model string }
		if err := json.Unmarshal(up.Last().Body, &got); err != nil || got.Model != "set-by-config" {
			t.Errorf("the provider received %s", up.Last().Body)
		}
	}
}

// Values of the wrong type are replaced by what the configuration sets, whole.
func TestWrongTypesAreReplacedByTheConfiguration(t *testing.T) {
	up := plainProvider(t)
	s := start(t, up, "model set-by-config", "stream on")
	for _, value := range []string{`null`, `5`, `-1.5e3`, `true`, `"x"`, `""`, `[]`, `[{"a":"]"}]`, `{}`, `{"model":"}"}`, `"\""`, `"\\"`} {
		for _, member := range []string{"model", "stream", "stream_options"} {
			body := fmt.Sprintf(`{"a":1, %q : %s , "b":2}`, member, value)
			if a := s.post(t, body); a.err != nil || a.status != 200 {
				t.Fatalf("%s got %d %.300q, %v", body, a.status, a.body, a.err)
			}
			var got struct {
				Model         *string
				Stream        *bool
				StreamOptions *struct {
					IncludeUsage *bool `json:"include_usage"`
				} `json:"stream_options"`
				A, B int
			}
			raw := up.Last().Body
			if err := json.Unmarshal(raw, &got); err != nil {
				t.Fatalf("%s became %s: %v", body, raw, err)
			}
			if got.Model == nil || *got.Model != "set-by-config" || got.Stream == nil || !*got.Stream || got.A != 1 || got.B != 2 ||
				got.StreamOptions == nil || got.StreamOptions.IncludeUsage == nil || !*got.StreamOptions.IncludeUsage {
				t.Errorf("%s became %s", body, raw)
			}
		}
	}
}

// What is not sent as JSON is refused before it is read.
func TestWrongContentTypes(t *testing.T) {
	up := plainProvider(t)
	s := start(t, up)
	up.Reset()
	for _, tc := range []struct{ header, value, code string }{
		{"Content-Type", "application/x-www-form-urlencoded", "unsupported_media_type"}, // curl's default
		{"Content-Type", "text/plain", "unsupported_media_type"},
		{"Content-Type", "text/json", "unsupported_media_type"},
		{"Content-Type", "application/octet-stream", "unsupported_media_type"},
		{"Content-Type", "multipart/form-data; boundary=x", "unsupported_media_type"},
		{"Content-Type", "application/json-seq", "unsupported_media_type"},
		{"Content-Type", "application/jsonx", "unsupported_media_type"},
		{"Content-Type", "json", "unsupported_media_type"},
		{"Content-Type", ";;;", "unsupported_media_type"},
		{"Content-Type", strings.Repeat("a/", 2000), "unsupported_media_type"},
		{"Content-Type", "text/html; \"<script>\"", "unsupported_media_type"},
		{"Content-Type", "application/json;charset=\"bad", "unsupported_media_type"},
		{"Content-Encoding", "gzip", "unsupported_content_encoding"},
		{"Content-Encoding", "br", "unsupported_content_encoding"},
		{"Content-Encoding", "identity, gzip", "unsupported_content_encoding"},
	} {
		a := s.post(t, hello, tc.header, tc.value)
		a.refused(t, 415, tc.code)
		if tc.code == "unsupported_media_type" && !strings.Contains(string(a.body), "Content-Type: application/json") {
			t.Errorf("the error does not name the header to send: %s", a.body)
		}
		if t.Failed() {
			t.Fatalf("with %s: %.100s", tc.header, tc.value)
		}
	}
	if up.Count() != 0 {
		t.Errorf("the provider received %d requests", up.Count())
	}
	for _, value := range []string{"application/json", "application/json; charset=utf-8", "Application/JSON", "application/vnd.api+json", "application/json;charset=\"utf8\""} {
		if a := s.post(t, hello, "Content-Type", value); a.status != 200 {
			t.Errorf("%s got %d %s", value, a.status, a.body)
		}
	}
	if a := s.post(t, hello, "Content-Encoding", "identity"); a.status != 200 {
		t.Errorf("identity got %d %s", a.status, a.body)
	}
	s.serves(t)
}
