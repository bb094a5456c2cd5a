package authz

import (
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/caddy-llm/gateway/llmprovider"
)

// maxDenials is how many refusals the admin endpoint remembers.
const maxDenials = 20

// Denials are the requests that were refused last.
type Denials struct {
	mu   sync.Mutex
	last [maxDenials]DenialView
	n    int // that were added so far
}

// Add remembers a request that was refused.
func (d *Denials) Add(r *http.Request, decision *Decision) {
	v := DenialView{
		Time: time.Now(), Policy: decision.Policy, Reason: decision.Reason, Status: decision.Refusal.Status,
		Method: llmprovider.Bounded(r.Method), Host: llmprovider.Bounded(r.Host), Path: llmprovider.Bounded(r.URL.Path), RemoteIP: PeerOf(r),
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
func (d *Denials) view() []DenialView {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]DenialView, 0, min(d.n, maxDenials))
	for i := range min(d.n, maxDenials) {
		out = append(out, d.last[(d.n-1-i)%maxDenials])
	}
	return out
}

// View is what requests to Gateways are held to, for the admin endpoint.
type View struct {
	Policies []PolicyView `json:"policies"`
	Issuers  []string     `json:"issuers,omitempty"`
	ExtAuthz []string     `json:"ext_authz,omitempty"`
	// Denied are the requests that were refused last, the latest first; also those
	// that llm_authz refused.
	Denied []DenialView `json:"denied"`
}

// PolicyView is a policy in a View.
type PolicyView struct {
	Name     string `json:"name"`
	Action   Action `json:"action"`
	Provider string `json:"provider,omitempty"`
	Rules    int    `json:"rules"`
	DryRun   bool   `json:"dry_run,omitempty"`
	// Gateways are those whose requests it is for, none for all.
	Gateways []string `json:"gateways,omitempty"`
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

// View returns what requests are held to by policies, which may be nil, and the requests that
// were refused last. It is nil where there are neither.
func (d *Denials) View(config *Config) *View {
	denied := d.view()
	switch {
	case config != nil:
	case len(denied) == 0:
		return nil
	default:
		config = new(Config)
	}
	v := &View{Policies: make([]PolicyView, 0, len(config.Policies)), Denied: denied}
	for _, p := range config.Policies {
		v.Policies = append(v.Policies, PolicyView{Name: p.Name, Action: p.Action, Provider: p.Provider, Rules: len(p.Rules), DryRun: p.DryRun, Gateways: p.Gateways})
	}
	for _, rule := range config.JWT {
		v.Issuers = append(v.Issuers, rule.Issuer)
	}
	for name := range config.ExtAuthz {
		v.ExtAuthz = append(v.ExtAuthz, name)
	}
	slices.Sort(v.ExtAuthz)
	return v
}
