package llmroute

import (
	"net/http"
	"reflect"
	"strconv"
	"sync"
	"time"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/authz"
)

// maxDenials is how many refusals the admin endpoint remembers.
const maxDenials = 20

// authorization is what the state asks of requests, taken over from old if that
// asks the same; nil if it asks nothing.
func (a *App) authorization(old *snapshot, state *State) *authz.Set {
	if state.Authorization == nil {
		return nil
	}
	if old != nil && old.authz != nil && reflect.DeepEqual(old.state.Authorization, state.Authorization) {
		return old.authz
	}
	set, _ := authz.New(state.Authorization, a.logger.Named("authz")) // the source has found the problems
	return set
}

// authorize holds the request to the policies in force. It returns what decided
// against it, or nil.
func (x *exchange) authorize() *authz.Decision {
	if x.snap.authz == nil || !x.governs {
		return nil
	}
	d := x.snap.authz.Authorize(x.w.Header(), x.r, x.h.app, x.ports...)
	if d.Refusal == nil {
		x.token = d.Token
		return nil
	}
	return &d
}

// deny answers a request that policies do not let pass.
func (x *exchange) deny(d *authz.Decision) error {
	x.denied = d
	x.failure = &llmprovider.Error{Status: d.Refusal.Status, Code: authz.ErrorCode, Message: d.Reason}
	x.h.app.denied(x.r, d)
	d.Log(x.h.logger, x.r)
	closeIfExpectContinue(x.w, x.r)
	return d.Refusal.Write(x.w)
}

// RecordDenial implements authz.Recorder, for llm_authz.
func (a *App) RecordDenial(r *http.Request, d *authz.Decision) {
	a.metrics.countRefusal(authz.ErrorCode)
	a.denied(r, d)
}

// denied counts a request that may not pass, and remembers it.
func (a *App) denied(r *http.Request, d *authz.Decision) {
	a.metrics.denied.WithLabelValues(d.Policy, ruleNumber(d.Rule)).Inc()
	a.denials.add(r, d)
}

func ruleNumber(rule int) string {
	if rule < 0 {
		return ""
	}
	return strconv.Itoa(rule)
}

// denials are the requests that were refused last.
type denials struct {
	mu   sync.Mutex
	last [maxDenials]DenialView
	n    int // that were added so far
}

func (d *denials) add(r *http.Request, decision *authz.Decision) {
	v := DenialView{
		Time: time.Now(), Policy: decision.Policy, Reason: decision.Reason, Status: decision.Refusal.Status,
		Method: bounded(r.Method), Host: bounded(r.Host), Path: bounded(r.URL.Path), RemoteIP: authz.PeerOf(r),
	}
	if decision.Rule >= 0 {
		v.Rule = &decision.Rule
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last[d.n%maxDenials] = v
	d.n++
}

// view returns them, the latest first.
func (d *denials) view() []DenialView {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]DenialView, 0, min(d.n, maxDenials))
	for i := range min(d.n, maxDenials) {
		out = append(out, d.last[(d.n-1-i)%maxDenials])
	}
	return out
}

// AuthorizationView is what requests to Gateways are held to, in a View.
type AuthorizationView struct {
	Policies []PolicyView `json:"policies"`
	Issuers  []string     `json:"issuers,omitempty"`
	ExtAuthz []string     `json:"ext_authz,omitempty"`
	// Denied are the requests that were refused last, the latest first; also those
	// that llm_authz refused.
	Denied []DenialView `json:"denied"`
}

// PolicyView is a policy in a View.
type PolicyView struct {
	Name     string       `json:"name"`
	Action   authz.Action `json:"action"`
	Provider string       `json:"provider,omitempty"`
	Rules    int          `json:"rules"`
	DryRun   bool         `json:"dry_run,omitempty"`
}

// DenialView is a request that was refused, in a View.
type DenialView struct {
	Time     time.Time `json:"time"`
	Status   int       `json:"status"`
	Policy   string    `json:"policy,omitempty"`
	Rule     *int      `json:"rule,omitempty"` // from 0
	Reason   string    `json:"reason"`
	Method   string    `json:"method"`
	Host     string    `json:"host"`
	Path     string    `json:"path"`
	RemoteIP string    `json:"remote_ip"`
}

func (a *App) authorizationView(state *State) *AuthorizationView {
	denied := a.denials.view()
	config := new(authz.Config)
	switch {
	case state != nil && state.Authorization != nil:
		config = state.Authorization
	case len(denied) == 0:
		return nil
	}
	v := &AuthorizationView{Policies: make([]PolicyView, 0, len(config.Policies)), Denied: denied}
	for _, p := range config.Policies {
		v.Policies = append(v.Policies, PolicyView{Name: p.Name, Action: p.Action, Provider: p.Provider, Rules: len(p.Rules), DryRun: p.DryRun})
	}
	for _, rule := range config.JWT {
		v.Issuers = append(v.Issuers, rule.Issuer)
	}
	for name := range config.ExtAuthz {
		v.ExtAuthz = append(v.ExtAuthz, name)
	}
	sorted(v.ExtAuthz)
	return v
}

// Has implements authz.Providers.
func (a *App) Has(e llmprovider.Endpoint) bool {
	for _, p := range a.snapshot().providers {
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
)
