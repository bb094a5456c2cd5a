package dialect

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

//go:embed profiles.yaml
var builtinProfiles []byte

// Builtin returns the table of profiles that the gateway comes with.
var Builtin = sync.OnceValue(func() *Profiles {
	p, _ := ParseProfiles(builtinProfiles) // a test holds that it has no mistake
	return p
})

// Profiles is a table of what is known of vendors and models. It is not changed once
// it is parsed, and safe for concurrent use.
type Profiles struct {
	vendors []*Habits
}

// Habits are a vendor's profile and those of its models.
type Habits struct {
	// Name is the vendor's name in the configuration.
	Name string

	hosts  []string
	base   Profile
	models []modelHabits
}

type modelHabits struct {
	match   []string
	profile Profile
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

// ParseProfiles reads a table of profiles in YAML, in the form of the one that the
// gateway comes with. The error names the line.
func ParseProfiles(data []byte) (*Profiles, error) {
	var strict profilesFile[Profile]
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(&strict); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("the file is empty; write vendors and models, as in the table that the gateway comes with")
		}
		return nil, err
	}
	var file profilesFile[yaml.Node]
	if err := yaml.Unmarshal(data, &file); err != nil {
		return nil, err
	}
	p := new(Profiles)
	for _, v := range file.Vendors {
		if v.Name == "" || v.Name == None || p.named(v.Name) != nil {
			return nil, fmt.Errorf("line %d: a vendor needs a name of its own other than %q, and %q is none", v.Habits.Line, None, v.Name)
		}
		h := &Habits{Name: v.Name, hosts: v.Hosts}
		if err := refine(&h.base, &v.Habits); err != nil {
			return nil, err
		}
		for _, m := range file.Models {
			profile := h.base
			if err := refine(&profile, &m.Habits); err != nil {
				return nil, err
			}
			for _, pattern := range m.Match {
				if pattern == "" || pattern != strings.ToLower(pattern) {
					return nil, fmt.Errorf("line %d: %q is no pattern of a model's name in small letters; write one such as *claude-opus-4-7*", m.Habits.Line, pattern)
				}
			}
			h.models = append(h.models, modelHabits{match: m.Match, profile: profile})
		}
		p.vendors = append(p.vendors, h)
	}
	return p, nil
}

// refine puts habits on top of those of a profile.
func refine(p *Profile, habits *yaml.Node) error {
	if habits.IsZero() {
		return nil
	}
	// Maps are decoded into those that are there, which others share.
	efforts, budgets := p.Efforts, p.Budgets
	p.Efforts, p.Budgets = nil, nil
	if err := habits.Decode(p); err != nil {
		return err
	}
	if p.Efforts == nil {
		p.Efforts = efforts
	}
	if p.Budgets == nil {
		p.Budgets = budgets
	}
	return nil
}

// None is the name that stands for no profile.
const None = "none"

var noHabits = &Habits{Name: None}

// Find returns the habits of the vendor of that name, or, if it is empty, of the one
// whose host it is. A host that no vendor has is one of a compatible server.
func (p *Profiles) Find(name, host string) (*Habits, error) {
	switch name {
	case None:
		return noHabits, nil
	case "":
		for _, h := range p.vendors {
			if slices.ContainsFunc(h.hosts, func(pattern string) bool { return matches(pattern, host) }) {
				return h, nil
			}
		}
		return noHabits, nil
	}
	if h := p.named(name); h != nil {
		return h, nil
	}
	return nil, fmt.Errorf("there is no profile %q; write %s or one of %s", name, None, strings.Join(p.Names(), ", "))
}

func (p *Profiles) named(name string) *Habits {
	for _, h := range p.vendors {
		if h.Name == name {
			return h
		}
	}
	return nil
}

// Names returns the vendors' names, in the order of the table.
func (p *Profiles) Names() []string {
	names := make([]string, len(p.vendors))
	for i, h := range p.vendors {
		names[i] = h.Name
	}
	return names
}

// For returns the profile for a model. Of the table's models, the first that matches
// counts.
func (h *Habits) For(model string) *Profile {
	for i := range h.models {
		for _, pattern := range h.models[i].match {
			if matches(pattern, model) {
				return &h.models[i].profile
			}
		}
	}
	return &h.base
}

// matches reports whether a name in small letters matches a pattern.
func matches(pattern, name string) bool {
	return glob(pattern, strings.ToLower(name))
}

// glob reports whether a name matches a pattern in which * stands for any text.
func glob(pattern, name string) bool {
	head, rest, ok := strings.Cut(pattern, "*")
	if !ok {
		return pattern == name
	}
	if name, ok = strings.CutPrefix(name, head); !ok {
		return false
	}
	for {
		var next string
		if next, rest, ok = strings.Cut(rest, "*"); !ok {
			return strings.HasSuffix(name, next)
		}
		i := strings.Index(name, next)
		if i < 0 {
			return false
		}
		name = name[i+len(next):]
	}
}
