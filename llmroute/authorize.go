package llmroute

import (
	"net/http"
	"reflect"
	"slices"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/authz"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// authorization is what the state asks of requests, taken over from old if that
// asks the same; nil if it asks nothing.
func (a *App) authorization(old *snapshot, state *spec.State) *authz.Set {
	if state.Authorization == nil {
		return nil
	}
	if old != nil && old.authz != nil && reflect.DeepEqual(old.state.Authorization, state.Authorization) {
		return old.authz
	}
	set, _ := authz.New(state.Authorization, a.logger.Named("authz")) // the source has found the problems
	set.UseBodies(a.StrangerBodies())
	return set
}

// authorize holds the request to the policies in force. It returns what decided
// against it, or nil.
func (x *exchange) authorize() *authz.Decision {
	if x.snap.authz == nil || !x.governs {
		return nil
	}
	set := x.snap.authz
	if set.HasGateways() {
		set = set.For(x.gateways())
	}
	decide := set.Authorize
	if x.mayMergeSlashes() {
		decide = set.AuthorizeMerged
	}
	d := decide(x.w.Header(), x.r, x.snap, x.ports...) // by which it is routed
	if d.Refusal == nil {
		x.token = d.Token
		return nil
	}
	return &d
}

// gateways are those that the request may have come in by.
func (x *exchange) gateways() []string {
	if x.live == nil {
		return []string{x.table} // of a site
	}
	return x.live.GatewaysOf(x.r.Host)
}

// mayMergeSlashes reports whether the path has several slashes in a row, as in //admin, and the
// request may get to a server other than a provider, which may read these as one: policies
// compare paths with all their slashes.
func (x *exchange) mayMergeSlashes() bool {
	if !authz.HasSlashesInRow(x.r.URL.Path) {
		return false
	}
	rules, _, _ := x.lookup()
	return slices.ContainsFunc(rules, func(r *spec.Rule) bool { return r.HasHandler() || r.PassOther })
}

// deny answers a request that policies do not let pass.
func (x *exchange) deny(d *authz.Decision) error {
	x.Denial = d
	x.Failure = &llmprovider.Error{Status: d.Refusal.Status, Code: authz.ErrorCode, Message: d.Reason}
	x.h.app.denied(x.r, d)
	d.Log(x.h.logger, x.r)
	llmprovider.CloseIfExpectContinue(x.w, x.r)
	return d.Refusal.Write(x.w)
}

// RecordDenial implements authz.Recorder, for llm_authz.
func (a *App) RecordDenial(r *http.Request, d *authz.Decision) {
	a.metrics.CountRefusal(authz.ErrorCode)
	a.denied(r, d)
}

// denied counts a request that may not pass, and remembers it.
func (a *App) denied(r *http.Request, d *authz.Decision) {
	a.metrics.Denied(d.Policy, d.Rule)
	a.denials.Add(r, d)
}

// StrangerBodies is the bound on the bodies of clients who are not known yet.
func (a *App) StrangerBodies() *llmprovider.Budget { return &a.bodies.Strangers }

// Has implements authz.Providers, for llm_authz.
func (a *App) Has(e llmprovider.Endpoint) bool { return a.snapshot().Has(e) }

// Has implements authz.Providers.
func (s *snapshot) Has(e llmprovider.Endpoint) bool {
	for _, p := range s.providers {
		if p.Has(e) {
			return true
		}
	}
	return false
}

// Interface guards
var (
	_ authz.Recorder  = (*App)(nil)
	_ authz.Providers = (*App)(nil)
	_ authz.Providers = (*snapshot)(nil)
)
