package spec

import (
	"net/http"
	"strings"

	"github.com/caddy-llm/gateway/llmroute/selection"
)

// Policy returns how a backend is picked, nil for a rule with a handler.
func (r *Rule) Policy() selection.Policy { return r.policy }

// HasMatchers reports whether the rule is for certain requests only.
func (r *Rule) HasMatchers() bool { return len(r.matcherSets) > 0 }

// Matches reports whether one of the rule's matcher sets matches, or there is none.
func (r *Rule) Matches(req *http.Request) (bool, error) { return r.matcherSets.AnyMatchWithError(req) }

// ReadsModel reports whether a matcher may ask for the request's model.
func (r *Rule) ReadsModel() bool { return r.readsModel }

// MatchedBy returns the names of the matchers, sorted.
func (r *Rule) MatchedBy() []string { return r.matchedBy }

// HasModels reports whether there are matchers of models outside of other matchers.
func (r *Rule) HasModels() bool { return len(r.models) > 0 }

// NamedModels returns the models that these matchers name without a wildcard.
func (r *Rule) NamedModels() (names []string) {
	for _, m := range r.models {
		for _, name := range m.Models {
			if !strings.Contains(name, "*") {
				names = append(names, name)
			}
		}
	}
	return names
}

// Takes reports whether a request for the model would match the rule's matchers
// of models, of which it may have none.
func (r *Rule) Takes(model string) bool {
	for _, m := range r.models {
		if m.Has(model) {
			return true
		}
	}
	return len(r.models) == 0
}
