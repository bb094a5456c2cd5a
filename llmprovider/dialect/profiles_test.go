package dialect

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// The built-in table is complete: every entry says since when and from where.
func TestBuiltinProfiles(t *testing.T) {
	var file profilesFile[Profile]
	if err := yaml.Unmarshal(builtinProfiles, &file); err != nil {
		t.Fatal(err)
	}
	checked := func(name, date string, sources []string) {
		if at, err := time.Parse(time.DateOnly, date); err != nil || at.Year() < 2026 {
			t.Errorf("%s was checked at %q", name, date)
		}
		if len(sources) == 0 || !strings.HasPrefix(sources[0], "https://") {
			t.Errorf("%s has no source", name)
		}
	}
	for _, v := range file.Vendors {
		checked(v.Name, v.Checked, v.Sources)
	}
	for _, m := range file.Models {
		if len(m.Match) == 0 {
			t.Fatal("an entry matches nothing")
		}
		checked(m.Match[0], m.Checked, m.Sources)
		for _, pattern := range m.Match {
			if pattern != strings.ToLower(pattern) {
				t.Errorf("%s has capitals", pattern)
			}
		}
	}
}

func TestProfiles(t *testing.T) {
	for _, tc := range []struct {
		name, host, model string
		vendor            string
		holds             func(*Profile) bool
	}{
		{"", "api.openai.com", "gpt-5.4-mini", "openai", func(p *Profile) bool { return p.NoEffortWithTools && p.MaxTokensName == "" && p.Vendor == "openai" }},
		{"", "api.openai.com", "gpt-5.6-terra", "openai", func(p *Profile) bool { return p.NoneWithTools && !p.NoEffortWithTools }},
		{"", "api.anthropic.com", "claude-fable-5", "anthropic", func(p *Profile) bool { return p.AlwaysThinks && p.NoPrefill && !p.NoForcedTools }},
		{"", "api.anthropic.com", "claude-fable-5-20260601", "anthropic", func(p *Profile) bool { return p.AlwaysThinks && !p.NoForcedTools }},
		{"", "api.anthropic.com", "claude-fable-5-2", "anthropic", func(p *Profile) bool { return p.AlwaysThinks && p.NoForcedTools }},
		{"", "api.anthropic.com", "claude-opus-5-5", "anthropic", func(p *Profile) bool { return p.AlwaysThinks && p.NoForcedTools && !p.NoURLs }},
		{"", "api.anthropic.com", "claude-opus-5", "anthropic", func(p *Profile) bool { return !p.AlwaysThinks && !p.NoForcedTools && p.NoSampling }},
		{"", "api.anthropic.com", "claude-haiku-5-5", "anthropic", func(p *Profile) bool { return p.NoSampling && p.NoPrefill }},
		{"", "bedrock-mantle.us-west-2.api.aws", "anthropic.claude-opus-5-5", "mantle", func(p *Profile) bool { return p.NoURLs && p.AlwaysThinks }},
		{"", "bedrock-runtime.us-east-1.amazonaws.com", "us.amazon.nova-pro-v1:0", "bedrock", func(p *Profile) bool { return p.CacheControl && p.NoToolCache }},
		{"", "API.DeepSeek.com", "deepseek-chat", "deepseek", func(p *Profile) bool { return p.ReplayReasoning && p.Efforts[EffortMedium] == EffortHigh }},
		{"", "bedrock-runtime.eu-central-1.amazonaws.com", "eu.anthropic.claude-sonnet-5-v1:0", "bedrock", func(p *Profile) bool { return p.Vendor == "anthropic" && p.NoSampling && p.CacheControl }},
		{"", "europe-west4-aiplatform.googleapis.com", "claude-opus-4-1@20250805", "vertex", func(p *Profile) bool { return p.Reasoning == "budget" && !p.NoSchema && p.FlatCount }},
		{"", "aiplatform.eu.rep.googleapis.com", "gemini-2.5-flash", "vertex", func(p *Profile) bool { return p.Reasoning == "budget" && !p.AlwaysThinks }},
		{"", "vllm.internal", "anything/else", "compatible", func(p *Profile) bool { return p.MaxTokensName == "max_tokens" && p.Vendor == "" }},
		{"openrouter", "proxy.internal", "anthropic/claude-3-opus", "openrouter", func(p *Profile) bool { return p.Reasoning == "none" && p.ReasoningName == "reasoning" }},
		{"none", "api.deepseek.com", "claude-3", "none", func(p *Profile) bool { return p.MaxTokensName == "" && p.Reasoning == "" }},
	} {
		h, err := Builtin().Find(tc.name, tc.host)
		if err != nil || h.Name != tc.vendor || !tc.holds(h.For(tc.model)) {
			t.Errorf("%s%s %s: %v, %+v", tc.name, tc.host, tc.model, err, h)
		}
	}
	if _, err := Builtin().Find("nobody", "x"); err == nil || !strings.Contains(err.Error(), "none or one of openai, azure") {
		t.Errorf("error is %v", err)
	}
}

