package dialect

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxProfilesFile bounds a file of profiles, in bytes.
const maxProfilesFile = 1 << 20

// ReadProfiles reads a file with a table of profiles, in the form of the one that the
// gateway comes with. Errors name the file and, where there is one, the line.
func ReadProfiles(path string) (*Profiles, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening the profiles file: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxProfilesFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the profiles file: %w", err)
	case len(data) > maxProfilesFile:
		return nil, fmt.Errorf("%s is larger than 1 MiB, the limit for a profiles file", path)
	}
	return ParseProfiles(path, data)
}

// profilesFile is the table as it is written. Habits are decoded twice: once to find
// mistakes, once on top of those that they refine.
type profilesFile[H any] struct {
	Vendors []struct {
		Name     string   `yaml:"name"`
		Hosts    []string `yaml:"hosts"`
		Checked  string   `yaml:"checked"`
		Sources  []string `yaml:"sources"`
		Doubtful string   `yaml:"doubtful"`
		Habits   H        `yaml:"habits"`
	} `yaml:"vendors"`
	Models []struct {
		Match    []string `yaml:"match"`
		Checked  string   `yaml:"checked"`
		Sources  []string `yaml:"sources"`
		Doubtful string   `yaml:"doubtful"`
		Habits   H        `yaml:"habits"`
	} `yaml:"models"`
}

// ParseProfiles reads a table of profiles in YAML. Errors name path and the line.
func ParseProfiles(path string, data []byte) (*Profiles, error) {
	fail := func(line int, format string, args ...any) error {
		return fmt.Errorf("%s:%d: %w", path, max(line, 1), fmt.Errorf(format, args...))
	}
	var strict profilesFile[Profile]
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	switch err := decoder.Decode(&strict); {
	case errors.Is(err, io.EOF), err == nil && len(strict.Vendors) == 0 && len(strict.Models) == 0:
		return nil, fail(1, "the file is empty; write vendors and models, as in the table that the gateway comes with")
	case err != nil:
		return nil, located(path, err)
	case !errors.Is(decoder.Decode(new(yaml.Node)), io.EOF):
		return nil, fail(1, "there is a second document after a line ---; write one")
	}
	var file profilesFile[yaml.Node]
	if err := yaml.Unmarshal(data, &file); err != nil {
		return nil, located(path, err)
	}
	lines := linesOf(data)
	p := new(Profiles)
	for i, v := range file.Vendors {
		line := lines.vendors[i]
		if v.Name == "" || v.Name == None || p.named(v.Name) != nil {
			return nil, fail(line, "a vendor needs a unique name other than %q; %q is not one", None, v.Name)
		}
		for _, pattern := range v.Hosts {
			if pattern == "" || pattern != strings.ToLower(pattern) {
				return nil, fail(line, "%q is not a host pattern in lower case; write one such as api.example.com or *.example.com", pattern)
			}
		}
		h := &Habits{Name: v.Name, hosts: v.Hosts}
		if bad, err := refine(&h.base, &v.Habits); err != nil {
			return nil, fail(bad, "%w", err)
		}
		for j, m := range file.Models {
			profile := h.base
			if bad, err := refine(&profile, &m.Habits); err != nil {
				return nil, fail(bad, "%w", err)
			}
			if len(m.Match) == 0 {
				return nil, fail(lines.models[j], "the models have no match; write patterns of their names, such as *claude-opus-4-7*")
			}
			for _, pattern := range m.Match {
				if pattern == "" || pattern != strings.ToLower(pattern) {
					return nil, fail(lines.models[j], "%q is not a model name pattern in lower case; write one such as *claude-opus-4-7*", pattern)
				}
			}
			h.models = append(h.models, modelHabits{match: m.Match, profile: profile})
		}
		p.vendors = append(p.vendors, h)
	}
	return p, nil
}

// entryLines are the lines on which a table's entries begin.
type entryLines struct{ vendors, models []int }

