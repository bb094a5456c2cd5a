package llmprovider

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

func TestScanFindsTheMembers(t *testing.T) {
	absent := "absent"
	for _, test := range []struct{ name, body, model, stream, options string }{
		{"none of them", `{"messages":[]}`, absent, absent, absent},
		{"empty object", `{}`, absent, absent, absent},
		{"empty object with white space", " {\r\n\t} \n", absent, absent, absent},
		{"all of them", `{"model":"a","stream":true,"stream_options":{"include_usage":true}}`, `"a"`, `true`, `{"include_usage":true}`},
		{"any order", `{"stream_options":null,"stream":false,"model":"a"}`, `"a"`, `false`, `null`},
		{"null", `{"model":null}`, `null`, absent, absent},
		{"not strings", `{"model":{"a":[1]},"stream":1e3}`, `{"a":[1]}`, `1e3`, absent},
		{"white space everywhere", " { \"model\" :\n\t\"a\" , \"stream\"\r\n: true } ", `"a"`, `true`, absent},
		{"escaped name", `{"mod\u0065l":"a","\u0073tream":true}`, `"a"`, `true`, absent},
		{"every letter escaped", `{"\u006d\u006F\u0064\u0065\u006c":"a"}`, `"a"`, absent, absent},
		{"deeper ones are others", `{"a":{"model":"x","stream":true},"b":[{"model":"y"}]}`, absent, absent, absent},
		{"text is no member", `{"a":"\"model\":\"x\"","model":"a"}`, `"a"`, absent, absent},
		{"value named so", `{"a":"model","model":"a"}`, `"a"`, absent, absent},
		{"longer and shorter names", `{"models":1,"mode":2,"streams":3,"strea":4,"stream_option":5,"":6}`, absent, absent, absent},
		{"names with spaces", `{" model":1,"model ":2}`, absent, absent, absent},
		{"escape at the end of a string", `{"a":"\\","b":"\"","c":"\\\"","model":"\\\\"}`, `"\\\\"`, absent, absent},
		{"brackets in strings", `{"a":["]}",{"b":"{["}],"model":"}"}`, `"}"`, absent, absent},
		{"big integers", `{"seed":12345678901234567890123,"model":"a"}`, `"a"`, absent, absent},
		{"other duplicates", `{"a":1,"a":2,"model":"a"}`, `"a"`, absent, absent},
		{"every escape", `{"a":"\"\\\/\b\f\n\r\t\uaAfF\ud800","model":"a"}`, `"a"`, absent, absent},
		{"every number", `{"a":[0,-0,10,1.5,0.0,1e5,1E+5,1.0e-05],"model":"a"}`, `"a"`, absent, absent},
		{"invalid UTF-8", "{\"a\":\"\xff\xfe\",\"\xff\":1,\"model\":\"a\"}", `"a"`, absent, absent},
		{"several bytes a letter", `{"通":"义😀","model":"a"}`, `"a"`, absent, absent},
	} {
		t.Run(test.name, func(t *testing.T) {
			body := []byte(test.body)
			m, err := scanObject(body)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range []struct {
				name, want string
				got        member
			}{{"model", test.model, m.model}, {"stream", test.stream, m.stream}, {"stream_options", test.options, m.streamOptions}} {
				got := absent
				if c.got.present() {
					got = string(body[c.got.val:c.got.end])
				}
				if got != c.want {
					t.Errorf("%s is %s, want %s", c.name, got, c.want)
				}
			}
		})
	}
}

