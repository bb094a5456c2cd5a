package llmroute

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/internal/version"
	"github.com/caddy-llm/gateway/llmroute/authz"
	"github.com/caddy-llm/gateway/llmroute/httproute"
	"github.com/caddy-llm/gateway/llmroute/listen"
	"github.com/caddy-llm/gateway/llmroute/pool"
)

func init() {
	caddy.RegisterModule(AdminAPI{})
}

// AdminAPI adds to Caddy's admin endpoint `GET /llm`, the live state as JSON, with
// where each entry came from and without any key, and `/llm/limits`, where limits
// stand, with `POST /llm/limits/NAME/reset` and `POST /llm/limits/NAME/credit`, and
// `/llm/cache`, what the cache does, with `POST /llm/cache/purge`.
type AdminAPI struct{}

// CaddyModule returns the Caddy module information.
func (AdminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.llm",
		New: func() caddy.Module { return new(AdminAPI) },
	}
}

// Routes implements caddy.AdminRouter.
func (AdminAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: "/llm", Handler: caddy.AdminHandlerFunc(serveAdmin)},
		{Pattern: limitsPath, Handler: caddy.AdminHandlerFunc(serveLimits)},
		{Pattern: limitsPath + "/", Handler: caddy.AdminHandlerFunc(serveLimits)},
		{Pattern: cachePath, Handler: caddy.AdminHandlerFunc(serveCache)},
		{Pattern: cachePath + "/", Handler: caddy.AdminHandlerFunc(serveCache)},
	}
}

func serveAdmin(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		return errMethod(r, http.MethodGet)
	}
	app, err := activeApp()
	if err != nil {
		return err
	}
	return writeJSON(w, app.View())
}

// View is the live state of the gateway. It holds no key.
type View struct {
	Version      string         `json:"version"` // of the gateway, as in llm_build_info
	Ready        bool           `json:"ready"`
	Snapshot     uint64         `json:"snapshot"`
	Since        time.Time      `json:"since"`
	OpenRequests int            `json:"open_requests"`
	Providers    []ProviderView `json:"providers"`
	Routes       []RouteView    `json:"routes"`
	Listeners    []ListenerView `json:"listeners,omitempty"`
	Findings     []Finding      `json:"findings,omitempty"`

	// Authorization is nil if all requests to Gateways may pass and llm_authz has
	// refused none.
	Authorization *authz.View `json:"authorization,omitempty"`
}

// maxAdminEndpoints is the most endpoints of a pool in a View.
const maxAdminEndpoints = 1000

// ProviderView is a provider in a View.
type ProviderView struct {
	Name     string   `json:"name"`
	Host     string   `json:"host"`
	Origin   string   `json:"origin"`
	KeyFrom  string   `json:"key_from,omitempty"`
	Models   []string `json:"models,omitempty"`
	InFlight int64    `json:"in_flight"`
	// CoolingUntil is set while other providers are preferred.
	CoolingUntil *time.Time `json:"cooling_until,omitempty"`
	// Pool is set if the provider has several servers, and lists at most 1,000 of them.
	Pool *pool.View `json:"pool,omitempty"`
}

// ListenerView is a listener of the gateway's own in a View.
type ListenerView struct {
	*listen.Listener
	// Problem says why nothing listens there.
	Problem string `json:"problem,omitempty"`
}

// RouteView is a route in a View.
type RouteView struct {
	Table    string     `json:"table,omitempty"`
	Hosts    []string   `json:"hosts,omitempty"`
	Origin   string     `json:"origin"`
	Unusable string     `json:"unusable,omitempty"`
	Rules    []RuleView `json:"rules"`
}

// RuleView is a rule in a View.
type RuleView struct {
	Name     string             `json:"name,omitempty"`
	Backends []*Backend         `json:"backends"`
	Targets  []httproute.Target `json:"targets,omitempty"` // of a rule with a handler
	Missing  []string           `json:"missing,omitempty"` // providers that there are none of
}

// View returns the live state.
func (a *App) View() View {
	s := a.snapshot()
	v := View{Version: version.Gateway(), Ready: a.unready() == "", Snapshot: s.number, Since: s.made, OpenRequests: a.open.count(), Providers: []ProviderView{}, Routes: []RouteView{}}
	names := make([]string, 0, len(s.providers))
	for name := range s.providers {
		names = append(names, name)
	}
	now := time.Now()
	for _, name := range sorted(names) {
		p := s.providers[name]
		pv := ProviderView{
			Name: name, Host: p.host, Origin: p.origin, KeyFrom: p.CredentialRef(""), Models: p.ConfiguredModels(), InFlight: p.state.InFlight.Load(),
		}
		pv.Pool = p.poolView(now, maxAdminEndpoints)
		if until := p.state.Pauses.Until(now); !until.IsZero() {
			pv.CoolingUntil = &until
		}
		v.Providers = append(v.Providers, pv)
	}
	for i, h := range a.handlers {
		v.Routes = append(v.Routes, RouteView{Origin: "llm_route", Rules: rulesView(h.Rules, s.static[i])})
	}
	tables := make([]string, 0, len(s.tables))
	for name := range s.tables {
		tables = append(tables, name)
	}
	for _, name := range sorted(tables) {
		for _, e := range s.tables[name].entries {
			v.Routes = append(v.Routes, RouteView{Table: name, Hosts: e.Hosts, Origin: e.Origin, Unusable: e.Unusable, Rules: rulesView(e.Rules, e.targets)})
		}
	}
	for _, address := range slices.Sorted(maps.Keys(s.listeners)) {
		v.Listeners = append(v.Listeners, ListenerView{s.listeners[address].Listener, a.gateways.Problem(address)})
	}
	if s.state != nil {
		v.Findings = s.state.Findings
	}
	var policies *authz.Config
	if s.state != nil {
		policies = s.state.Authorization
	}
	v.Authorization = a.denials.View(policies)
	return v
}

func rulesView(rules []*Rule, targets [][]target) []RuleView {
	out := make([]RuleView, 0, len(rules))
	for i, rule := range rules {
		rv := RuleView{Name: rule.Name, Backends: rule.Backends, Targets: rule.handlerTargets()}
		if rv.Backends == nil {
			rv.Backends = []*Backend{}
		}
		for j := range targets[i] {
			if targets[i][j].provider == nil {
				rv.Missing = append(rv.Missing, rule.Backends[j].Provider)
			}
		}
		out = append(out, rv)
	}
	return out
}

// Interface guards
var _ caddy.AdminRouter = (*AdminAPI)(nil)
