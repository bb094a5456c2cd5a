package dialect

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

// The events are the same wherever the stream is cut.
func TestEventStream(t *testing.T) {
	const stream = "\ufeff: comment\r\n\r\nevent: a\r\ndata: one\r\ndata:two\r\n\r\ndata: x\n\nid: 7\nretry: 1\n\nevent: b\rdata\rdata:  y\r\rdata: last"
	const want = "a|one\ntwo;|x;b|\n y;|last;"
	for cut := range len(stream) + 1 {
		for _, second := range []int{0, 1, 2, 5} {
			var s EventStream
			var got strings.Builder
			note := func(name, data []byte) error {
				got.WriteString(string(name) + "|" + string(data) + ";")
				return nil
			}
			rest := stream[cut:]
			for _, piece := range []string{stream[:cut], rest[:min(second, len(rest))], rest[min(second, len(rest)):]} {
				if err := s.Read([]byte(piece), note); err != nil {
					t.Fatal(err)
				}
			}
			if left, err := s.Close(note); err != nil || len(left) > 0 {
				t.Fatalf("cut at %d: left %q, %v", cut, left, err)
			}
			if got.String() != want {
				t.Fatalf("cut at %d and %d: got %q, want %q", cut, second, got.String(), want)
			}
		}
	}
}

func TestEventStreamIsBounded(t *testing.T) {
	var s EventStream
	var err error
	for range 2 * MaxEvent / 4096 {
		if err = s.Read([]byte("data: "+strings.Repeat("x", 4089)+"\n"), nil); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrEventTooLong) {
		t.Errorf("error is %v", err)
	}
}

func TestEventStreamTail(t *testing.T) {
	var s EventStream
	none := func(_, _ []byte) error { t.Error("an event"); return nil }
	if err := s.Read([]byte(`{"error":{"message":"x"}}`), none); err != nil {
		t.Fatal(err)
	}
	if rest, err := s.Close(none); err != nil || string(rest) != `{"error":{"message":"x"}}` {
		t.Errorf("rest %q, %v", rest, err)
	}
}

func TestArguments(t *testing.T) {
	for _, tc := range []struct {
		name          string
		in            Arguments
		object, asked string
		exact         bool
	}{
		{"an object", Arguments{Object: JSON(`{"b": 1e3,"a":[1.0]}`)}, `{"b": 1e3,"a":[1.0]}`, `"{\"b\": 1e3,\"a\":[1.0]}"`, true},
		{"a text", Arguments{Text: JSON(`"{\"n\":12345678901234567890}"`)}, `{"n":12345678901234567890}`, `"{\"n\":12345678901234567890}"`, true},
		{"blank", Arguments{Text: JSON(`" \n"`)}, `{}`, `"{}"`, true},
		{"empty", Arguments{Text: JSON(`""`)}, `{}`, `"{}"`, true},
		{"none", Arguments{}, `{}`, `"{}"`, true},
		{"no object", Arguments{Text: JSON(`"[1]"`)}, `{"_raw":"[1]"}`, `"[1]"`, false},
		{"cut off", Arguments{Text: JSON(`"{\"a\":"`)}, `{"_raw":"{\"a\":"}`, `"{\"a\":"`, false},
	} {
		object, exact := tc.in.AppendObject([]byte("x"))
		if string(object) != "x"+tc.object || exact != tc.exact {
			t.Errorf("%s: object %s, exact %v", tc.name, object, exact)
		}
		if got := tc.in.AppendText([]byte("x")); string(got) != "x"+tc.asked {
			t.Errorf("%s: text %s", tc.name, got)
		}
	}
}

func TestCarrier(t *testing.T) {
	own := ReadCarrier(JSON(`"abc=="`), "anthropic")
	if !own.From("anthropic") || own.From("openai") || string(own.Append(nil, "anthropic")) != `"abc=="` {
		t.Errorf("own state is %+v", own)
	}
	carried := own.Append(nil, "openai")
	back := ReadCarrier(carried, "openai")
	if !back.From("anthropic") || back.From("openai") || string(back.Value) != `"abc=="` || string(back.Append(nil, "anthropic")) != `"abc=="` {
		t.Errorf("%s is read as %+v", carried, back)
	}
	if !ReadCarrier(JSON(`""`), "openai").Empty() || !ReadCarrier(nil, "openai").Empty() {
		t.Error("nothing is not empty")
	}
}

// State in a field of bytes is base64, whatever the state is, and comes back the same, also
// from SDKs that write it anew; what only looks like it is the vendor's own.
func TestBinaryCarrier(t *testing.T) {
	for _, value := range []string{`"abc=="`, `"llm.x:y"`, `"a\"\\\u00e9 潮"`, `"` + strings.Repeat("~?>", 100) + `"`} {
		for _, vendor := range []string{"anthropic", "openai", ""} {
			c := Carrier{Vendor: vendor, Value: JSON(value)}
			written := string(c.AppendBinary(nil, "google"))
			data, err := base64.StdEncoding.DecodeString(strings.Trim(written, `"`))
			if err != nil {
				t.Fatalf("%s is written as %s: %v", value, written, err)
			}
			for _, again := range []string{written, `"` + base64.URLEncoding.EncodeToString(data) + `"`, `"` + base64.RawURLEncoding.EncodeToString(data) + `"`, strings.ReplaceAll(written, "/", `\/`)} {
				if back := ReadBinary(JSON(again), "google"); back.Vendor != vendor || string(back.Value) != value {
					t.Errorf("%s of %q is read from %s as %q of %q", value, vendor, again, back.Value, back.Vendor)
				}
			}
		}
	}
	own := Carrier{Vendor: "google", Value: JSON(`"c2ln"`)}
	if got := string(own.AppendBinary(nil, "google")); got != `"c2ln"` || !ReadBinary(JSON(got), "google").From("google") {
		t.Errorf("Google's own state is %s", got)
	}
	for _, inner := range []string{`llm.openai:a","x":"b`, "llm.openai:\xff", "llm.openai:\n", "llm.openai"} {
		value := JSON(`"` + base64.StdEncoding.EncodeToString([]byte(inner)) + `"`)
		if got := ReadBinary(value, "google"); !utf8.Valid(got.Value) || !json.Valid(got.Value) || got.Vendor != "google" {
			t.Errorf("%q is read as %q of %s", inner, got.Value, got.Vendor)
		}
	}
	if got := ReadBinary(JSON(`"bGxtL!"`), "google"); got.Vendor != "google" || string(got.Value) != `"bGxtL!"` {
		t.Errorf("%+v", got)
	}
}

func TestLoss(t *testing.T) {
	api := &API{Name: "chat", Paths: map[Concept]string{CTopK: "top_k", CSeed: "seed", CEffort: "reasoning_effort"}}
	var l Loss
	if l.Any() || l.Strict(api) != nil {
		t.Error("none is some")
	}
	l.Drop(CTopK)
	l.Drop(CSeed)
	l.Drop(Other)
	l.Approximate(CEffort)
	if got := strings.Join(l.Fields(api, Dropped), " ") + "; " + strings.Join(l.Fields(api, Approximated), " "); got != "other seed top_k; reasoning_effort" {
		t.Errorf("fields are %q", got)
	}
	if err := l.Strict(api); err == nil || err.Status != 400 || !strings.Contains(err.Message, "not sent: other, seed, top_k; approximated: reasoning_effort") {
		t.Errorf("error is %v", err)
	}
}
