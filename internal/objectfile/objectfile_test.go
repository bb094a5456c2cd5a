package objectfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestLines(t *testing.T) {
	for text, want := range map[string]int{"": 0, "a": 0, "a\n": 1, "a\r\nb": 1, "a\rb\r": 2, "\n\r": 2, "a\u2028b\u2029c\u0085": 3, "ä\n€\n": 2} {
		if got := Lines([]byte(text)); got != want {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
		whole := ""
		for pos := 0; pos < len(text); {
			next := Next([]byte(text), pos)
			whole += text[pos:next]
			pos = next
		}
		if whole != text {
			t.Errorf("%q: the lines are %q", text, whole)
		}
	}
	for line, want := range map[string]bool{"---": true, "--- x": true, "---\r\n": true, "---\r": true, "---\u2028": true, "\xef\xbb\xbf---\n": true, "----": false, "---x": false, " ---": false, "": false} {
		if got := IsMarker([]byte(line), "---"); got != want {
			t.Errorf("%q: got %v", line, got)
		}
	}
	for text, want := range map[string]int{"---\na": 3, "# c\n%YAML 1.1\n--- a": 17, "a\n---": 0, "": 0, "# c\n": 0, "\xef\xbb\xbf---": 6} {
		if got := AfterMarker([]byte(text)); got != want {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
	}
}

func TestToJSONErrors(t *testing.T) {
	for text, want := range map[string]Error{
		"a: 1\n]\n":             {2, "did not find expected key"},
		"a:\n\tb: 1\n":          {2, "found character that cannot start any token"},
		"{a: 1}\n\n{b: 2}":      {3, More},
		"a: 1\r---\rb: 2":       {2, More},
		"- a\n--- \n- b\n":      {2, More},
		"a: 1\n%YAML 1.1\nb: 2": {2, More},
	} {
		_, _, err := ToJSON([]byte(text))
		var e *Error
		if !errors.As(err, &e) || e.Text != want.Text && !strings.Contains(e.Text, want.Text) {
			t.Errorf("%q: got %v, want %v", text, err, want.Error())
		} else if e.Line < 1 || e.Line > 1+Lines([]byte(text)) {
			t.Errorf("%q: line %d is none of it", text, e.Line)
		}
	}
}

// FuzzToJSON holds for any text that what is made of it is JSON, and that an error names
// a line of it.
func FuzzToJSON(f *testing.F) {
	for _, text := range []string{"a: 1\n", `{"a":1}`, `{"a":1}{"b":2}`, "a: &x {b: 1}\nc: {<<: *x, b: 2}\n", "a: 1\na: 2\n", "--- {\"a\": {\"a\": [], \"a\": 1}}\n", "a: 1\r---\rb: 2"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		data, twice, err := ToJSON(text)
		last := 1 + Lines(text)
		var e *Error
		switch {
		case err != nil && (!errors.As(err, &e) || e.Line < 1 || e.Line > last):
			t.Errorf("%v, of %d lines", err, last)
		case err == nil && !json.Valid(data):
			t.Errorf("got %q", data)
		case twice != nil && (twice.Line < 1 || twice.Line > last):
			t.Errorf("%+v, of %d lines", twice, last)
		}
		if ends, rest := Objects(text); rest < 0 && len(ends) > 1 && err == nil {
			t.Errorf("%d objects are taken for one: %s", len(ends), bytes.TrimSpace(data))
		}
	})
}
