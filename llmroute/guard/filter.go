package guard

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/filter"
	"github.com/caddy-llm/gateway/llmroute/guard/decide"
)

// Filter has guards look at requests and responses: those that look at everything, and those that the
// rule names.
type Filter struct {
	guards     map[string]*guard
	everything []*guard
	logger     *zap.Logger
	count      func(guard, direction string, action Action, category string)
	ask        decide.Ask
}

// New returns the filter for the guards of these names, which Check has seen. count is called with each thing
// that a guard does about a request or its response: direction is `request` or `response`. ask asks
// providers for guards with a Moderation or a Judge.
func New(definitions map[string]*Definition, logger *zap.Logger, count func(guard, direction string, action Action, category string), ask decide.Ask) (*Filter, error) {
	f := &Filter{guards: make(map[string]*guard, len(definitions)), logger: logger, count: count, ask: ask}
	for _, name := range slices.Sorted(maps.Keys(definitions)) {
		g, err := newGuard(name, definitions[name], ask)
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

// With returns a filter that has these guards beside those of f. Guards that last has with
// the same name and an equal definition are taken over, with their connections. failed are
// those that cannot be used; a request that names one is refused.
func (f *Filter) With(definitions map[string]*Definition, last *Filter) (next *Filter, failed map[string]error) {
	all := *f
	all.guards = maps.Clone(f.guards)
	for name, d := range definitions {
		if g := last.guards[name]; g != nil && reflect.DeepEqual(g.Definition, d) {
			all.guards[name] = g
			continue
		}
		g, err := newGuard(name, d, f.ask)
		if err != nil {
			if failed == nil {
				failed = make(map[string]error)
			}
			failed[name] = err
			continue
		}
		all.guards[name] = g
	}
	return &all, failed
}

// Everything reports whether some guard looks at all requests.
func (f *Filter) Everything() bool { return len(f.everything) > 0 }

// View is a guard as the status page shows it.
type View struct {
	Name string `json:"name"`
	// Requests and Responses report whether it looks at them, Everything whether at those of
	// all rules.
	Requests   bool `json:"requests,omitempty"`
	Responses  bool `json:"responses,omitempty"`
	Everything bool `json:"everything,omitempty"`
}

// View returns the guards in the order of their names. f may be nil, which has none.
func (f *Filter) View() []View {
	if f == nil {
		return nil
	}
	var out []View
	for _, name := range slices.Sorted(maps.Keys(f.guards)) {
		g := f.guards[name]
		out = append(out, View{Name: name, Requests: g.looksAtRequests(), Responses: g.OnResponse != nil, Everything: g.Everything})
	}
	return out
}

// Names returns the guards' names.
func (f *Filter) Names() []string { return slices.Sorted(maps.Keys(f.guards)) }

// Begin implements filter.Filter. The guards look at the request one after the other, so
// that each sees what those before have masked.
func (f *Filter) Begin(_ context.Context, c *filter.Call) (filter.Step, *llmprovider.Error) {
	guards, refused := f.guardsOf(c)
	if refused != nil {
		return nil, refused
	}
	stored := c.Inbound.Endpoint.Operation == llmprovider.StoredResponse
	acts := f.newActs(c)
	run := run{acts: acts, text: texts.Get().(*text)}
	defer run.text.release()
	var responding []*guard
	for _, g := range guards {
		if g.looksAtRequests() && !stored { // which has no text
			if refused := run.look(g); refused != nil {
				acts.end()
				return nil, refused
			}
		}
		if g.OnResponse != nil {
			responding = append(responding, g)
		}
	}
	if len(responding) == 0 && run.kept.empty() && len(run.open) == 0 {
		acts.end()
		return nil, nil
	}
	return &step{acts: acts, guards: responding, kept: run.kept, endpoint: c.Inbound.Endpoint, open: run.open}, nil
}

// guardsOf returns the guards that look at a request, in their order.
func (f *Filter) guardsOf(c *filter.Call) ([]*guard, *llmprovider.Error) {
	if len(c.Guards) == 0 {
		return f.everything, nil
	}
	guards := slices.Clone(f.everything)
	for _, name := range c.Guards {
		g := f.guards[name]
		if g == nil { // its definition cannot be used
			return nil, &llmprovider.Error{
				Status: 503, Type: llmprovider.TypeServer, Code: "guard_unavailable",
				Message: fmt.Sprintf("the guard %s, which is to look at this request, cannot be used; its findings tell the gateway's operator why", name),
			}
		}
		if !slices.Contains(guards, g) {
			guards = append(guards, g)
		}
	}
	return guards, nil
}

// run is what the guards do with one request.
type run struct {
	*acts
	text *text
	read role // whose text was read, 0 for nobody's yet
	kept *kept
	open []question // that are asked while a provider is
}

// look has a guard look at the request.
func (r *run) look(g *guard) *llmprovider.Error {
	if refused := r.readFor(g); refused != nil {
		return refused
	}
	if refused := r.unreadable(onRequest, g, r.text.unreadable); refused != nil {
		return refused
	}
	if category := g.denies(r.text, nil); category != "" && r.note(onRequest, g, Denied, category) {
		return g.refusal(onRequest, category, "")
	}
	if !r.call.Inbound.IsJSON() {
		return nil
	}
	body := r.call.Inbound.Body()
	var keep *kept
	if g.Restore {
		if r.kept == nil {
			r.kept = new(kept)
		}
		keep = r.kept
	}
	cuts, categories := g.masks(r.text, body, keep)
	if r.text.refused != nil {
		return r.text.refused
	}
	masked := false
	for _, category := range categories {
		masked = r.note(onRequest, g, Masked, category) || masked
	}
	if masked {
		if refused := r.replace(body, cuts); refused != nil {
			return refused
		}
	}
	if !g.asks() {
		return nil
	}
	if refused := r.readFor(g); refused != nil { // once more, after what was masked
		return refused
	}
	messages := r.text.messages()
	if g.Parallel {
		r.open = append(r.open, question{g, messages})
		return nil
	}
	texts, refused := r.ask(onRequest, g, messages)
	if refused != nil || texts == nil {
		return refused
	}
	body = r.call.Inbound.Body()
	return r.replace(body, r.text.cuts(body, r.text.replaced(texts)))
}

// readFor reads what the guard looks at, unless that was read last.
func (r *run) readFor(g *guard) *llmprovider.Error {
	if r.read != g.seen {
		r.text.read(r.call.Inbound, g.seen)
		r.read = g.seen
	}
	return r.text.refused
}

// replace makes cuts in the request's body.
func (r *run) replace(body []byte, cuts []cut) *llmprovider.Error {
	r.read = 0
	return r.call.Inbound.Replace(func(dst []byte) []byte { return spliced(dst, body, cuts) })
}

// unreadable has a guard decide about what cannot be read.
func (a *acts) unreadable(of direction, g *guard, what []string) *llmprovider.Error {
	if len(what) == 0 {
		return nil
	}
	action := Denied
	if g.Unreadable == UnreadableOpen {
		action = Passed
	}
	if !a.note(of, g, action, categoryUnreadable) {
		return nil
	}
	return g.refusal(of, categoryUnreadable, strings.Join(what, " and "))
}

// Interface guards
var _ filter.Filter = (*Filter)(nil)
