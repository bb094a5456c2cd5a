package llmroute

import (
	"io"
	"net/http"
	"slices"
	"strconv"
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
		i := slices.IndexFunc(list, func(m ownedModel) bool { return m.ID == id })
		if i < 0 {
			return x.refuse(errNoModel(id))
		}
		return x.writeJSON(list[i].In(api, list[i].owner))
	}
	objects, first, last := make([]string, len(list)), "", ""
	for i := range list {
		objects[i] = list[i].In(api, list[i].owner)
	}
	if len(list) > 0 {
		first, last = list[0].ID, list[len(list)-1].ID
	}
	return x.writeJSON(modellist.Parts(api, objects, first, last)...)
}

// ownedModel is a listed model with the name of the provider that has it.
type ownedModel struct {
	modellist.Model
	owner string
}

// writeJSON responds with a JSON document in parts.
func (x *exchange) writeJSON(parts ...string) error {
	size := 0
	for _, part := range parts {
		size += len(part)
	}
	header := x.w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(size))
	x.w.WriteHeader(http.StatusOK)
	if x.r.Method == http.MethodHead {
		return nil
	}
	for _, part := range parts {
		if _, err := io.WriteString(x.w, part); err != nil {
			return err
		}
	}
	return nil
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
		nested := rule.ReadsModel() && len(rule.Models()) == 0
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
func (x *exchange) listModels(rules []ruleTargets) []ownedModel {
	x.fetchModels(rules)
	var list []ownedModel
	seen := make(map[string]bool)
	add := func(m modellist.Model, owner string) {
		if m.ID == "" || seen[m.ID] || len(list) >= modellist.Max || x.client != nil && !x.client.Allows(m.ID) {
			return
		}
		seen[m.ID] = true
		list = append(list, ownedModel{m, owner})
	}
	for _, rt := range rules {
		for _, matcher := range rt.rule.Models() { // what the client must ask for to get here
			for _, name := range matcher.Models {
				if !strings.Contains(name, "*") {
					add(x.describe(rt, name))
				}
			}
		}
		for i := range rt.targets {
			t := &rt.targets[i]
			if !t.usable() {
				continue
			}
			for _, m := range x.modelsOf(t, rt.rule) {
				if rt.rule.Takes(m.ID) {
					add(m, t.name)
				}
			}
		}
	}
	return list
}

// describe returns the model as the first of the rule's providers lists it that
// does, else its name alone with the first of them as its owner.
func (x *exchange) describe(rt ruleTargets, name string) (m modellist.Model, owner string) {
	for i := range rt.targets {
		t := &rt.targets[i]
		if !t.usable() {
			continue
		}
		if owner == "" {
			owner = t.name
		}
		for _, m := range x.modelsOf(t, rt.rule) {
			if m.ID == name {
				return m, t.name
			}
		}
	}
	return modellist.Model{ID: name}, owner
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

// errNoModel is the error for a model that the list has not.
func errNoModel(id string) *llmprovider.Error {
	return &llmprovider.Error{
		Status: http.StatusNotFound, Type: llmprovider.TypeInvalidRequest, Code: "model_not_found", Param: "model",
		Message: "there is no model " + strconv.Quote(llmprovider.Bounded(id)) + " here; GET /v1/models lists those there are",
	}
}
