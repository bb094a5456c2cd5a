package dialect_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/dialect/chat"
	"github.com/caddy-llm/gateway/llmprovider/dialect/converse"
	"github.com/caddy-llm/gateway/llmprovider/dialect/gemini"
	"github.com/caddy-llm/gateway/llmprovider/dialect/messages"
	"github.com/caddy-llm/gateway/llmprovider/dialect/responses"
)

func TestIsBlank(t *testing.T) {
	for text, want := range map[string]bool{
		`""`: true, `" "`: true, "\" \u00a0\"": true, `"\n\n"`: true, `" \u0020\t "`: true, `"a"`: false, `" \n a"`: false, `"\\n"`: false, `"\u00e9"`: false, `"\""`: false, "": true,
	} {
		if got := dialect.IsBlank([]byte(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// blankTurns are conversations with blank texts wherever there may be one: the system
// prompt, parts and messages of the user, the model's text beside calls, results.
var blankTurns = map[*dialect.API]string{
	chat.API: `{"model":"x","messages":[{"role":"system","content":" "},{"role":"user","content":[{"type":"text","text":" \n"},{"type":"text","text":"hi"}]},` +
		`{"role":"assistant","content":"\n\n","refusal":" ","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"c2","type":"function","function":{"name":"f","arguments":"{}"}}]},` +
		`{"role":"tool","tool_call_id":"c1","content":"\n"},{"role":"tool","tool_call_id":"c2","content":""},{"role":"assistant","content":"\t"},{"role":"user","content":"go"}]}`,
	responses.API: `{"model":"x","instructions":" ","input":[{"role":"user","content":[{"type":"input_text","text":" \n"},{"type":"input_text","text":"hi"}]},{"type":"message","role":"assistant","content":[{"type":"output_text","text":"\n\n"}]},` +
		`{"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},{"type":"function_call","call_id":"c2","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c1","output":"\n"},{"type":"function_call_output","call_id":"c2","output":""},` +
		`{"role":"user","content":"go"}]}`,
	messages.API: `{"model":"x","max_tokens":9,"system":[{"type":"text","text":" "},{"type":"text","text":"\n"}],"messages":[{"role":"user","content":[{"type":"text","text":" \n"},{"type":"text","text":"hi"}]},` +
		`{"role":"assistant","content":[{"type":"text","text":"\n\n"},{"type":"tool_use","id":"c1","name":"f","input":{}},{"type":"tool_use","id":"c2","name":"f","input":{}}]},` +
		`{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":"\n"},{"type":"tool_result","tool_use_id":"c2","content":[{"type":"text","text":" "},{"type":"text","text":""}]},{"type":"text","text":"go"}]}]}`,
	gemini.API: `{"systemInstruction":{"parts":[{"text":" "}]},"contents":[{"parts":[{"text":" \n"},{"text":"hi"}]},{"role":"model","parts":[{"text":"\n\n"},{"functionCall":{"id":"c1","name":"f"}},{"functionCall":{"id":"c2","name":"f"}}]},` +
		`{"parts":[{"functionResponse":{"id":"c1","name":"f","response":{"output":"\n"}}},{"functionResponse":{"id":"c2","name":"f","response":{"output":""}}}]},{"parts":[{"text":"go"}]}]}`,
}

var blankText = regexp.MustCompile(`"(text|content|system)":"(\s|\\[nrt])*"|\[\]`)

// Anthropic's and AWS's APIs refuse texts with nothing but space: they are not sent, and a
// result that has no other content says so where the API wants one.
func TestBlankTexts(t *testing.T) {
	for from, in := range blankTurns {
		for _, to := range toClaude {
			r, refused := dialect.Read(from, []byte(in), dialect.Call{Model: "x"})
			if refused != nil {
				t.Fatal(from.Name, refused)
			}
			out, refused := dialect.Translate(r, to, dialect.Target{Model: "m", Profile: new(dialect.Profile)})
			if refused != nil {
				t.Fatal(from.Name, to.Name, refused)
			}
			body := string(out.Body)
			if text := blankText.FindString(body); text != "" || strings.Contains(body, `"system"`) {
				t.Errorf("%s to %s: %s in %s", from.Name, to.Name, text, body)
			}
			for _, text := range []string{`"hi"`, `"c1"`, `"c2"`, `"go"`} {
				if !strings.Contains(body, text) {
					t.Errorf("%s to %s: no %s in %s", from.Name, to.Name, text, body)
				}
			}
			if n := strings.Count(body, `"content":[{"text":"(no output)"}]`); to == converse.API && n != 2 {
				t.Errorf("%s to %s: %d results say that they have no output: %s", from.Name, to.Name, n, body)
			}
		}
	}
}

// A turn of reasoning alone, as a client has after an interruption, is no message without
// content at a provider of the Chat API: it is left out, or has reasoning beside an empty
// text where the vendor takes it back.
func TestTurnsOfReasoningAlone(t *testing.T) {
	for from, in := range map[*dialect.API]string{
		chat.API:      `{"model":"x","messages":[{"role":"user","content":"hi"},{"role":"assistant","content":null,"reasoning_content":"why"},{"role":"user","content":"go"}]}`,
		responses.API: `{"model":"x","input":[{"role":"user","content":"hi"},{"type":"reasoning","summary":[{"type":"summary_text","text":"why"}],"encrypted_content":"e"},{"role":"user","content":"go"}]}`,
		messages.API:  `{"model":"x","max_tokens":9,"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"thinking","thinking":"why","signature":""}]},{"role":"user","content":"go"}]}`,
		gemini.API:    `{"contents":[{"parts":[{"text":"hi"}]},{"role":"model","parts":[{"text":"why","thought":true}]},{"parts":[{"text":"go"}]}]}`,
	} {
		for _, tc := range []struct {
			profile dialect.Profile
			want    string
		}{
			{dialect.Profile{}, `"messages":[{"role":"user","content":"hi"},{"role":"user","content":"go"}]`},
			{dialect.Profile{ReasoningName: "reasoning_content", ReplayReasoning: true}, `"messages":[{"role":"user","content":"hi"},{"role":"assistant","reasoning_content":"why","content":""},{"role":"user","content":"go"}]`},
		} {
			r, refused := dialect.Read(from, []byte(in), dialect.Call{Model: "x"})
			if refused != nil {
				t.Fatal(from.Name, refused)
			}
			out, refused := dialect.Translate(r, chat.API, dialect.Target{Model: "m", Profile: &tc.profile})
			if refused != nil {
				t.Fatal(from.Name, refused)
			}
			if !strings.Contains(string(out.Body), tc.want) {
				t.Errorf("%s: no %s in %s", from.Name, tc.want, out.Body)
			}
		}
	}
}
