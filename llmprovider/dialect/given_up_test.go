package dialect_test

import (
	"testing"

	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/dialect/chat"
	"github.com/caddy-llm/gateway/llmprovider/dialect/gemini"
	"github.com/caddy-llm/gateway/llmprovider/dialect/messages"
)

// TestGivenUp holds that a translation that loses as much as another one is given up, and
// in chat completions before what is refused comes: a turn of the model's at the end.
func TestGivenUp(t *testing.T) {
	const end, prefilled = `"messages":[{"role":"user","content":"x"}]}`, `"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y"}]}`
	one, both := new(dialect.Loss), new(dialect.Loss)
	one.Drop(dialect.CTopK)
	both.Drop(dialect.CTopK)
	both.Drop(dialect.CCache)
	for _, test := range []struct {
		in   string
		to   *dialect.API
		than *dialect.Loss
		want string
	}{
		{`{` + end, chat.API, one, "written"},
		{`{"top_k":5,` + end, chat.API, nil, "written"},
		{`{"top_k":5,` + end, chat.API, both, "written"},
		{`{"top_k":5,` + end, chat.API, one, "given up"},
		{`{"top_k":5,` + prefilled, chat.API, one, "given up"},
		{`{"top_k":5,` + prefilled, chat.API, both, "refused"},
		{`{"cache_control":{"type":"ephemeral"},` + prefilled, chat.API, one, "given up"},
		{`{"tools":[{"name":"f","input_schema":{},"cache_control":{"type":"ephemeral"}}],` + prefilled, chat.API, one, "given up"},
		{`{"system":[{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}],` + prefilled, chat.API, one, "given up"},
		{`{"cache_control":{"type":"ephemeral"},` + end, gemini.API, one, "given up"}, // at its end
	} {
		r, err := dialect.Read(messages.API, []byte(test.in), dialect.Call{})
		if err != nil {
			t.Fatal(err)
		}
		out, err := dialect.Translate(r, test.to, dialect.Target{Model: "m", Profile: &dialect.Profile{NoPrefill: true}, Than: test.than})
		got := "written"
		switch {
		case err != nil:
			got = "refused"
		case out == nil:
			got = "given up"
		}
		if got != test.want {
			t.Errorf("%s to %s: %s, want %s", test.in, test.to.Name, got, test.want)
		}
	}
}
