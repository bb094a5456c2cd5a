package guard

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/internal/jsonscan"
)

// TestMaskingTakesOnePass has many matches in one string, and holds that the work grows
// with the length of the body, not with the number of matches as well.
func TestMaskingTakesOnePass(t *testing.T) {
	const n = 20_000
	emails := strings.Repeat("a@b.cc ", n)
	escaped := strings.Repeat(`a\u0040b.cc\n`, n)
	for name, body := range map[string]string{
		"text":                      `{"messages":[{"role":"user","content":"` + emails + `"}]}`,
		"text with escapes":         `{"messages":[{"role":"user","content":"` + escaped + `"}]}`,
		"parts":                     `{"messages":[{"role":"user","content":[{"type":"text","text":"` + emails + `"},{"type":"text","text":"` + emails + `"}]}]}`,
		"many parts":                `{"messages":[{"role":"user","content":[` + strings.Repeat(`{"type":"text","text":"a@b.cc"},`, n) + `{"type":"text","text":""}]}]}`,
		"JSON in a string":          `{"messages":[{"role":"tool","content":"{\"a\":\"` + emails + `\"}"}]}`,
		"many strings of such JSON": `{"messages":[{"role":"tool","content":"[` + strings.Repeat(`\"a@b.cc\",`, n) + `0]"}]}`,
		"many numbers of such JSON": `{"messages":[{"role":"tool","content":"[` + strings.Repeat(`4111111111111111,`, n) + `0]"}]}`,
		"JSON that is cut off":      `{"messages":[{"role":"assistant","tool_calls":[{"function":{"arguments":"{\"a\":\"\\u0020` + emails + `"}}]}]}`,
	} {
		g, err := newGuard("g", &Definition{Mask: []Pattern{{Builtin: "email"}, {Builtin: "card"}, {Regex: "a@b", As: "x"}}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		in := inbound(t, chatPath, body)
		var text text
		text.read(in, roleAny)
		cuts, _ := g.masks(&text, in.Body(), nil)
		if len(cuts) < n {
			t.Errorf("%s: %d cuts", name, len(cuts))
		}
		// Each of the three detectors looks at each text twice at most, and at JSON in a
		// string at two levels in two readings.
		if most := 3 * 2 * 4 * len(body); text.locator.outer.walked+text.locator.inner.walked > most {
			t.Errorf("%s: %d and %d steps for %d bytes", name, text.locator.outer.walked, text.locator.inner.walked, len(body))
		}
		if text.locator.decodes > 3*4 {
			t.Errorf("%s: the string is decoded %d times", name, text.locator.decodes)
		}
	}
}

// TestLocatorFindsPartsInAnyOrder compares with a cursor that begins anew for each part.
func TestLocatorFindsPartsInAnyOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"a", "é", "\U0001f600", `\n`, `\"`, `\u00e9`, `\ud83d\ude00`, `\ud83d`, `\u0041`, `\\\\`}
	for range 2000 {
		var inner []byte
		for range 1 + rng.IntN(12) {
			inner = append(inner, pieces[rng.IntN(len(pieces))]...)
		}
		length := len(jsonscan.AppendUnescaped(nil, inner))
		kept := cursor{text: inner}
		for range 6 {
			start := rng.IntN(length)
			end := start + 1 + rng.IntN(length-start)
			fresh := cursor{text: inner}
			wantFrom, wantTo := fresh.find(start, end)
			if from, to := kept.find(start, end); from != wantFrom || to != wantTo {
				t.Fatalf("%q from %d to %d: got %d, %d, want %d, %d", inner, start, end, from, to, wantFrom, wantTo)
			}
		}
	}
}
