package dialect_test

import (
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/dialect/chat"
	"github.com/caddy-llm/gateway/llmprovider/dialect/messages"
)

// TestWhatMessagesRefuse holds that Anthropic's models are not sent what their API refuses:
// sampling and forced tools beside thinking, stop sequences of nothing but space, and
// instructions anywhere but between the user's turn and the model's.
func TestWhatMessagesRefuse(t *testing.T) {
	const (
		adaptive, newest = "claude-opus-4-6", "claude-opus-4-8" // the newest takes instructions within a conversation
		user             = `{"role":"user","content":"u"}`
		assistant        = `{"role":"assistant","content":"a"}`
		system           = `{"role":"system","content":"s"}`
		tool             = `"tools":[{"type":"function","function":{"name":"f"}}],`
	)
	in := func(settings string, turns ...string) string {
		return `{` + settings + `"messages":[` + strings.Join(turns, ",") + `]}`
	}
	habits, err := dialect.Builtin().Find("", "api.anthropic.com")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		model, in string
		has       string
		lacks     []string
		lost      string
	}{
		{adaptive, in(`"temperature":0.2,"top_p":0.9,`, user), `"temperature":0.2`, []string{"thinking", "top_p"}, "-top_p"},
		{adaptive, in(`"reasoning_effort":"high","temperature":0.2,`, user), `"thinking":{"type":"adaptive","display":"summarized"}`, []string{"temperature"}, "-temperature"},
		{adaptive, in(`"reasoning_effort":"none","temperature":0.2,`, user), `"temperature":0.2`, []string{"adaptive"}, ""},
		{adaptive, in(`"reasoning_effort":"high",`+tool+`"tool_choice":"required",`, user), `"tool_choice":{"type":"any"}`, []string{"adaptive"}, "~reasoning_effort"},
		{adaptive, in(`"reasoning_effort":"high",`+tool+`"tool_choice":"auto",`, user), `"thinking":{"type":"adaptive","display":"summarized"}`, nil, ""},
		{adaptive, in(`"stop":["\n","END"," \t"],`, user), `"stop_sequences":["END"]`, nil, "-stop"},
		{adaptive, in(`"stop":"\n\n",`, user), `"messages"`, []string{"stop_sequences"}, "-stop"},
		{newest, in("", user, system), `{"role":"user","content":"u"},{"role":"system","content":"s"}]`, nil, ""},
		{newest, in("", user, system, assistant, user), `"u"},{"role":"system","content":"s"},{"role":"assistant"`, nil, ""},
		{newest, in("", user, assistant, system, user), `{"role":"assistant","content":"a"},{"role":"user","content":`, []string{`"role":"system"`}, "~messages[].role"},
		{newest, in("", user, system, system, assistant, user), `{"role":"system","content":`, []string{`"system","content":"s"},{"role":"system"`}, "~messages[].role"},
	} {
		r, err := dialect.Read(chat.API, []byte(tc.in), dialect.Call{})
		if err != nil {
			t.Fatal(err)
		}
		out, err := dialect.Translate(r, messages.API, dialect.Target{Model: tc.model, Profile: habits.For(tc.model), Vendor: messages.Vendor})
		if err != nil {
			t.Errorf("%s: %v", tc.in, err)
			continue
		}
		body := string(out.Body)
		if !strings.Contains(body, tc.has) {
			t.Errorf("%s: no %s in %s", tc.in, tc.has, body)
		}
		for _, text := range tc.lacks {
			if strings.Contains(body, text) {
				t.Errorf("%s: %s in %s", tc.in, text, body)
			}
		}
		if got := lost(chat.API, &out.Loss); got != tc.lost {
			t.Errorf("%s: lost %q, want %q", tc.in, got, tc.lost)
		}
	}
}