// linesOf returns the lines of the entries in a document that was decoded before.
func linesOf(data []byte) (lines entryLines) {
	var doc struct{ Vendors, Models []yaml.Node }
	_ = yaml.Unmarshal(data, &doc)
	for i := range doc.Vendors {
		lines.vendors = append(lines.vendors, doc.Vendors[i].Line)
	}
	for i := range doc.Models {
		lines.models = append(lines.models, doc.Models[i].Line)
	}
	return lines
}

var (
	yamlLine    = regexp.MustCompile(`(?s)line (\d+): (.*)`)
	unknownName = regexp.MustCompile(`^field (.+?) not found in type`)
)

// located is an error of the YAML decoder with the file and the line.
func located(path string, err error) error {
	at := yamlLine.FindStringSubmatch(err.Error())
	if at == nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	what, _, _ := strings.Cut(at[2], "\n")
	if name := unknownName.FindStringSubmatch(what); name != nil {
		what = fmt.Sprintf("%q is not known here; the table that the gateway comes with shows what is", name[1])
	}
	return fmt.Errorf("%s:%s: %s", path, at[1], what)
}

// refine puts habits on top of those of a profile. The error's line is that of the habit
// that is wrong.
func refine(p *Profile, habits *yaml.Node) (line int, err error) {
	if habits.IsZero() {
		return 0, nil
	}
	// Maps are decoded into those that are there, which others share.
	efforts, budgets := p.Efforts, p.Budgets
	p.Efforts, p.Budgets = nil, nil
	if err := habits.Decode(p); err != nil {
		return habits.Line, err
	}
	if name, err := p.check(); err != nil {
		line := habits.Line
		for i := 0; i+1 < len(habits.Content); i += 2 {
			if habits.Content[i].Value == name {
				line = habits.Content[i].Line
			}
		}
		return line, fmt.Errorf("%s: %w", name, err)
	}
	if p.Efforts == nil {
		p.Efforts = efforts
	}
	if p.Budgets == nil {
		p.Budgets = budgets
	}
	return 0, nil
}

var (
	memberName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)
	vendorName = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)
	efforts    = []Effort{EffortNone, EffortMinimal, EffortLow, EffortMedium, EffortHigh, EffortXHigh, EffortMax}
)

// maxToolID bounds ToolIDLength: ids are made of a digest.
const maxToolID = 40

// check returns the name of a habit whose value cannot be, and why. Names of members are
// written into requests as they are.
func (p *Profile) check() (name string, err error) {
	for name, value := range map[string]string{
		"max_tokens_name": p.MaxTokensName, "seed_name": p.SeedName, "reasoning_name": p.ReasoningName, "thinking_name": p.ThinkingName, "budget_name": p.BudgetName,
		"any_word": p.AnyWord,
	} {
		if value != "" && !memberName.MatchString(value) {
			return name, fmt.Errorf("%q is not a valid name; write letters, digits and underscores", value)
		}
	}
	if p.Vendor != "" && !vendorName.MatchString(p.Vendor) {
		return "vendor", fmt.Errorf("%q is not a vendor's name; write lower-case letters, such as anthropic", p.Vendor)
	}
	if words := []string{"", "adaptive", "level", "budget", "effort", "none"}; !slices.Contains(words, p.Reasoning) {
		return "reasoning", fmt.Errorf("%q is not known; write one of %s", p.Reasoning, strings.Join(words[1:], ", "))
	}
	if p.ToolIDLength < 0 || p.ToolIDLength > maxToolID {
		return "tool_id_length", fmt.Errorf("%d is out of range; write 1 to %d", p.ToolIDLength, maxToolID)
	}
	for effort, word := range p.Efforts {
		if !slices.Contains(efforts, effort) {
			return "efforts", fmt.Errorf("%q is not an effort; write none, minimal, low, medium, high, xhigh or max", effort)
		}
		if word != "" && !memberName.MatchString(string(word)) {
			return "efforts", fmt.Errorf("%q is not a valid value for an effort; write letters, or nothing to leave the effort out", word)
		}
	}
	for effort, tokens := range p.Budgets {
		if !slices.Contains(efforts, effort) || tokens < 1 {
			return "budgets", fmt.Errorf("%s: %d is not a token budget; write one such as high: 16384", effort, tokens)
		}
	}
	return "", nil
}
