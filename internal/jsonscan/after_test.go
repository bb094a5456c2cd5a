package jsonscan

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestAfterValue cuts documents at every byte: a value that is whole ends where it does,
// whatever follows, and one that is cut off inside brackets or quotes does not end.
func TestAfterValue(t *testing.T) {
	for _, value := range []string{
		`{}`, `[]`, `""`, `"a\"b\\"`, `{"a":[1,{"b":"]}"}],"c":null}`, "[ [ ] , { } ]", strings.Repeat("[", 600) + strings.Repeat("]", 600),
	} {
		for _, after := range []string{"", ",", "}", " ", "]x"} {
			if got := AfterValue([]byte(value+after), 0); got != len(value) {
				t.Errorf("%s followed by %q ends at %d, want %d", value, after, got, len(value))
			}
		}
		for i := range len(value) {
			if got := AfterValue([]byte(value[:i]), 0); got != -1 {
				t.Errorf("%s cut at %d ends at %d, want -1", value, i, got)
			}
		}
	}
	for _, value := range []string{"{]", "[}", "[1}", `1"`, "tr:"} {
		if got := AfterValue([]byte(value), 0); got != -1 {
			t.Errorf("%s ends at %d, want -1", value, got)
		}
	}
}

// TestEachMember reads objects as encoding/json does, and the members before the place
// where one is cut off.
func TestEachMember(t *testing.T) {
	doc := []byte(` { "a" : 1 , "b\u0063":{"d":[]},"e":"f,}" } `)
	want := map[string]json.RawMessage{}
	if err := json.Unmarshal(doc, &want); err != nil {
		t.Fatal(err)
	}
	got := map[string]json.RawMessage{}
	EachMember(doc, func(name, value []byte) { got[string(name)] = value })
	for name, value := range want {
		if string(got[name]) != string(value) {
			t.Errorf("%s is %s, want %s", name, got[name], value)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d members, want %d", len(got), len(want))
	}
	for i := range doc {
		EachMember(doc[:i], func(name, value []byte) {
			if whole := want[string(name)]; string(whole) != string(value) && string(name) != "a" {
				t.Errorf("cut at %d: %s is %s", i, name, value)
			}
		})
	}
}

func TestRemoval(t *testing.T) {
	for doc, want := range map[string]string{
		`{"x":1}`: `{}`, `{"x":1,"a":2}`: `{"a":2}`, `{"a":2,"x":1}`: `{"a":2}`, `{"a":2 , "x":1 , "b":3}`: `{"a":2 ,  "b":3}`,
		`{"a":2,"x":1 }`: `{"a":2 }`,
	} {
		key := strings.Index(doc, `"x"`)
		from, to := Removal([]byte(doc), key, key+len(`"x":1`))
		if got := doc[:from] + doc[to:]; got != want {
			t.Errorf("%s without x is %s, want %s", doc, got, want)
		}
	}
}
