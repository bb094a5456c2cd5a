package dialect_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/dialect/chat"
	"github.com/caddy-llm/gateway/llmprovider/dialect/gemini"
	"github.com/caddy-llm/gateway/llmprovider/dialect/messages"
	"github.com/caddy-llm/gateway/llmprovider/dialect/responses"
)

// Clients say how to choose among tools and send none: Codex when it compacts, Gemini's
// SDKs with the mode NONE. Providers refuse that, so no choice is sent.
func TestChoiceWithoutTools(t *testing.T) {
	for from, f := range map[*dialect.API]struct {
		body  string
		modes []string
	}{
		chat.API:      {`{"model":"x",` + hi + `,"tools":[],"tool_choice":%s}`, []string{`"auto"`, `"none"`, `"required"`}},
		responses.API: {`{"model":"x","input":"hi","tools":[],"tool_choice":%s,"parallel_tool_calls":false}`, []string{`"auto"`, `"none"`, `"required"`}},
		messages.API:  {`{"model":"x","max_tokens":9,` + hi + `,"tool_choice":{"type":%s}}`, []string{`"auto"`, `"none"`, `"any"`}},
		gemini.API:    {`{"contents":[{"parts":[{"text":"hi"}]}],"toolConfig":{"functionCallingConfig":{"mode":%s}}}`, []string{`"AUTO"`, `"NONE"`, `"ANY"`}},
	} {
		for _, mode := range f.modes {
			for _, to := range providers {
				r, refused := dialect.Read(from, fmt.Appendf(nil, f.body, mode), dialect.Call{})
				if refused != nil {
					t.Fatal(from.Name, mode, refused)
				}
				out, refused := dialect.Translate(r, to, dialect.Target{Model: "m", Profile: new(dialect.Profile)})
				if refused != nil {
					t.Fatal(from.Name, to.Name, mode, refused)
				}
				if body := string(out.Body); strings.Contains(body, "tool") || strings.Contains(body, "functionCalling") {
					t.Errorf("%s to %s: %s", from.Name, to.Name, body)
				}
			}
		}
	}
	r, refused := dialect.Read(chat.API, []byte(`{"model":"x",`+hi+`,"tool_choice":{"type":"function","function":{"name":"f"}}}`), dialect.Call{})
	if refused == nil {
		_, refused = dialect.Translate(r, chat.API, dialect.Target{Model: "m", Profile: new(dialect.Profile)})
	}
	if refused == nil || refused.Status != 400 || refused.Param != "tool_choice" {
		t.Errorf("the choice of a tool that is not sent: %+v", refused)
	}
}
