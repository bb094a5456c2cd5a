package llmroute

import (
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-llm/gateway/llmprovider"
)

// checkStored returns the error for a request that refers to what a provider has stored
// and could be sent to another one, or nil. The request's body has been read.
func (x *exchange) checkStored() *llmprovider.Error {
	if !x.severalProviders() {
		return nil
	}
	what, param := "stored responses are", ""
	if x.in.Endpoint.Operation != llmprovider.StoredResponse {
		if param = x.in.StoredState(); param == "" {
			return nil
		}
		what = param + " is"
	}
	return &llmprovider.Error{
		Status: http.StatusBadRequest, Type: llmprovider.TypeInvalidRequest, Code: "stored_state_of_several_providers", Param: param,
		Message: what + " kept by the provider that made the response, and the gateway has several providers for this request; " +
			"send the whole conversation instead, or have the gateway's operator make a rule with one provider for it",
	}
}

// guardStored has all guards look at a stored response that are for the provider by rules of
// the request's host: which of them it was made by is not known, and those that match by
// model would not take a request that names none.
func (x *exchange) guardStored() {
	rules, targets, _ := x.lookup() // it had no error a moment ago
	guards := x.rule.Guards
	for i, rule := range rules {
		if !slices.ContainsFunc(targets[i], func(t target) bool { return t.provider == x.targets[0].provider }) {
			continue
		}
		guards = with(guards, rule.Guards)
	}
	if len(guards) > len(x.rule.Guards) {
		rule := *x.rule
		rule.Guards = guards
		x.rule = &rule
	}
}

// severalProviders reports whether the rule has backends of more than one provider.
func (x *exchange) severalProviders() bool {
	for i := range x.targets {
		if x.targets[i].provider != x.targets[0].provider {
			return true
		}
	}
	return false
}

// usageOfStored reports whether the usage of a stored response is still to be counted:
// that of others was when they were made. Of a response that was made in the background
// it is told whenever it is fetched, and is counted once.
func (x *exchange) usageOfStored(u *llmprovider.Usage) bool {
	id, _, _ := strings.Cut(strings.TrimPrefix(x.in.Endpoint.Suffix, llmprovider.ResponsesSuffix+"/"), "/")
	return u.Known && u.Background && x.provider.state.fetched.Add(id)
}
