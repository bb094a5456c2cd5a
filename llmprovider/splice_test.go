package llmprovider

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/tidwall/gjson"
	"github.com/tidwall/sjson"

	"github.com/caddy-llm/gateway/internal/jsontest"
)

// joined is a body as the provider gets it.
func joined(s segments) []byte {
	out := bytes.Join(s.part[:s.n], nil)
	if int64(len(out)) != s.size {
		panic(fmt.Sprintf("the size is %d, and %d bytes are sent", s.size, len(out)))
	}
	return out
}

func spliced(t testing.TB, body string, e Edits) string {
	t.Helper()
	before := []byte(body)
	m, err := scanObject(before)
	if err != nil {
		t.Fatal(err)
	}
	out := joined(splice(before, &m, &e))
	if string(before) != body {
		t.Errorf("the client's body was changed to %s", before)
	}
	return string(out)
}

var (
	modelX    = []byte(`"x"`)
	streamOn  = []byte("true")
	streamOff = []byte("false")
)

func TestSpliceChangesNothingElse(t *testing.T) {
	all := Edits{Model: modelX, Stream: streamOn, IncludeUsage: true}
	for _, test := range []struct {
		name, body string
		edits      Edits
		want       string
	}{
		{"no edits", ` {"a" : 1} `, Edits{}, ` {"a" : 1} `},
		{"no edits, empty object", `{}`, Edits{}, `{}`},
		{"model replaced", `{"a":1,"model":"m","b":2}`, Edits{Model: modelX}, `{"a":1,"model":"x","b":2}`},
		{"model null replaced", `{"model": null }`, Edits{Model: modelX}, `{"model": "x" }`},
		{"model of another type replaced", `{"model":{"a":[1,2]},"b":2}`, Edits{Model: modelX}, `{"model":"x","b":2}`},
		{"escaped name kept", `{"mod\u0065l":"m"}`, Edits{Model: modelX}, `{"mod\u0065l":"x"}`},
		{"model added", `{"a":1}`, Edits{Model: modelX}, `{"model":"x","a":1}`},
		{"model added before white space", "\n{ \"a\":1}", Edits{Model: modelX}, "\n{\"model\":\"x\", \"a\":1}"},
		{"model added to an empty object", `{}`, Edits{Model: modelX}, `{"model":"x"}`},
		{"all added to an empty object", "{ \n}", all, "{\"model\":\"x\",\"stream\":true,\"stream_options\":{\"include_usage\":true} \n}"},
		{"all added", `{"a":1}`, all, `{"model":"x","stream":true,"stream_options":{"include_usage":true},"a":1}`},
		{"all replaced", `{"model":"m","stream":false,"stream_options":{}}`, all, `{"model":"x","stream":true,"stream_options":{"include_usage":true}}`},
		{"all replaced, with others around", `{"a":1,"model":"m","b":2,"stream":false,"c":3,"stream_options":{},"d":4}`, all,
			`{"a":1,"model":"x","b":2,"stream":true,"c":3,"stream_options":{"include_usage":true},"d":4}`},
		{"all replaced, in another order", `{"stream_options":null,"a":1,"stream":0,"b":2,"model":[]}`, all,
			`{"stream_options":{"include_usage":true},"a":1,"stream":true,"b":2,"model":"x"}`},
		{"stream replaced, others added", `{"stream":false}`, all, `{"model":"x","stream_options":{"include_usage":true},"stream":true}`},
		{"big integers, order, white space, unknown members", `{ "z":12345678901234567890123, "model" : "m" ,"a":1.0e-400,"\u00e9":"<&>" }`, Edits{Model: modelX},
			`{ "z":12345678901234567890123, "model" : "x" ,"a":1.0e-400,"\u00e9":"<&>" }`},

		{"usage added to the client's options", `{"stream_options":{"include_obfuscation":false}}`, Edits{IncludeUsage: true},
			`{"stream_options":{"include_obfuscation":false,"include_usage":true}}`},
		{"usage set over false", `{"stream_options":{"include_usage": false ,"b":12345678901234567890}}`, Edits{IncludeUsage: true},
			`{"stream_options":{"include_usage": true ,"b":12345678901234567890}}`},
		{"usage set over null", `{"stream_options":{"include_usage":null}}`, Edits{IncludeUsage: true}, `{"stream_options":{"include_usage":true}}`},
		{"usage set under an escaped name", `{"stream_options":{"include_us\u0061ge":false}}`, Edits{IncludeUsage: true}, `{"stream_options":{"include_us\u0061ge":true}}`},
		{"usage asked for twice", `{"stream_options":{"include_usage":true,"include_usage":false}}`, Edits{IncludeUsage: true}, `{"stream_options":{"include_usage":true}}`},
		{"usage asked for in two cases", `{"stream_options":{"include_usage":true,"Include_Usage":false}}`, Edits{IncludeUsage: true}, `{"stream_options":{"include_usage":true}}`},
		{"options of another type", `{"stream_options":[]}`, Edits{IncludeUsage: true}, `{"stream_options":{"include_usage":true}}`},

		{"options removed from the middle", `{"stream":true,"stream_options":{"a":1},"b":2}`, Edits{Stream: streamOff, DropOptions: true}, `{"stream":false,"b":2}`},
		{"options removed from the start", `{ "stream_options":{"a":1} , "stream":true}`, Edits{Stream: streamOff, DropOptions: true}, `{  "stream":false}`},
		{"options removed from the end", `{"stream":true , "stream_options":{"a":[1,{}]} }`, Edits{Stream: streamOff, DropOptions: true}, `{"stream":false  }`},
		{"options removed, null", `{"stream":true,"stream_options":null}`, Edits{Stream: streamOff, DropOptions: true}, `{"stream":false}`},
		{"options removed, a comma in the member before", `{"stream":true,"a":"x,","stream_options":{}}`, Edits{Stream: streamOff, DropOptions: true}, `{"stream":false,"a":"x,"}`},
		{"options removed, none there", `{"stream":true}`, Edits{Stream: streamOff, DropOptions: true}, `{"stream":false}`},
		{"options removed and model replaced", `{"model":"m","stream":true,"stream_options":{}}`, Edits{Model: modelX, Stream: streamOff, DropOptions: true}, `{"model":"x","stream":false}`},
		{"options removed and model added", `{"stream":true,"stream_options":{}}`, Edits{Model: modelX, Stream: streamOff, DropOptions: true}, `{"model":"x","stream":false}`},
		{"options removed before the others", `{"stream_options":{},"stream":true,"model":"m"}`, Edits{Model: modelX, Stream: streamOff, DropOptions: true}, `{"stream":false,"model":"x"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := spliced(t, test.body, test.edits); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestAsksUsage(t *testing.T) {
	for options, want := range map[string]bool{
		`{"include_usage":true}`:           true,
		`{"a":1, "include_usage" : true }`: true,
		`{"include_us\u0061ge":true}`:      true,
		`{"include_usage":false}`:          false,
		`{"include_usage":null}`:           false,
		`{"include_usage":"true"}`:         false,
		`{"include_usage":1}`:              false,
		`{}`:                               false,
		`null`:                             false,
		`[]`:                               false,
		`"include_usage"`:                  false,
		`true`:                             false,
		`{"a":{"include_usage":true}}`:     false,
		`{"Include_Usage":true}`:           false,
		`{"include_usage":true,"include_usage":false}`:    false,
		`{"include_usage":true,"include_usage":true}`:     false,
		`{"include_usage":true,"INCLUDE_USAGE":false}`:    false,
		`{"include_usage.x":true,"a.include_usage":true}`: false,
	} {
		body := []byte(`{"stream_options":` + options + `}`)
		m, err := scanObject(body)
		if err != nil {
			t.Fatal(err)
		}
		if got := (&Inbound{body: &buffer{b: body}, members: m}).AsksUsage(); got != want {
			t.Errorf("%s asks for usage: %v, want %v", options, got, want)
		}
	}
	if new(Inbound).AsksUsage() {
		t.Error("absent options ask for usage")
	}
}

func TestSpliceOfAMegabyteAgreesWithSjson(t *testing.T) {
	body := chatBody(1 << 20)
	got := spliced(t, string(body), Edits{Model: modelX, Stream: streamOff})
	want, err := sjson.SetBytes(body, "model", "x")
	if err != nil {
		t.Fatal(err)
	}
	if want, err = sjson.SetBytes(want, "stream", false); err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Error("the result differs from sjson's")
	}
	deep := strings.Repeat(`[{"a":`, 50_000) + `1` + strings.Repeat(`}]`, 50_000)
	if got, want := spliced(t, `{"d":`+deep+`,"model":"m"}`, Edits{Model: modelX}), `{"d":`+deep+`,"model":"x"}`; got != want {
		t.Error("a deep document was changed")
	}
}

var rewritten = []string{"model", "stream", "stream_options"}

// others are the members that no edit may touch.
func others(pairs []jsontest.Member) (out []jsontest.Member) {
	for _, p := range pairs {
		if p.Name != rewritten[0] && p.Name != rewritten[1] && p.Name != rewritten[2] {
			out = append(out, p)
		}
	}
	return out
}

// unambiguous reports whether each member that the gateway rewrites is there at
// most once, under its exact name.
func unambiguous(pairs []jsontest.Member) bool {
	for _, name := range rewritten {
		n := 0
		for _, p := range pairs {
			read, _, _ := strings.Cut(p.Name, "\x00")
			if strings.EqualFold(strings.ReplaceAll(read, "\uFFFD", ""), name) || strings.EqualFold(p.Name, name) {
				if n++; n > 1 || p.Name != name {
					return false
				}
			}
		}
	}
	return true
}

// checkSplice holds a splice against what encoding/json makes of both texts.
func checkSplice(t *testing.T, body []byte, m *members, e Edits) {
	t.Helper()
	before := bytes.Clone(body)
	out := joined(splice(body, m, &e))
	if !bytes.Equal(body, before) {
		t.Fatalf("the client's body was changed from %q to %q", before, body)
	}
	old, ok := jsontest.Members(body)
	if !ok {
		return // for the provider to refuse
	}
	now, ok := jsontest.Members(out)
	if !ok {
		t.Fatalf("%q became invalid: %q", body, out)
	}
	if fmt.Sprint(others(old)) != fmt.Sprint(others(now)) {
		t.Fatalf("other members were changed: %q became %q", body, out)
	}
	expect := func(name, want string, wanted bool) {
		if got, ok := jsontest.Find(now, name); ok != wanted || got != want {
			t.Fatalf("%s is %q (%v), want %q (%v): %q became %q", name, got, ok, want, wanted, body, out)
		}
	}
	kept := func(name string, set []byte) {
		want, there := jsontest.Find(old, name)
		if set != nil {
			want, there = string(set), true
		}
		expect(name, want, there)
	}
	kept("model", e.Model)
	kept("stream", e.Stream)
	switch {
	case e.DropOptions:
		expect("stream_options", "", false)
	case e.IncludeUsage:
		options, _ := jsontest.Find(now, "stream_options")
		var decoded map[string]any
		if json.Unmarshal([]byte(options), &decoded) != nil || decoded["include_usage"] != true {
			t.Fatalf("the options are %s: %q became %q", options, body, out)
		}
	default:
		kept("stream_options", nil)
	}
	if !unambiguous(now) {
		t.Fatalf("a member is ambiguous: %q became %q", body, out)
	}
}

// possibleEdits are the combinations that a configuration can lead to.
func possibleEdits(body []byte, m *members) []Edits {
	streams := m.stream.present() && string(body[m.stream.val:m.stream.end]) == "true"
	var all []Edits
	for _, model := range [][]byte{nil, modelX} {
		all = append(all, Edits{Model: model}, Edits{Model: model, Stream: streamOn}, Edits{Model: model, Stream: streamOff})
		all = append(all, Edits{Model: model, IncludeUsage: true}, Edits{Model: model, Stream: streamOn, IncludeUsage: true})
		if streams {
			all = append(all, Edits{Model: model, Stream: streamOff, DropOptions: true})
		}
	}
	return all
}

func FuzzSplice(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` { } `, `{"model":"m"}`, `{"a":1,"model":null,"stream":true,"stream_options":{"include_usage":false}}`,
		`{"stream_options":{},"stream":true}`, `{"stream":true,"stream_options":[1,2,{"a":"b"}],"z":{"model":1}}`,
		`{"mod\u0065l":"m","model":"n"}`, `{"Model":"m"}`, `{"\u017ftream":true}`, `{"a":"\\","b":"\"}","model":"\\\""}`,
		"{\"a\":[[[{}]]],\r\n\t\"model\" : 1e5 , \"s\":-0.0}", `{"a":1}x`, `{"a":[}`, "\ufeff{}", `{"a":tru,"model":nul}`,
		`{"stream_options":{"include_usage":true,"include_usage":false,"x":9007199254740993}}`, `{"stream_options":{"include_us\u0061ge":0}}`,
		`{"stream_options":{"":1,"include_usage":{}}}`, `{"stream":true,"stream_options":null}`, "{\"\xff\":\"\xff\",\"stream\":true}", `{"mod\ud800el":1}`, "{\"\xc1\xadodel\":1}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := scanObject(body)
		pairs, isObject := jsontest.Members(body)
		if err != nil {
			overlong := bytes.IndexByte(body, 0xc0) >= 0 || bytes.IndexByte(body, 0xc1) >= 0 // encoding/json does not tell
			if isObject && unambiguous(pairs) && !overlong {
				t.Fatalf("%q was refused: %v", body, err)
			}
			return
		}
		if isObject && !unambiguous(pairs) {
			t.Fatalf("%q is ambiguous and was accepted", body)
		}
		if isObject {
			for i, at := range []member{m.model, m.stream, m.streamOptions} {
				want, there := jsontest.Find(pairs, rewritten[i])
				if there != at.present() || there && want != string(body[at.val:at.end]) {
					t.Fatalf("%s of %q found at %+v", rewritten[i], body, at)
				}
			}
			if want := gjson.GetBytes(body, "model"); m.model.present() && want.Type == gjson.String && len(want.Str) <= maxModelName {
				if got := ShortText(body[m.model.val:m.model.end]); got != strings.ToValidUTF8(want.Str, "\uFFFD") {
					t.Fatalf("the model of %q is %q, want %q", body, got, want.Str)
				}
			}
		}
		for _, e := range possibleEdits(body, &m) {
			checkSplice(t, body, &m, e)
		}
	})
}
