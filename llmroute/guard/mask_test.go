package guard

import (
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmroute/filter"
)

// BenchmarkRequest is ten patterns over 20 KB of conversation.
func BenchmarkRequest(b *testing.B) {
	words := strings.Repeat(`The quick brown fox jumps over the lazy dog, 12 times in 2024.\n`, 4)
	body := `{"model":"m","messages":[{"role":"system","content":"` + words + `"}` + strings.Repeat(`,{"role":"user","content":"`+words+`"},{"role":"assistant","content":"`+words+`"}`, 37) + `]}`
	d := &Definition{Mask: []Pattern{{Builtin: "email"}, {Builtin: "phone"}, {Builtin: "card"}, {Builtin: "iban"}, {Builtin: "ssn"}, {Regex: "sk-[A-Za-z0-9]{20,}", As: "key"}}, Deny: []Pattern{
		{Regex: `(?i)internal codename`}, {Regex: `(?i)project\s+(zebra|lion)`}, {Regex: `AKIA[0-9A-Z]{16}`}, {Regex: `-----BEGIN [A-Z ]*PRIVATE KEY-----`},
	}}
	f, err := New(map[string]*Definition{"g": d}, zap.NewNop(), func(string, string, Action, string) {}, nil)
	if err != nil {
		b.Fatal(err)
	}
	call := &filter.Call{Inbound: inbound(b, chatPath, body), Guards: []string{"g"}}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, refused := f.Begin(b.Context(), call); refused != nil {
			b.Fatal(refused)
		}
	}
}

// FuzzMask holds that masking leaves one JSON object without what was to be masked,
// and never panics.
func FuzzMask(f *testing.F) {
	for path, list := range places {
		for _, place := range list {
			f.Add(path, in(place, "zebra", func(i int) bool { return i%2 == 1 }))
		}
	}
	f.Add(chatPath, `{"messages":[{"role":"tool","content":"{\"n\":4111111111111111}"}],"n":4111111111111111}`)
	d := &Definition{Mask: []Pattern{{Regex: "zebra", As: "w"}, {Builtin: "card"}, {Builtin: "email"}}, Unreadable: UnreadableOpen}
	f.Fuzz(func(t *testing.T, path, body string) {
		if places[path] == nil || !strings.HasPrefix(body, "{") {
			return
		}
		in, ok := tryInbound(path, body)
		if !ok {
			return
		}
		defer in.Release()
		filtering, _ := New(map[string]*Definition{"g": d}, zap.NewNop(), func(string, string, Action, string) {}, nil)
		if _, refused := filtering.Begin(t.Context(), &filter.Call{Inbound: in, Guards: []string{"g"}}); refused != nil {
			t.Fatalf("%s: %v", body, refused)
		}
		tx := new(text)
		tx.read(in, roleAny)
		if g, _ := newGuard("g", d, nil); g != nil {
			if cuts, _ := g.masks(tx, in.Body(), nil); cuts != nil {
				t.Fatalf("%s is masked to %s, which is not all", body, in.Body())
			}
		}
	})
}
