package llmroute

import (
	"slices"
	"strings"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/modellist"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// serveModels answers GET …/models from the configuration, and from the
// providers' own lists where the configuration sets no model.
func (x *exchange) serveModels() error {
	rules, err := x.routesForModels()
	if err != nil {
		return x.refuse(err)
	}
	api := x.modelsAPI()
	list := x.listModels(rules)
	if id, one := strings.CutPrefix(x.in.Endpoint.Suffix, "/models/"); one {
		i := slices.IndexFunc(list, func(m modellist.Owned) bool { return m.ID == id })
		if i < 0 {
			return x.refuse(modellist.NotFound(id))
		}
		return modellist.Write(x.w, x.r, list[i:i+1], api, true)
	}
	return modellist.Write(x.w, x.r, list, api, false)
}

// ruleTargets is a rule that the request could match, with its targets.
type ruleTargets struct {
	rule    *spec.Rule
	targets []target
}

// routesForModels finds all rules that a request like this one could match.
// Matchers of the model match everything here.
func (x *exchange) routesForModels() ([]ruleTargets, *llmprovider.Error) {
	rules, targets, refused := x.lookup()
	if refused != nil {
		return nil, refused
	}
	var out []ruleTargets
	for i, rule := range rules {
		// A matcher of the model inside of another one, such as `not`, would
		// decide without a model to decide by.
		nested := rule.ReadsModel() && !rule.HasModels()
		if rule.HasMatchers() && !nested {
			ok, err := x.matches(rule)
			if err != nil {
				return nil, x.matcherError(rule, err)
			}
			if !ok {
				continue
			}
		}
		out = append(out, ruleTargets{rule, targets[i]})
		if !rule.ReadsModel() {
			break // every request like this one ends here
		}
	}
	if len(out) == 0 {
		return nil, errNoRoute(x.r)
	}
	sets := make([][]target, len(out))
	for i := range out {
		sets[i] = out[i].targets
	}
	switch {
	case !usable(sets...):
		return nil, errNoBackend(out[0].rule.Name)
	case !x.known(sets...):
		return nil, x.unsupported()
	}
	return out, nil
}

// listModels lists the models a client may ask for, each once.
func (x *exchange) listModels(rules []ruleTargets) []modellist.Owned {
	x.fetchModels(rules)
	offers := make([]modellist.Offer, len(rules))
	for i, rt := range rules {
		o := &offers[i]
		o.Named, o.Takes = rt.rule.NamedModels(), rt.rule.Takes
		for j := range rt.targets {
			if t := &rt.targets[j]; t.usable() {
				o.Of = append(o.Of, modellist.Provided{Owner: t.name, Models: x.modelsOf(t, rt.rule)})
			}
		}
	}
	return modellist.Merge(offers, func(id string) bool { return x.client == nil || x.client.Allows(id) })
}

// modelsOf lists a target's models: the one configured for the rule, else the
// provider's own.
func (x *exchange) modelsOf(t *target, rule *spec.Rule) []modellist.Model {
	if model, fixed := t.RequestModel(modelsProbe, t.settings(rule)); fixed {
		return []modellist.Model{{ID: model}}
	}
	return t.state.models.Models()
}

// modelsProbe is a chat request without a model.
var modelsProbe = new(llmprovider.Inbound)

func init() { modelsProbe.Endpoint.Operation = llmprovider.Chat }

// modelsAPI returns the API in whose shape the client wants lists of models.
func (x *exchange) modelsAPI() llmprovider.API {
	if x.in.Endpoint.API == llmprovider.OpenAIAPI && x.r.Header.Get("Anthropic-Version") != "" {
		return llmprovider.MessagesAPI
	}
	return x.in.Endpoint.API
}
