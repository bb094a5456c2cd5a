package dialect

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"
)

//go:embed profiles.yaml
var builtinProfiles []byte

// Builtin returns the table of profiles that the gateway comes with.
var Builtin = sync.OnceValue(func() *Profiles {
	p, _ := ParseProfiles("profiles.yaml", builtinProfiles) // a test holds that it has no mistake
	return p
})

type profilesKey struct{}

// WithProfiles returns a context in which providers are provisioned with another table
// than the built-in one.
func WithProfiles(ctx context.Context, table *Profiles) context.Context {
	return context.WithValue(ctx, profilesKey{}, table)
}

// ProfilesIn returns the table of profiles for providers that are provisioned in a
// context: the built-in one unless WithProfiles put another one there.
func ProfilesIn(ctx context.Context) *Profiles {
	if table, ok := ctx.Value(profilesKey{}).(*Profiles); ok {
		return table
	}
	return Builtin()
}

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