func TestScanRefuses(t *testing.T) {
	const notObject = "the request body is not a JSON object; send one, such as"
	for _, test := range []struct{ name, body, want string }{
		{"nothing", ``, notObject},
		{"white space alone", " \n", notObject},
		{"array", `[{"model":"a"}]`, notObject},
		{"string", `"a"`, notObject},
		{"null", `null`, notObject},
		{"number", `1`, notObject},
		{"form", `model=a`, notObject},
		{"byte order mark", "\ufeff{}", "begins with a byte order mark; send UTF-8 without one"},
		{"UTF-16", "\xff\xfe{\x00}\x00", "begins with a byte order mark"},
		{"brace alone", `{`, "it ends after 1 bytes, expected a member name in double quotes"},
		{"name without quotes", `{model:"a"}`, "expected a member name in double quotes at byte 1"},
		{"name in single quotes", `{'model':"a"}`, "expected a member name in double quotes at byte 1"},
		{"unfinished name", `{"model`, "it ends after 7 bytes, expected the end of a string"},
		{"name alone", `{"model"}`, "expected a colon after the member name at byte 8"},
		{"no value", `{"model":}`, "expected a value at byte 9"},
		{"nothing after the colon", `{"model":`, "it ends after 9 bytes, expected a value"},
		{"unfinished string", `{"model":"a}`, "it ends after 12 bytes, expected the end of a string"},
		{"unfinished escape", `{"model":"a\"}`, "expected the end of a string"},
		{"unfinished object", `{"a":{"b":1}`, "it ends after 12 bytes, expected a closing brace"},
		{"unfinished nested object", `{"a":{"b":1`, "it ends after 11 bytes, expected a closing bracket"},
		{"unfinished array", `{"a":[1,2}`, "expected a comma or a closing bracket at byte 9"},
		{"mismatched brackets", `{"a":[{]}}`, "expected a member name in double quotes at byte 7"},
		{"closed too often", `{"a":[]]}`, "expected a comma or a closing brace at byte 7"},
		{"trailing comma", `{"a":1,}`, "expected a member name in double quotes at byte 7"},
		{"leading comma", `{,"a":1}`, "expected a member name in double quotes at byte 1"},
		{"comma twice", `{"a":1,,"b":2}`, "expected a member name in double quotes at byte 7"},
		{"comma missing", `{"a":"b" "c":1}`, "expected a comma or a closing brace at byte 9"},
		{"comma missing after a number", `{"a":1"c":1}`, "expected a comma or a closing brace at byte 6"},
		{"two words", `{"a":tr ue}`, "expected a value at byte 5"},
		{"comment", `{"a":"b"/*,"model":"x"*/}`, "expected a comma or a closing brace at byte 8"},
		{"text after", `{"a":1} x`, "expected nothing after the JSON object at byte 8"},
		{"second object", `{"a":1}{"model":"b"}`, "expected nothing after the JSON object at byte 7"},
		{"text after an empty object", `{}x`, "expected nothing after the JSON object at byte 2"},
		{"NUL after", "{}\x00", "expected nothing after the JSON object at byte 2"},
		{"model twice", `{"model":"a","x":1,"model":"b"}`, `more than one member "model"; send it once`},
		{"model twice, escaped", `{"model":"a","mod\u0065l":"b"}`, `more than one member "model"`},
		{"model twice, all escaped", `{"\u006dodel":"a","mo\u0064el":"b"}`, `more than one member "model"`},
		{"stream twice", `{"stream":true,"stream":false}`, `more than one member "stream"; send it once`},
		{"stream options twice", `{"stream_options":{},"stream_options":null}`, `more than one member "stream_options"; send it once`},
		{"model in another case", `{"Model":"a"}`, `has a member "Model"; write it as "model"`},
		{"both cases", `{"model":"a","MODEL":"b"}`, `has a member "MODEL"; write it as "model"`},
		{"another case, escaped", `{"model":"a","\u004dodel":"b"}`, `has a member "Model"; write it as "model"`},
		{"stream in another case", `{"sTream":true}`, `has a member "sTream"; write it as "stream"`},
		{"a letter that folds to s", `{"ſtream":true}`, `has a member "ſtream"; write it as "stream"`},
		{"the same, escaped", `{"\u017ftream":true}`, `write it as "stream"`},
		{"stream options in another case", `{"Stream_Options":{"include_usage":false}}`, `write it as "stream_options"`},
		{"an escape that JSON does not know", `{"\model":"a"}`, "expected an escape that JSON knows at byte 2"},
		{"a short escape", `{"\u00":"a"}`, "expected an escape that JSON knows at byte 2"},
		{"model that ends for C", `{"model":"a","model\u0000":"b"}`, `write it as "model"`},
		{"model with half a surrogate pair", `{"model":"a","mo\ud800del":"b"}`, `write it as "model"`},
		{"invalid UTF-8 in a name", "{\"model\":\"a\",\"mod\xffel\":\"b\"}", `write it as "model"`},
		{"a letter in two bytes", "{\"model\":\"a\",\"\xc1\xadodel\":\"b\"}", `write it as "model"`},
		{"a control character", "{\"a\":\"\n\"}", "instead of a control character at byte 6"},
		{"a comment first", `/**/{"model":"a"}`, notObject},
		{"a comment inside", `{"a":1,/*"model":"x",*/"model":"b"}`, "expected a member name in double quotes at byte 7"},
		{"a comment deep inside", `{"a":[{"b":1/**/}]}`, "expected a comma or a closing brace at byte 12"},
		{"a value in single quotes", `{"a":'b'}`, "expected a value at byte 5"},
		{"a bare word", `{"a":[b]}`, "expected a value at byte 6"},
		{"a number with zeros in front", `{"a":01}`, "expected a comma or a closing brace at byte 6"},
		{"a hexadecimal number", `{"a":0x1}`, "expected a comma or a closing brace at byte 6"},
		{"a plus", `{"a":+1}`, "expected a value at byte 5"},
		{"a lone minus", `{"a":-}`, "expected a value at byte 5"},
		{"no digit after the point", `{"a":1.}`, "expected a digit at byte 7"},
		{"no digit before the point", `{"a":.5}`, "expected a value at byte 5"},
		{"no exponent", `{"a":1e}`, "expected a digit at byte 7"},
		{"NaN", `{"a":NaN}`, "expected a value at byte 5"},
		{"Infinity", `{"a":-Infinity}`, "expected a value at byte 5"},
		{"a capital", `{"a":True}`, "expected a value at byte 5"},
		{"a trailing comma in an array", `{"a":[1,]}`, "expected a value at byte 8"},
		{"a trailing comma deep inside", `{"a":{"b":1,}}`, "expected a member name in double quotes at byte 12"},
		{"a form feed as white space", "{\"a\":\f1}", "expected a value at byte 5"},
		{"a space of several bytes", "{\"a\":\u00a01}", "expected a value at byte 5"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := scanObject([]byte(test.body))
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %q, want %q", err, test.want)
			}
		})
	}
}

