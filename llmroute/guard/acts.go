package guard

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmroute/filter"
)

// acts is what the guards did about one request and its response, and never about which
// text.
type acts struct {
	f      *Filter
	call   *filter.Call
	ctx    context.Context //nolint:containedctx // ends with the request
	header http.Header     // the client's
	all    []act
}

func (f *Filter) newActs(c *filter.Call) *acts {
	a := &acts{f: f, call: c, ctx: context.Background()}
	if c.Request != nil {
		a.ctx, a.header = c.Request.Context(), c.Request.Header
	}
	return a
}

type act struct {
	guard    *guard
	of       direction
	action   Action
	category string
}

// note counts what a guard does, and reports whether it is to be done.
func (a *acts) note(of direction, g *guard, action Action, category string) bool {
	do := action != Passed
	if g.Log && do {
		action, do = Logged, false
	}
	a.count(of, g, action, category)
	return do
}

// count counts what a guard does, the first time.
func (a *acts) count(of direction, g *guard, action Action, category string) {
	if one := (act{g, of, action, category}); !slices.Contains(a.all, one) {
		a.all = append(a.all, one)
		a.f.count(g.name, string(of), action, category)
	}
}

// end tells the logs what the guards did.
func (a *acts) end() {
	if len(a.all) == 0 {
		return
	}
	join := func(word func(*act) string) string {
		var words []string
		for i := range a.all {
			if w := word(&a.all[i]); !slices.Contains(words, w) {
				words = append(words, w)
			}
		}
		return strings.Join(words, ", ")
	}
	fields := []zap.Field{
		zap.String("llm_guard", join(func(a *act) string { return a.guard.name })),
		zap.String("llm_guard_direction", join(func(a *act) string { return string(a.of) })),
		zap.String("llm_guard_action", join(func(a *act) string { return string(a.action) })),
		zap.String("llm_guard_category", join(func(a *act) string { return a.category })),
	}
	a.call.LogFields = append(a.call.LogFields, fields...)
	if c := a.f.logger.Check(zap.InfoLevel, "guard acted on a request"); c != nil {
		c.Write(append(fields, zap.String("rule", a.call.Rule), zap.String("client", a.call.Client.Name))...)
	}
}
