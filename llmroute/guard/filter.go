package guard

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

// Filter has guards look at requests: those that look at everything, and those that the
// rule names.
type Filter struct {
	guards     map[string]*guard
	everything []*guard
	logger     *zap.Logger
	count      func(guard string, action Action, category string)
}

// New returns the filter for the guards of these names. count is called with each thing
// that a guard does.
func New(definitions map[string]*Definition, logger *zap.Logger, count func(guard string, action Action, category string)) (*Filter, error) {
	f := &Filter{guards: make(map[string]*guard, len(definitions)), logger: logger, count: count}
	for _, name := range slices.Sorted(maps.Keys(definitions)) {
		g, err := newGuard(name, definitions[name])
		if err != nil {
			return nil, err
		}
		f.guards[name] = g
		if g.Everything {
			f.everything = append(f.everything, g)
		}
	}
	return f, nil
}

// Everything reports whether some guard looks at all requests.
func (f *Filter) Everything() bool { return len(f.everything) > 0 }

// Names returns the guards' names.
func (f *Filter) Names() []string { return slices.Sorted(maps.Keys(f.guards)) }

// Begin implements filter.Filter. The guards look at the request one after the other, so
// that each sees what those before have masked.
func (f *Filter) Begin(_ context.Context, c *filter.Call) (filter.Step, *llmprovider.Error) {
	run := run{f: f, call: c, text: texts.Get().(*text)}
	defer run.end()
	for _, g := range f.everything {
		if refused := run.look(g); refused != nil {
			return nil, refused
		}
	}
	for i, name := range c.Guards {
		g := f.guards[name]
		switch {
		case g == nil: // the rule was checked against the guards when both were loaded
			return nil, &llmprovider.Error{
				Status: 503, Type: llmprovider.TypeServer, Code: "guard_unavailable",
				Message: fmt.Sprintf("the guard %s, which the rule of this request names, is not configured", name),
			}
		case g.Everything || slices.Contains(c.Guards[:i], name):
			continue
		}
		if refused := run.look(g); refused != nil {
			return nil, refused
		}
	}
	return nil, nil
}

// run is what the guards do with one request.
type run struct {
	f    *Filter
	call *filter.Call
	text *text
	read role // whose text was read, 0 for nobody's yet

	guards, actions, categories []string
}

// look has a guard look at the request.
func (r *run) look(g *guard) *llmprovider.Error {
	if r.read != g.seen {
		r.text.read(r.call.Inbound, g.seen)
		r.read = g.seen
	}
	if len(r.text.unreadable) > 0 {
		action := Denied
		if g.Unreadable == UnreadableOpen {
			action = Passed
		}
		if r.note(g, action, categoryUnreadable) {
			return g.refusal(categoryUnreadable, strings.Join(r.text.unreadable, " and "))
		}
	}
	if category := g.denies(r.text); category != "" && r.note(g, Denied, category) {
		return g.refusal(category, "")
	}
	if !r.call.Inbound.IsJSON() {
		return nil
	}
	body := r.call.Inbound.Body()
	cuts, categories := g.masks(r.text, body)
	masked := false
	for _, category := range categories {
		masked = r.note(g, Masked, category) || masked
	}
	if !masked {
		return nil
	}
	r.read = 0
	return r.call.Inbound.Replace(func(dst []byte) []byte { return spliced(dst, body, cuts) })
}

// note counts and logs what a guard does, and reports whether it is to be done.
func (r *run) note(g *guard, action Action, category string) bool {
	do := action != Passed
	if g.Log && do {
		action, do = Logged, false
	}
	r.f.count(g.name, action, category)
	add := func(list *[]string, word string) {
		if !slices.Contains(*list, word) {
			*list = append(*list, word)
		}
	}
	add(&r.guards, g.name)
	add(&r.actions, string(action))
	add(&r.categories, category)
	return do
}

// end tells the access log what the guards did, and never about which text.
func (r *run) end() {
	r.text.release()
	if len(r.guards) == 0 {
		return
	}
	fields := []zap.Field{
		zap.String("llm_guard", strings.Join(r.guards, ", ")), zap.String("llm_guard_action", strings.Join(r.actions, ", ")),
		zap.String("llm_guard_category", strings.Join(r.categories, ", ")),
	}
	r.call.LogFields = append(r.call.LogFields, fields...)
	if c := r.f.logger.Check(zap.InfoLevel, "guard acted on a request"); c != nil {
		c.Write(append(fields, zap.String("rule", r.call.Rule), zap.String("client", r.call.Client.Name))...)
	}
}

// Interface guards
var _ filter.Filter = (*Filter)(nil)
