package manifests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// adapted is an adapter whose text is the configuration.
type adapted struct{}

func (adapted) Adapt(body []byte, _ map[string]any) ([]byte, []caddyconfig.Warning, error) {
	return body, nil, nil
}

// TestCheckCaddyfile holds what is said of definitions that rules use, wherever their handler
// stands, and of those that none does.
func TestCheckCaddyfile(t *testing.T) {
	if caddyconfig.GetAdapter("caddyfile") == nil {
		caddyconfig.RegisterAdapter("caddyfile", adapted{})
	}
	if _, own := caddyconfig.GetAdapter("caddyfile").(adapted); !own {
		t.Skip("the real adapter is here, which the test of the built command uses")
	}
	route := func(rule string) string { return `{"handler":"llm_route","rules":[` + rule + `]}` }
	for _, test := range []struct {
		name, llm, handler, says, fails string
	}{
		{"nothing defined", `{}`, route(`{}`), "", ""},
		{"used", `{"guards":{"a":{}},"prompts":{"p":{}},"cache":{}}`, route(`{"name":"one","guards":["a"],"prompts":["p"],"cache":{}},{"guards":["a"]}`),
			"F: guard a: looks at requests by a rule without a name, rule one\nF: prompt p: is added to requests by rule one\nF: cache: keeps responses to requests by rule one\n", ""},
		{"in a subroute", `{"guards":{"a":{}}}`, `{"handler":"subroute","routes":[{"handle":[` + route(`{"name":"one","guards":["a"]}`) + `]}]}`, "F: guard a: looks at requests by rule one\n", ""},
		{"everything", `{"guards":{"a":{"everything":true}}}`, route(`{}`), "F: guard a: looks at requests by everything\n", ""},
		{"never used", `{"guards":{"a":{},"b":{}},"prompts":{"p":{}},"cache":{}}`, route(`{"name":"one","guards":["b"]}`),
			"F: guard a: warning: NeverUsed: no rule names it, so it looks at no requests; write guards a in a rule or in a provider that a rule names, or everything in the guard\nF: guard b: looks at requests by rule one\n" +
				"F: prompt p: warning: NeverUsed: no rule names it, so it is added to no requests; write prompt p in a rule or in a provider that a rule names\nF: cache: warning: NeverUsed: no rule uses it, so it keeps no responses; write cache in a rule\n",
			"F: definitions that are never used: 3"},
		{"perhaps of keys", `{"guards":{"a":{}},"prompts":{"p":{}}}`, `{"handler":"llm_keys","file":"keys"}`,
			"F: guard a: looks at requests by virtual keys, if their lines name it\nF: prompt p: is added to requests by virtual keys, if their lines name it\n", ""},
		{"of a provider", `{"guards":{"a":{},"b":{}},"prompts":{"p":{}},"providers":{"one":{"guards":["a"],"prompts":["p"]},"two":{"guards":["b"]}}}`, route(`{"backends":[{"provider":"one"}]}`),
			"F: guard a: looks at requests by provider one\nF: guard b: warning: NeverUsed: it is named only by provider two, to which no rule sends requests, so it looks at no requests; write guards b in a rule or in a provider that a rule names, or everything in the guard\n" +
				"F: prompt p: is added to requests by provider one\n", "F: definitions that are never used: 1"},
		{"of a provider, by host", `{"guards":{"a":{}},"providers":{"one":{"guards":["a"]}}}`, `{"handler":"llm_route"}`, "F: guard a: looks at requests by provider one\n", ""},
		{"of another handler", `{"guards":{"a":{}}}`, `{"handler":"other","rules":[{"guards":["a"]}]}`, "F: guard a: warning: NeverUsed: no rule names it, so it looks at no requests; write guards a in a rule or in a provider that a rule names, or everything in the guard\n", "F: definitions that are never used: 1"},
		{"a source may use the cache", `{"cache":{},"source":{"source":"files"}}`, route(`{}`), "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "Caddyfile")
			config := `{"apps":{"llm":` + test.llm + `,"http":{"servers":{"s":{"routes":[{"handle":[` + test.handler + `]}]}}}}}`
			if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			cmd := newCheckCommand()
			cmd.SetOut(&out)
			cmd.SetErr(new(strings.Builder))
			cmd.SetArgs([]string{path})
			err := cmd.Execute()
			got := ""
			if err != nil {
				got = strings.ReplaceAll(err.Error(), path, "F")
			}
			if said := strings.ReplaceAll(out.String(), path, "F"); said != test.says || got != test.fails {
				t.Errorf("it says\n%s%s", said, got)
			}
		})
	}
}