func TestScanOfEveryPrefixIsRefused(t *testing.T) {
	body := []byte(`{"model":"a\"b","stream":true,"n":1,"messages":[{"role":"user","content":"\\"}],"stream_options":{"include_usage":false}}`)
	for n := range body {
		if _, err := scanObject(body[:n:n]); err == nil {
			t.Errorf("accepted after %d bytes: %s", n, body[:n])
		}
	}
	if _, err := scanObject(body); err != nil {
		t.Error(err)
	}
}

func TestScanOfDeepNesting(t *testing.T) {
	const depth = 100_000
	nest := func(open, middle, closing string) []byte {
		return []byte(`{"a":` + strings.Repeat(open, depth) + middle + strings.Repeat(closing, depth) + `,"model":"m"}`)
	}
	for _, test := range []struct {
		name string
		body []byte
		ok   bool
	}{
		{"arrays", nest(`[`, ``, `]`), true},
		{"objects", nest(`{"a":`, `1`, `}`), true},
		{"both", nest(`[{"a":`, `1`, `}]`), true},
		{"closed in the wrong order", nest(`[{"a":`, `1`, `]}`), false},
		{"one too few", []byte(`{"a":` + strings.Repeat(`[`, depth) + strings.Repeat(`]`, depth-1) + `}`), false},
		{"one too many", []byte(`{"a":` + strings.Repeat(`[`, depth) + strings.Repeat(`]`, depth+1) + `}`), false},
		{"never closed", []byte(`{"a":` + strings.Repeat(`[`, depth)), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, err := scanObject(test.body)
			if (err == nil) != test.ok {
				t.Fatalf("accepted: %v, want %v (%v)", err == nil, test.ok, err)
			}
			if test.ok && !m.model.present() {
				t.Error("the model after it was not found")
			}
		})
	}
	// A mismatch at each level around the borders of a word of the bit stack.
	for depth := 1; depth < 700; depth++ {
		good := `{"a":` + strings.Repeat(`[`, depth) + strings.Repeat(`]`, depth) + `}`
		if _, err := scanObject([]byte(good)); err != nil {
			t.Fatalf("depth %d: %v", depth, err)
		}
		bad := `{"a":` + strings.Repeat(`[`, depth-1) + `{` + strings.Repeat(`]`, depth) + `}`
		if _, err := scanObject([]byte(bad)); err == nil {
			t.Fatalf("depth %d: a brace closed by a bracket was accepted", depth)
		}
	}
}

func TestScanOfLargeBodiesIsLinear(t *testing.T) {
	for _, test := range []struct{ name, unit string }{
		{"backslashes", `\\`}, {"escaped quotes", `\"`}, {"text", "abcdefgh"},
	} {
		t.Run(test.name, func(t *testing.T) {
			body := []byte(`{"a":"` + strings.Repeat(test.unit, (4<<20)/len(test.unit)) + `","model":"m"}`)
			m, err := scanObject(body)
			if err != nil || !bytes.Equal(body[m.model.val:m.model.end], []byte(`"m"`)) {
				t.Fatalf("model not found (%v)", err)
			}
		})
	}
}

func TestScanDoesNotAllocate(t *testing.T) {
	body := chatBody(20 << 10)
	if n := testing.AllocsPerRun(20, func() {
		if _, err := scanObject(body); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

// TestLongNamesOfMembersCostNothing holds that a name as long as a body is not decoded, nor
// repeated to the client.
func TestLongNamesOfMembersCostNothing(t *testing.T) {
	for _, pad := range []string{"\x80", "\x7f", "\\n", "\\ud800", "a"} {
		for _, start := range []string{`{"model\u0000`, `{"s`, `{"\u006dodel`} {
			for _, length := range []int{maxMemberName - 100, 8 << 20} {
				body := []byte(start + strings.Repeat(pad, length/len(pad)) + `":1}`)
				var err error
				before := allocated()
				_, err = scanObject(body)
				if took := allocated() - before; took > 256<<10 {
					t.Errorf("%s%q… of %d: %d bytes allocated", start, pad, length, took)
				}
				if length > maxMemberName && err == nil || err != nil && len(err.Error()) > 1024 {
					t.Errorf("%s%q… of %d: an error of %d bytes", start, pad, length, len(fmt.Sprint(err)))
				}
			}
		}
	}
}

func allocated() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.TotalAlloc
}
