package dialect_test

import (
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/dialect/chat"
	"github.com/caddy-llm/gateway/llmprovider/dialect/gemini"
	"github.com/caddy-llm/gateway/llmprovider/dialect/messages"
	"github.com/caddy-llm/gateway/llmprovider/dialect/responses"
)

// TestReasoningIsShown holds that a client which wants a model to reason, or to see what it
// reasons, is shown the text by an API that hides it unless it is asked for, or is told.
func TestReasoningIsShown(t *testing.T) {
	const (
		shown = `"thinking":{"type":"adaptive","display":"summarized"}`
		said  = `"messages":[{"role":"user","content":"hi"}]}`
		claim = `{"max_tokens":99,` + said
		opus  = "claude-opus-4-8"
	)
	for _, tc := range []struct {
		from     *dialect.API
		in       string
		to       *dialect.API
		host     string
		model    string
		has, not string
		lost     string
	}{
		{responses.API, `{"reasoning":{"effort":"high","summary":"auto"},"input":"hi"}`, messages.API, "api.anthropic.com", opus, shown, "", ""},
		{responses.API, `{"reasoning":{"summary":"auto"},"input":"hi"}`, messages.API, "api.anthropic.com", opus, shown, "", ""},
		{responses.API, `{"reasoning":{"summary":"auto","effort":"none"},"input":"hi"}`, messages.API, "api.anthropic.com", opus, `"thinking":{"type":"disabled"}`, "display", ""},
		{responses.API, `{"reasoning":{"summary":"auto"},"input":"hi","tool_choice":"required","tools":[{"type":"function","name":"f"}]}`,
			messages.API, "api.anthropic.com", opus, `"any"`, "thinking", "-reasoning.summary"},
		{responses.API, `{"reasoning":{"summary":"auto"},"input":"hi"}`, messages.API, "api.anthropic.com", "claude-sonnet-4-5", "", "thinking", "-reasoning.summary"},
		{responses.API, `{"reasoning":{"summary":"auto"},"input":"hi"}`, messages.API, "api.anthropic.com", "claude-3-haiku", "", "thinking", "-reasoning.summary"},
		{responses.API, `{"input":"hi"}`, messages.API, "api.anthropic.com", opus, "", "thinking", ""},
		{chat.API, `{"reasoning_effort":"high",` + said, messages.API, "bedrock-runtime.us-east-1.amazonaws.com", "us.anthropic.claude-sonnet-5", shown, "", ""},
		{chat.API, `{"reasoning_effort":"high",` + said, messages.API, "us-east5-aiplatform.googleapis.com", "claude-opus-4-6", shown, "", ""},
		{chat.API, `{"reasoning_effort":"high",` + said, messages.API, "models.example.com", "glm", `"thinking":{"type":"adaptive"}`, "display", ""},
		{gemini.API, `{"generationConfig":{"thinkingConfig":{"includeThoughts":true}},"contents":[{"role":"user","parts":[{"text":"hi"}]}]}`,
			messages.API, "api.anthropic.com", opus, shown, "", ""},
		{gemini.API, `{"generationConfig":{"thinkingConfig":{"includeThoughts":true}},"contents":[{"role":"user","parts":[{"text":"hi"}]}]}`,
			responses.API, "api.openai.com", "gpt-5", `"reasoning":{"summary":"auto"}`, "", ""},
		{responses.API, `{"reasoning":{"summary":"auto"},"input":"hi"}`, gemini.API, "generativelanguage.googleapis.com", "gemini-3-pro", `"thinkingConfig":{"includeThoughts":true}`, "", ""},
		{messages.API, `{"thinking":{"type":"adaptive","display":"summarized"},` + claim[1:], responses.API, "api.openai.com", "gpt-5", `"reasoning":{"summary":"auto"}`, "", ""},
		{messages.API, `{"thinking":{"type":"adaptive","display":"omitted"},` + claim[1:], responses.API, "api.openai.com", "gpt-5", `"reasoning":{"summary":"auto"}`, "", "~thinking.display"},
		{messages.API, `{"thinking":{"type":"adaptive","display":"summarized"},` + claim[1:], chat.API, "api.deepseek.com", "deepseek-chat", `"thinking":{"type":"enabled"}`, "", ""},
		{messages.API, `{"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"low"},` + claim[1:], chat.API, "api.openai.com", "gpt-5", `"reasoning_effort":"low"`, "", "-thinking.display"},
	} {
		habits, err := dialect.Builtin().Find("", tc.host)
		if err != nil {
			t.Fatal(err)
		}
		r, refused := dialect.Read(tc.from, []byte(tc.in), dialect.Call{})
		if refused != nil {
			t.Fatal(tc.in, refused)
		}
		out, refused := dialect.Translate(r, tc.to, dialect.Target{Model: tc.model, Profile: habits.For(tc.model)})
		if refused != nil {
			t.Fatal(tc.in, refused)
		}
		body := string(out.Body)
		if !strings.Contains(body, tc.has) || tc.not != "" && strings.Contains(body, tc.not) {
			t.Errorf("%s to %s: %s, want %s and no %q", tc.in, tc.model, body, tc.has, tc.not)
		}
		if got := lost(tc.from, &out.Loss); got != tc.lost {
			t.Errorf("%s to %s: lost %q, want %q", tc.in, tc.model, got, tc.lost)
		}
	}
}
