package jsonscan

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

var documents = []string{
	`{}`, ` { } `, `{"a":1}`, `{"a":1,"b":[{"c":"d"}]}`, `{"a":"x\"y\\","b":"é\u00e9\ud83d\ude00"}`, `{"a\u0062":null,"":true,"x":false}`,
	`{"a":-0.5e+10,"b":1E2,"c":0}`, `{"long":"` + strings.Repeat("text and more ", 40) + `\n"}`, `{"a":[],"b":{},"c":[[[]],{}]}`,
	"{\"a\":1}\n", "\t{\r\n\"a\" : [ 1 , 2 ] }", `[]`, `1`, `"x"`, ``, `{`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{"a":1}{`, `{'a':1}`, `{a:1}`,
	`{"a":01}`, `{"a":1.}`, `{"a":.5}`, `{"a":+1}`, `{"a":1e}`, `{"a":NaN}`, `{"a":tru}`, `{"a":"` + "\n" + `"}`, `{"a":"\x"}`, `{"a":"\u12g4"}`,
	`{"a":[1,]}`, `{"a":[1}`, `{"a":{]}`, `{"a":1 2}`, `{"a":/* c */1}`, `{"a":1}// c`, "\ufeff{}", `{"a":"\ud800"}`,
}

func FuzzObject(f *testing.F) {
	for _, doc := range documents {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		if bytes.Count(doc, []byte{'['})+bytes.Count(doc, []byte{'{'}) > 5000 { // the library's own limit is 10000
			return
		}
		compare(t, doc)
	})
}

func TestObject(t *testing.T) {
	for _, doc := range documents {
		compare(t, []byte(doc))
	}
	deep := `{"a":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`
	if !Object([]byte(deep), func(_, _ []byte) {}) || Object([]byte(deep[:len(deep)-2]), func(_, _ []byte) {}) {
		t.Error("deep nesting is not read right")
	}
}

// Strings end where they end, wherever the quote stands and however many escapes are before it.
func TestEndOfStrings(t *testing.T) {
	for size := range 40 {
		for escapes := range 8 {
			for _, between := range []string{"", "x", `\n`, "12345678", "1234567890123456789"} {
				text := strings.Repeat("x", size) + strings.Repeat(`\\`, escapes) + between
				for _, text := range []string{text, text + `\"` + between, text + `\\\"` + text} {
					doc := `{"` + text + `":"` + text + `","b":["` + text + `","` + text + `"]}`
					compare(t, []byte(doc))
					compare(t, []byte(doc[:len(doc)-1]))
					compare(t, Get([]byte(doc), "b"))
				}
			}
		}
	}
}

// TestTextAtEveryOffset has each byte, and each pair of those that matter, at each offset of
// strings that are longer than what is looked at at once.
func TestTextAtEveryOffset(t *testing.T) {
	bytesThatMatter := []string{`"`, `\`, "\x00", "\x1f", "\n", "x", "u", "0", "\x7f", "\x80", "\xff"}
	for _, size := range []int{0, 7, 15, 16, 63, 64, 65, 127, 200, 400} {
		fill := "0"
		if size%2 == 0 {
			fill = "n" // is an escape after a backslash
		}
		plain := `["` + strings.Repeat(fill, size) + `"]`
		at := func(i int, with string) {
			if end := i + len(with); end <= len(plain)-2 {
				doc := plain[:i] + with + plain[end:]
				if Valid([]byte(doc)) != json.Valid([]byte(doc)) {
					t.Fatalf("%q is valid: %v, want %v", doc, !json.Valid([]byte(doc)), json.Valid([]byte(doc)))
				}
			}
		}
		for i := 2; i < min(size, 150)+2; i++ {
			for c := range 256 {
				at(i, string([]byte{byte(c)}))
				at(i, string([]byte{'\\', byte(c)}))
			}
			for _, a := range bytesThatMatter {
				for _, b := range bytesThatMatter {
					for _, between := range []string{"", "000", `\\`, `\\\`, `\u00e9`, `\u00g9`} {
						at(i, a+between+b)
					}
				}
			}
		}
	}
}

// compare holds the scanner against the standard library.
func compare(t *testing.T, doc []byte) {
	t.Helper()
	var got, walked, want bytes.Buffer
	ok := Object(doc, func(name, value []byte) { got.WriteString(string(name) + ":" + string(value) + "\n") })
	valid := json.Valid(doc)
	if Valid(doc) != valid {
		t.Fatalf("%q: valid is %v, want %v", doc, !valid, valid)
	}
	if isObject := valid && bytes.TrimLeft(doc, " \t\r\n")[0] == '{'; ok != isObject {
		t.Fatalf("%q: an object is %v, want %v", doc, ok, isObject)
	}
	if !valid {
		for range Members(doc) { // must not panic
		}
		for range Elements(doc) {
		}
		return
	}
	for name, value := range Members(doc) {
		walked.WriteString(string(name) + ":" + string(value) + "\n")
	}
	var elements, wantElements []string
	for value := range Elements(doc) {
		elements = append(elements, string(value))
	}
	parsed := gjson.ParseBytes(doc)
	parsed.ForEach(func(key, value gjson.Result) bool {
		switch {
		case parsed.IsObject():
			want.WriteString(key.Raw + ":" + value.Raw + "\n")
			text(t, []byte(key.Raw))
		case parsed.IsArray():
			wantElements = append(wantElements, value.Raw)
		}
		text(t, []byte(value.Raw))
		return true
	})
	if ok && got.String() != want.String() {
		t.Fatalf("%q: the members are %q, want %q", doc, got.String(), want.String())
	}
	if walked.String() != want.String() {
		t.Fatalf("%q: walked through %q, want %q", doc, walked.String(), want.String())
	}
	if strings.Join(elements, "\n") != strings.Join(wantElements, "\n") {
		t.Fatalf("%q: the elements are %q, want %q", doc, elements, wantElements)
	}
}

// text holds the reading of a string against the standard library, and writes it
// again.
func text(t *testing.T, value []byte) {
	t.Helper()
	if !IsString(value) {
		return
	}
	var want string
	if err := json.Unmarshal(value, &want); err != nil {
		t.Fatalf("%q: %v", value, err)
	}
	got := Text(value)
	if got != want && utf8.Valid(value) {
		t.Fatalf("%q is read as %q, want %q", value, got, want)
	}
	var again string
	if err := json.Unmarshal(AppendString(nil, got), &again); err != nil || again != got {
		t.Fatalf("%q is written as %q (%v)", got, AppendString(nil, got), err)
	}
}

func TestMembersStop(t *testing.T) {
	n := 0
	for name := range Members([]byte(`{"a":1,"b":2}`)) {
		if n++; !NameIs(name, "a") {
			t.Errorf("name %s", name)
		}
		break
	}
	if n != 1 {
		t.Errorf("%d members", n)
	}
	if got := Get([]byte(`{"x":{"a":0},"\u0061":[1 ,2]}`), "a"); string(got) != "[1 ,2]" {
		t.Errorf("got %s", got)
	}
}

func BenchmarkObject(b *testing.B) {
	doc := []byte(`{"model":"m","messages":[` + strings.Repeat(`{"role":"user","content":"`+strings.Repeat("some words of a prompt ", 20)+`"},`, 40) + `{}]}`)
	b.Run("check", func(b *testing.B) {
		b.SetBytes(int64(len(doc)))
		b.ReportAllocs()
		for b.Loop() {
			if !Object(doc, func(_, _ []byte) {}) {
				b.Fatal("invalid")
			}
		}
	})
	b.Run("walk", func(b *testing.B) {
		b.SetBytes(int64(len(doc)))
		b.ReportAllocs()
		for b.Loop() {
			for _, value := range Members(doc) {
				for range Elements(value) {
				}
			}
		}
	})
}

func TestCommas(t *testing.T) {
	for doc, want := range map[string]int{
		``: 0, `1`: 0, `",,"`: 0, `[1,2]`: 1, `{"a,\\":[1 , {"b":",\"," },[]],"c":3}`: 3, `[[],{},"",",,,,,,,,,,,,,,,,,,,,",null]`: 4,
	} {
		if got := Commas([]byte(doc)); got != want {
			t.Errorf("%s: %d, want %d", doc, got, want)
		}
	}
}
