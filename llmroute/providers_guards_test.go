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
