package manifests

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// reasonNeverUsed is that of a definition that no rule uses.
const reasonNeverUsed = "NeverUsed"

// isCaddyfile reports whether a path is that of a Caddyfile, by its name as Caddy's own commands
// do.
func isCaddyfile(path string) bool {
	name := filepath.Base(path)
	return strings.HasPrefix(name, "Caddyfile") || strings.HasSuffix(name, ".caddyfile")
}

// definitions are what an llm app defines for rules to use.
type definitions struct {
	Guards map[string]struct {
		Everything bool `json:"everything"`
	} `json:"guards"`
	Prompts   map[string]any `json:"prompts"`
	Providers map[string]struct {
		Guards  []string `json:"guards"`
		Prompts []string `json:"prompts"`
	} `json:"providers"`
	Routes json.RawMessage `json:"routes"`
	Cache  json.RawMessage `json:"cache"`
	Source json.RawMessage `json:"source"`
	Keys   json.RawMessage `json:"keys"`
}

// usedBy are the names of the rules that use a definition, by its kind and name.
type usedBy map[[2]string][]string

func (u usedBy) add(kind, name, rule string) {
	at := [2]string{kind, name}
	if !slices.Contains(u[at], rule) {
		u[at] = append(u[at], rule)
	}
}

// find adds what the rules of llm_route handlers use.
func (u usedBy) find(handlers []map[string]any) {
	for _, h := range handlers {
		rules, _ := h["rules"].([]any)
		if h["handler"] == "llm_keys" {
			u.add("keys", "", "")
		}
		if h["handler"] != "llm_route" {
			continue
		}
		for _, each := range rules {
			rule, _ := each.(map[string]any)
			name, _ := rule["name"].(string)
			if name = "rule " + name; name == "rule " {
				name = "a rule without a name"
			}
			for _, kind := range []string{"guards", "prompts"} {
				list, _ := rule[kind].([]any)
				for _, used := range list {
					u.add(kind, fmt.Sprint(used), name)
				}
			}
			if rule["cache"] != nil {
				u.add("cache", "", name)
			}
		}
	}
}

// findProviders adds what providers use that requests may be sent to: those that a rule names,
// and all of them where requests may be routed otherwise.
func (u usedBy) findProviders(app *definitions, handlers []map[string]any) {
	all, named := app.Source != nil || app.Routes != nil, make(map[string]bool)
	for _, h := range handlers {
		if h["handler"] != "llm_route" {
			continue
		}
		rules, _ := h["rules"].([]any)
		all = all || len(rules) == 0
		for _, each := range rules {
			rule, _ := each.(map[string]any)
			backends, _ := rule["backends"].([]any)
			for _, b := range backends {
				backend, _ := b.(map[string]any)
				name, _ := backend["provider"].(string)
				named[name] = true
			}
		}
	}
	for name, p := range app.Providers {
		prefix := ""
		if !all && !named[name] {
			prefix = unreached
		}
		for _, used := range p.Guards {
			u.add(prefix+"guards", used, "provider "+name)
		}
		for _, used := range p.Prompts {
			u.add(prefix+"prompts", used, "provider "+name)
		}
	}
}

// unreached precedes the kind of what a provider names to which no rule sends requests.
const unreached = "unreached "

// never says why a definition is never used.
func (u usedBy) never(kind, name string) string {
	providers := u[[2]string{unreached + kind, name}]
	if len(providers) == 0 {
		return "no rule names it"
	}
	slices.Sort(providers)
	return "it is named only by " + strings.Join(providers, ", ") + ", to which no rule sends requests"
}

// handlersIn returns the HTTP handlers in a configuration, wherever they are.
func handlersIn(config any) (out []map[string]any) {
	switch v := config.(type) {
	case []any:
		for _, each := range v {
			out = append(out, handlersIn(each)...)
		}
	case map[string]any:
		for _, each := range v {
			out = append(out, handlersIn(each)...)
		}
		if v["handler"] != nil {
			out = append(out, v)
		}
	}
	return out
}

// checkCaddyfile says of each guard and prompt, and of the cache, that a Caddyfile defines, which
// rules use it, and what its limits cannot do. What no rule uses and what a limit cannot do are
// errors, after all is said.
func checkCaddyfile(out io.Writer, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading a Caddyfile: %w", err)
	}
	adapter := caddyconfig.GetAdapter("caddyfile")
	if adapter == nil {
		return errors.New("this build cannot read Caddyfiles; check the file with a build that can")
	}
	data, _, err := adapter.Adapt(text, map[string]any{"filename": path})
	if err != nil {
		return err
	}
	var config struct {
		Apps struct {
			LLM json.RawMessage `json:"llm"`
		} `json:"apps"`
	}
	var all any
	if err := errors.Join(json.Unmarshal(data, &config), json.Unmarshal(data, &all)); err != nil {
		return fmt.Errorf("%s: reading the configuration: %w", path, err)
	}
	if len(config.Apps.LLM) == 0 {
		return nil
	}
	handlers := handlersIn(all)
	return errors.Join(checkUsed(out, path, config.Apps.LLM, handlers), checkLimits(out, path, text, config.Apps.LLM, handlers))
}

// checkUsed says which rules use the definitions of an llm app.
func checkUsed(out io.Writer, path string, llm json.RawMessage, handlers []map[string]any) error {
	app, unused := new(definitions), 0
	if err := json.Unmarshal(llm, app); err != nil {
		return fmt.Errorf("%s: reading the configuration: %w", path, err)
	}
	used := make(usedBy)
	used.find(handlers)
	used.findProviders(app, handlers)
	say := func(what, does string, rules []string, never string) {
		if len(rules) == 0 {
			unused++
			fmt.Fprintf(out, "%s: %s: warning: %s: %s\n", path, what, reasonNeverUsed, never)
			return
		}
		slices.Sort(rules)
		fmt.Fprintf(out, "%s: %s: %s %s\n", path, what, does, strings.Join(rules, ", "))
	}
	var ofKeys []string // may use what no rule names; their files change without the Caddyfile
	if app.Keys != nil || used[[2]string{"keys", ""}] != nil {
		ofKeys = []string{"virtual keys, if their lines name it"}
	}
	for _, name := range slices.Sorted(maps.Keys(app.Guards)) {
		rules := used[[2]string{"guards", name}]
		switch {
		case app.Guards[name].Everything:
			rules = []string{"everything"}
		case rules == nil:
			rules = ofKeys
		}
		say("guard "+name, "looks at requests by", rules, used.never("guards", name)+", so it looks at no requests; write guards "+name+" in a rule or in a provider that a rule names, or everything in the guard")
	}
	for _, name := range slices.Sorted(maps.Keys(app.Prompts)) {
		rules := used[[2]string{"prompts", name}]
		if rules == nil {
			rules = ofKeys
		}
		say("prompt "+name, "is added to requests by", rules, used.never("prompts", name)+", so it is added to no requests; write prompt "+name+" in a rule or in a provider that a rule names")
	}
	if rules := used[[2]string{"cache", ""}]; app.Cache != nil && (len(rules) > 0 || app.Source == nil) { // objects of a source may use it
		say("cache", "keeps responses to requests by", rules, "no rule uses it, so it keeps no responses; write cache in a rule")
	}
	if unused > 0 {
		return fmt.Errorf("%s: definitions that are never used: %d", path, unused)
	}
	return nil
}