func TestParseProfiles(t *testing.T) {
	for in, want := range map[string]string{
		"":                                     "t.yaml:1: the file is empty",
		"# nothing":                            "t.yaml:1: the file is empty",
		"vendors: []":                          "t.yaml:1: the file is empty",
		"vendors: [{habits: {}}]":              "t.yaml:1: a vendor needs a unique name",
		"vendors: [{name: none, habits: {}}]":  "needs a unique name",
		"vendors:\n  - name: a\n    habit: {}": `t.yaml:3: "habit" is not known here`,
		"vendors: [{name: a, habits: {x: 1}}]": `"x" is not known here`,
		"vendors:\n- name: a\n\n- name: a":     "t.yaml:4: a vendor needs a unique name",
		"vendors: [{name: a}]\nmodels: [{match: ['A*']}]": "t.yaml:2: \"A*\" is not a model name pattern",
		"vendors: [{name: a}]\nmodels: [{habits: {}}]":    "t.yaml:2: the models have no match",
		"vendors: [{name: a, hosts: [A.b]}]":              "not a host pattern",
		"vendors: {":                                      "t.yaml:1: did not find",
		"vendors: [{name: a}]\n---\nvendors: []":          "second document",
		"vendors: [{name: a}]\n---\nvendors: [":           "second document",
		// What is written into requests is a name, and what counts is in range.
		"vendors:\n- name: a\n  habits:\n    top_k: true\n    seed_name: 'a\":1,'":      "t.yaml:5: seed_name: \"a\\\":1,\" is not a valid name",
		"vendors: [{name: a, habits: {top_k: 7}}]":                                      "t.yaml:1: cannot unmarshal",
		"vendors: [{name: a, habits: {vendor: 'a:b'}}]":                                 "vendor: \"a:b\" is not a v",
		"vendors: [{name: a, habits: {reasoning: much}}]":                               "reasoning: \"much\" is not known",
		"vendors: [{name: a, habits: {tool_id_length: 57}}]":                            "tool_id_length: 57 is out of range",
		"vendors: [{name: a, habits: {efforts: {big: low}}}]":                           "efforts: \"big\" is not an effort",
		"vendors: [{name: a, habits: {efforts: {low: 'a b'}}}]":                         "efforts: \"a b\" is not a valid value",
		"vendors: [{name: a}]\nmodels:\n- match: [m]\n  habits:\n    budgets: {low: 0}": "t.yaml:5: budgets: low: 0 is not a token budget",
	} {
		if _, err := ParseProfiles("t.yaml", []byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error is %v", in, err)
		}
	}
	p, err := ParseProfiles("t.yaml", []byte("vendors: [{name: a, hosts: [h], habits: {top_k: true, efforts: {low: high}}}]\nmodels: [{match: ['m*'], habits: {top_k: false, efforts: {max: high}}}, {match: ['n*'], habits: {no_schema: true}}]"))
	if err != nil {
		t.Fatal(err)
	}
	h, _ := p.Find("", "h")
	if m := h.For("Mistral"); m.TopK || len(m.Efforts) != 1 || m.Efforts[EffortMax] != EffortHigh {
		t.Errorf("m is %+v", m)
	}
	if n := h.For("n"); !n.TopK || !n.NoSchema || n.Efforts[EffortLow] != EffortHigh || h.For("o").NoSchema {
		t.Errorf("n is %+v", n)
	}
}

func TestGlob(t *testing.T) {
	for _, tc := range []struct {
		pattern, name string
		want          bool
	}{
		{"a", "a", true}, {"a", "ab", false}, {"a*", "a/b", true}, {"*b", "a/b", true}, {"*a*", "xay", true}, {"*a*b*", "ba", false}, {"a*c*e", "abcde", true},
		{"*", "", true}, {"a*a", "a", false}, {"*x", "", false},
	} {
		if got := glob(tc.pattern, tc.name); got != tc.want {
			t.Errorf("%s matches %s: %v", tc.pattern, tc.name, got)
		}
	}
}

// A file of profiles is read whole, or its error says which file it is.
func TestReadProfiles(t *testing.T) {
	dir := t.TempDir()
	for name, tc := range map[string]struct{ content, want string }{
		"good.yaml": {string(builtinProfiles), ""}, "bad.yaml": {"vendors: [{name: a, kind: b}]", `bad.yaml:1: "kind" is not known here`}, "large.yaml": {strings.Repeat("# x\n", maxProfilesFile), "large.yaml is larger than 1 MiB"},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(tc.content), 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := ReadProfiles(path)
		if tc.want == "" {
			if err != nil || len(p.Names()) != len(Builtin().Names()) {
				t.Errorf("%s: %v", name, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
	if _, err := ReadProfiles(filepath.Join(dir, "missing.yaml")); err == nil || !strings.Contains(err.Error(), "missing.yaml") {
		t.Errorf("error is %v", err)
	}
}
