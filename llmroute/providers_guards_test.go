package llmroute

import (
	"fmt"
	"strings"
	"testing"
)

// TestProvidersNameGuardsAndPrompts holds that the guards and prompts that providers name are
// for all requests that may be sent to them, after those of the rule, and for no others.
func TestProvidersNameGuardsAndPrompts(t *testing.T) {
	u := newUpstream(t, answers("x"))
	with, more, none := unique("with"), unique("more"), unique("none")
	app := strings.TrimSuffix(providers(with, u.provider(`"guards":["pii","policy"],"prompts":["own","house"]`), more, u.provider(`"guards":["lion"]`), none, u.provider("")), "}") +
		`,"guards":{"pii":{"mask":[{"regex":"rhino","as":"horn"}]},"policy":{"deny":[{"regex":"zebra"}]},"lion":{"deny":[{"regex":"lion"}]},"first":{"mask":[{"regex":"zebra","as":"stripes"}]}},` +
		`"prompts":{"house":{"prepend":[{"role":"system","content":"House."}]},"own":{"prepend":[{"role":"system","content":"Own."}]}}}`
	to := func(rule string, names ...string) string {
		var list []string
		for i, name := range names {
			list = append(list, fmt.Sprintf(`{"provider":%q,"priority":%d}`, name, i))
		}
		return fmt.Sprintf(`{"rules":[{%s"backends":[%s]}]}`, rule, strings.Join(list, ","))
	}
	for _, test := range []struct {
		name, handler, text string
		status              int
		says, sent          string
	}{
		{"masked, with prompts", to("", with), "rhino", 200, "", `"content":"Own.\n\nHouse."},{"role":"user","content":"[HORN]"}`},
		{"denied", to("", with), "zebra", 403, "guard policy", ""},
		{"of another backend", to("", none, more), "lion", 403, "guard lion", ""},
		{"another provider", to("", none), "zebra lion", 200, "", `[{"role":"user","content":"zebra lion"}]`},
		{"after the rule's, each once", to(`"guards":["first"],"prompts":["house"],`, with), "zebra rhino", 200, "", `"content":"House.\n\nOwn."},{"role":"user","content":"[STRIPES] [HORN]"}`},
		{"by host", `{}`, "zebra", 403, "guard policy", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			app := app
			if test.handler == `{}` { // whose host is that of one provider
				app = strings.TrimSuffix(providers(with, u.provider(`"guards":["policy"]`)), "}") + `,"guards":{"policy":{"deny":[{"regex":"zebra"}]}}}`
			}
			g := newGateway(t, app, test.handler)
			res, body := g.post(t, message(test.text, false), "Host", "127.0.0.1")
			if res.StatusCode != test.status || !strings.Contains(body, test.says) {
				t.Errorf("%d %s", res.StatusCode, body)
			}
			sent := ""
			if u.count() > 0 {
				sent = (<-u.requests).body
			}
			if !strings.Contains(sent, test.sent) || (sent == "") != (test.sent == "") {
				t.Errorf("the provider got %s", sent)
			}
		})
	}
	for member, says := range map[string]string{
		`"guards":["other"]`:  `provider ` + with + `: there is no guard "other"; define it in the llm app, whose guards are: none`,
		`"prompts":["other"]`: `provider ` + with + `: there is no prompt "other"`,
	} {
		if _, err := tryGateway(t, providers(with, u.provider(member)), to("", with)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", member, err)
		}
	}
}

// TestPromptTemplatesOfSeveralPlaces holds that prompts that different places name for the same
// requests have no two templates of one name, which would replace each other silently.
func TestPromptTemplatesOfSeveralPlaces(t *testing.T) {
	u := newUpstream(t, answers("x"))
	a, b, c := unique("a"), unique("b"), unique("c")
	template := func(name string) string {
		return fmt.Sprintf(`{"templates":{%q:[{"role":"user","content":"x"}]}}`, name)
	}
	app := strings.TrimSuffix(providers(a, u.provider(`"prompts":["one"]`), b, u.provider(`"prompts":["two"]`), c, u.provider(`"prompts":["other"]`)), "}") +
		`,"prompts":{"one":` + template("review") + `,"two":` + template("review") + `,"other":` + template("summary") + `}}`
	for _, test := range []struct {
		prompts   string
		providers []string
		says      string
	}{
		{`["one"]`, []string{a, c}, ""},
		{`["two"]`, []string{a}, "the prompts two of the rule and one of provider " + a + " both have a template review; give one of them another name"},
		{`[]`, []string{a, b}, "the prompts one of provider " + a + " and two of provider " + b + " both have a template review"},
		{`["one","two"]`, []string{c}, "the prompts one and two both have a template review"},
	} {
		var list []string
		for _, name := range test.providers {
			list = append(list, fmt.Sprintf(`{"provider":%q}`, name))
		}
		rule := fmt.Sprintf(`{"prompts":%s,"backends":[%s]}`, test.prompts, strings.Join(list, ","))
		_, err := tryGateway(t, app, `{"rules":[`+rule+`]}`)
		if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%s to %d providers: %v", test.prompts, len(list), err)
		}
		_, err = tryGateway(t, strings.TrimSuffix(app, "}")+`,"routes":{"t":[{"hosts":["*"],"rules":[`+rule+`]}]}}`, `{"table":"t"}`)
		if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%s to %d providers, in a table: %v", test.prompts, len(list), err)
		}
	}
}
