package prompt

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/filter"
)

// Filter adds prompts to the requests of rules that name them.
type Filter struct {
	prompts map[string]*prompt
}

// prompt is a Definition in use.
type prompt struct {
	before, after []text
	templates     map[string][]text
}

// New returns the filter for the prompts of these names, which Check has seen. It reads
// their files.
func New(definitions map[string]*Definition) (*Filter, error) {
	f := &Filter{make(map[string]*prompt, len(definitions))}
	for _, name := range slices.Sorted(maps.Keys(definitions)) {
		p, err := newPrompt(definitions[name])
		if err != nil {
			return nil, fmt.Errorf("prompt %s: %w", name, err)
		}
		f.prompts[name] = p
	}
	return f, nil
}

// With returns a filter that has these prompts beside those of f. failed are those that
// cannot be used; a request that names one is refused.
func (f *Filter) With(definitions map[string]*Definition) (next *Filter, failed map[string]error) {
	next, failed = &Filter{maps.Clone(f.prompts)}, make(map[string]error)
	for name, d := range definitions {
		p, err := newPrompt(d)
		if err != nil {
			failed[name] = err
			continue
		}
		next.prompts[name] = p
	}
	return next, failed
}

func newPrompt(d *Definition) (*prompt, error) {
	if err := d.Check(); err != nil {
		return nil, err
	}
	p := &prompt{templates: make(map[string][]text, len(d.Templates))}
	var err error
	if p.before, err = load(d.Prepend); err != nil {
		return nil, fmt.Errorf("prepend: %w", err)
	}
	if p.after, err = load(d.Append); err != nil {
		return nil, fmt.Errorf("append: %w", err)
	}
	for template, messages := range d.Templates {
		if p.templates[template], err = load(messages); err != nil {
			return nil, fmt.Errorf("template %s: %w", template, err)
		}
	}
	return p, nil
}

// CheckNames reports whether a rule may name these prompts: all are there, each is named
// once, and no two have a template of one name.
func (f *Filter) CheckNames(names []string) error {
	for i, name := range names {
		known := strings.Join(slices.Sorted(maps.Keys(f.prompts)), ", ")
		if known == "" {
			known = "none"
		}
		switch {
		case f.prompts[name] == nil:
			return fmt.Errorf("there is no prompt %q; define it in the llm app, whose prompts are: %s", name, known)
		case slices.Contains(names[:i], name):
			return fmt.Errorf("the prompt %s is named twice; name it once", name)
		}
	}
	return f.CheckTemplates([]Named{{Names: names}})
}

// Named are the prompts that one place of a configuration names.
type Named struct {
	By    string // the place in words, empty if there is only one
	Names []string
}

// CheckTemplates reports whether two prompts have a template of one name, where all of these
// are added to the same requests. A prompt may be named in several places.
func (f *Filter) CheckTemplates(all []Named) error {
	owner, seen := make(map[string]string), make(map[string]bool)
	for _, named := range all {
		for _, name := range named.Names {
			p := f.prompts[name]
			if p == nil || seen[name] {
				continue
			}
			seen[name] = true
			shown := name
			if named.By != "" {
				shown += " of " + named.By
			}
			for _, template := range slices.Sorted(maps.Keys(p.templates)) {
				if other, taken := owner[template]; taken {
					return fmt.Errorf("the prompts %s and %s both have a template %s; give one of them another name", other, shown, template)
				}
				owner[template] = shown
			}
		}
	}
	return nil
}

// Begin implements filter.Filter.
func (f *Filter) Begin(_ context.Context, c *filter.Call) (filter.Step, *llmprovider.Error) {
	places := placesOf(c.Inbound.Endpoint)
	if places == nil || len(c.Prompts) == 0 || !c.Inbound.IsJSON() {
		return nil, nil
	}
	var before, after []text
	var templates map[string][]text
	for _, name := range c.Prompts {
		p := f.prompts[name]
		if p == nil { // its definition cannot be used
			return nil, &llmprovider.Error{
				Status: 503, Type: llmprovider.TypeServer, Code: "prompt_unavailable",
				Message: fmt.Sprintf("the prompt %s, which is to be added to this request, cannot be used; its findings tell the gateway's operator why", name),
			}
		}
		before, after = append(before, p.before...), append(after, p.after...)
		switch {
		case len(p.templates) == 0:
		case templates == nil:
			templates = p.templates
		default:
			templates = maps.Clone(templates)
			maps.Copy(templates, p.templates)
		}
	}
	b := newBody(c.Inbound.Body(), places)
	var templated []text
	if len(templates) > 0 {
		var refused *llmprovider.Error
		if templated, refused = b.expand(templates); refused != nil {
			return nil, refused
		}
	}
	if refused := b.add(append(before, templated...), after, len(templated) > 0); refused != nil {
		return nil, refused
	}
	edits := b.all()
	if len(edits) == 0 {
		return nil, nil
	}
	c.LogFields = append(c.LogFields, zap.String("llm_prompt", strings.Join(c.Prompts, ", ")))
	return nil, c.Inbound.Replace(func(dst []byte) []byte { return spliced(dst, b.raw, edits) })
}

// Interface guards
var _ filter.Filter = (*Filter)(nil)
