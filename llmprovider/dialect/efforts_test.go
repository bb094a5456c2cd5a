package dialect_test

import (
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/dialect/chat"
	"github.com/caddy-llm/gateway/llmprovider/dialect/responses"
)

// TestEffortsOfOpenAI holds that OpenAI's models are asked in the words of effort that they
// know, whatever the client says, and that another word is reported.
func TestEffortsOfOpenAI(t *testing.T) {
	habits, err := dialect.Builtin().Find("", "api.openai.com")
	if err != nil {
		t.Fatal(err)
	}
	asked := strings.Fields("none minimal low medium high xhigh max")
	for models, want := range map[string]string{
		"gpt-5 gpt-5-mini gpt-5-2025-08-07": "minimal minimal low medium high high high",
		"gpt-5-pro":                         "high high high high high high high",
		"gpt-5-codex gpt-5.1-codex gpt-5.1-codex-mini o3 o4-mini o1":  "low low low medium high high high",
		"gpt-5.1 gpt-5.1-2025-11-13":                                  "none low low medium high high high",
		"gpt-5.1-codex-max gpt-5.2-codex gpt-5.3-codex":               "low low low medium high xhigh xhigh",
		"gpt-5.2 gpt-5.4 gpt-5.4-mini gpt-5.5":                        "none low low medium high xhigh xhigh",
		"gpt-5.2-pro gpt-5.4-pro":                                     "medium medium medium medium high xhigh xhigh",
		"gpt-5.6 gpt-5.6-terra":                                       "none low low medium high xhigh max",
		"gpt-4.1 gpt-4o gpt-5-chat-latest gpt-5.1-chat-latest gpt-4":  "- - - - - - -",
		"a-deployment-of-azure-and-whatever-comes-after-these-models": "none minimal low medium high xhigh max",
	} {
		for _, model := range strings.Fields(models) {
			for i, word := range strings.Fields(want) {
				for api, from := range map[*dialect.API]*dialect.API{chat.API: responses.API, responses.API: chat.API} {
					in := `{"model":"m","reasoning":{"effort":"` + asked[i] + `"},"input":"hi"}`
					field := `"reasoning_effort":"`
					if api == responses.API {
						in = `{"model":"m","reasoning_effort":"` + asked[i] + `","messages":[{"role":"user","content":"hi"}]}`
						field = `"effort":"`
					}
					r, refused := dialect.Read(from, []byte(in), dialect.Call{})
					if refused != nil {
						t.Fatal(refused)
					}
					out, refused := dialect.Translate(r, api, dialect.Target{Model: model, Profile: habits.For(model)})
					if refused != nil {
						t.Fatal(refused)
					}
					got := "-"
					if _, rest, ok := strings.Cut(string(out.Body), field); ok {
						got, _, _ = strings.Cut(rest, `"`)
					}
					if got != word {
						t.Errorf("%s in %s: %s is sent as %s, want %s", model, api.Name, asked[i], got, word)
					}
					if exact := got == asked[i] || got == "-" && asked[i] == "none"; exact == out.Loss.Any() {
						t.Errorf("%s in %s: %s is sent as %s and lost is %q", model, api.Name, asked[i], got, lost(from, &out.Loss))
					}
				}
			}
		}
	}
}
