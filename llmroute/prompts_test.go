package llmroute

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-llm/gateway/llmroute/spec"
)

// prompted is the JSON of an app with these prompts.
func prompted(prompts string, named ...string) string {
	return strings.TrimSuffix(providers(named...), "}") + `,"prompts":{` + prompts + `}}`
}

// TestPromptsOnAllAttempts holds that each provider that is asked gets the prompts once, in
// whatever API it is asked, and that guards do not look at them.
func TestPromptsOnAllAttempts(t *testing.T) {
	var mu sync.Mutex
	var got []string
	record := func(next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			mu.Lock()
			got = append(got, string(body))
			mu.Unlock()
			next(w, r)
		}
	}
	failing, working := newUpstream(t, record(fails(500))), newUpstream(t, record(answers("x")))
	a, b := unique("a"), unique("b")
	app := strings.TrimSuffix(prompted(`"house":{"prepend":[{"role":"system","content":"Be zebra."}],"append":[{"role":"user","content":"Last."}]}`, a, failing.provider(""), b, working.provider("")), "}") +
		`,"guards":{"policy":{"deny":[{"regex":"zebra"}]}}}`
	g := newGateway(t, app, fmt.Sprintf(`{"rules":[{"guards":["policy"],"prompts":["house"],"attempts":2,"backends":[{"provider":%q,"model":"fixed"},{"provider":%q,"priority":1}]}]}`, a, b))
	for path, body := range map[string]string{
		"/v1/chat/completions":             `{"model":"m","x":1.50,"messages":[{"role":"user","content":"hi"}]}`,
		"/v1/messages":                     `{"model":"m","max_tokens":9,"system":"Own.","messages":[{"role":"user","content":"hi"}]}`,
		"/v1beta/models/m:generateContent": `{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}`,
	} {
		got = nil
		res, err := http.Post(g.URL+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != 200 || len(got) != 2 {
			t.Fatalf("%s: status %d after %d attempts", path, res.StatusCode, len(got))
		}
		for _, sent := range got {
			system, user, last := strings.Index(sent, "Be zebra."), strings.Index(sent, `"hi`), strings.Index(sent, "Last.")
			if strings.Count(sent, "Be zebra.") != 1 || strings.Count(sent, "Last.") != 1 || system < 0 || system > user || user > last {
				t.Errorf("%s: the provider got %s", path, sent)
			}
			if path == "/v1/messages" && !strings.Contains(sent, `Be zebra.\n\nOwn.`) {
				t.Errorf("the provider got %s", sent)
			}
		}
	}
	if status, text := g.tryPost(`{"messages":7}`); status != 400 || !strings.Contains(text, "messages has to be an array") {
		t.Errorf("status %d: %s", status, text)
	}
}

// TestPromptsByRule holds that prompts are for the rules that name them, and that these
// name those there are.
func TestPromptsByRule(t *testing.T) {
	var body string
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		all, _ := io.ReadAll(r.Body)
		body = string(all)
		answers("x")(w, r)
	})
	p := unique("p")
	const house = `"house":{"prepend":[{"role":"system","content":"House."}]}`
	for rule, added := range map[string]bool{``: false, `"prompts":["house"],`: true} {
		g := newGateway(t, prompted(house, p, u.provider("")), fmt.Sprintf(`{"rules":[{%s"backends":[{"provider":%q}]}]}`, rule, p))
		if status, text := g.tryPost(chat); status != 200 || strings.Contains(body, "House.") != added {
			t.Errorf("%s: status %d %s, sent %s", rule, status, text, body)
		}
	}
	for _, test := range []struct{ prompts, rule, says string }{
		{house, `"prompts":["other"],`, `there is no prompt "other"; define it in the llm app, whose prompts are: house`},
		{`"house":null`, ``, "prompt house: it adds nothing"},
		{`"house":{"append":[{"role":"system","file":"/nonexistent/x"}]}`, ``, "prompt house: append: reading the text"},
	} {
		_, err := tryGateway(t, prompted(test.prompts, p, u.provider("")), fmt.Sprintf(`{"rules":[{%s"backends":[{"provider":%q}]}]}`, test.rule, p))
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %s", test.rule, err, test.says)
		}
	}
}

// TestPromptsOfCopies holds that a route that a source supplies keeps the prompts of its
// rules.
func TestPromptsOfCopies(t *testing.T) {
	route := &spec.Route{Rules: []*spec.Rule{{Prompts: []string{"house"}}}}
	if got := route.Copy().Rules[0].Prompts; len(got) != 1 || got[0] != "house" {
		t.Errorf("the copy has the prompts %q", got)
	}
}
