package status

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/internal/version"
	"github.com/caddy-llm/gateway/llmroute/authz"
	"github.com/caddy-llm/gateway/llmroute/httproute"
	"github.com/caddy-llm/gateway/llmroute/listen"
	"github.com/caddy-llm/gateway/llmroute/pool"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

func init() {
	caddy.RegisterModule(AdminAPI{})
}

// AdminAPI adds to Caddy's admin endpoint `GET /llm`, the live state as JSON, with
// where each entry came from and without any key, and `/llm/limits`, where limits
// stand, with `POST /llm/limits/NAME/reset` and `POST /llm/limits/NAME/credit`, and
// `/llm/cache`, what the cache does, with `POST /llm/cache/purge`.
type AdminAPI struct {
	// App is what is shown. Default: the llm app of the configuration in use.
	App App `json:"-"`
}

// CaddyModule returns the Caddy module information.
func (AdminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.llm",
		New: func() caddy.Module { return new(AdminAPI) },
	}
}

// Routes implements caddy.AdminRouter.
func (a AdminAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: "/llm", Handler: caddy.AdminHandlerFunc(a.serveAdmin)},
		{Pattern: limitsPath, Handler: caddy.AdminHandlerFunc(a.serveLimits)},
		{Pattern: limitsPath + "/", Handler: caddy.AdminHandlerFunc(a.serveLimits)},
		{Pattern: cachePath, Handler: caddy.AdminHandlerFunc(a.serveCache)},
		{Pattern: cachePath + "/", Handler: caddy.AdminHandlerFunc(a.serveCache)},
	}
}

func (a AdminAPI) serveAdmin(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		return errMethod(r, http.MethodGet)
	}
	app, err := a.app()
	if err != nil {
		return err
	}
	return writeJSON(w, ViewOf(app))
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
	Findings     []spec.Finding `json:"findings,omitempty"`

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
	Backends []*spec.Backend    `json:"backends"`
	Targets  []httproute.Target `json:"targets,omitempty"` // of a rule with a handler
	Missing  []string           `json:"missing,omitempty"` // providers that there are none of
}

// ViewOf returns the live state.
func ViewOf(app App) View {
	g := app.Gateway()
	v := View{
		Version: version.Gateway(), Ready: g.Unready == "", Snapshot: g.Number, Since: g.Made, OpenRequests: g.OpenRequests, Providers: []ProviderView{}, Routes: []RouteView{},
		Listeners: g.Listeners, Findings: g.Findings, Authorization: g.Authorization,
	}
	now := time.Now()
	for i := range g.Providers {
		p := &g.Providers[i]
		pv := ProviderView{
			Name: p.Name, Host: p.Host, Origin: p.Origin, KeyFrom: p.CredentialRef(""), Models: p.ConfiguredModels(), InFlight: p.State.InFlight.Load(),
			Pool: p.poolView(now, maxAdminEndpoints),
		}
		if until := p.State.Pauses.Until(now); !until.IsZero() {
			pv.CoolingUntil = &until
		}
		v.Providers = append(v.Providers, pv)
	}
	slices.SortFunc(v.Providers, func(a, b ProviderView) int { return strings.Compare(a.Name, b.Name) })
	for _, r := range g.Routes {
		v.Routes = append(v.Routes, RouteView{Table: r.Table, Hosts: r.Hosts, Origin: r.Origin, Unusable: r.Unusable, Rules: rulesView(r.Rules())})
	}
	return v
}

func rulesView(rules []Rule) []RuleView {
	out := make([]RuleView, 0, len(rules))
	for _, rule := range rules {
		rv := RuleView{Name: rule.Name, Backends: []*spec.Backend{}, Targets: rule.Targets}
		for _, b := range rule.Backends {
			rv.Backends = append(rv.Backends, b.Backend)
			if b.Missing {
				rv.Missing = append(rv.Missing, b.Provider)
			}
		}
		out = append(out, rv)
	}
	return out
}

// Interface guards
var _ caddy.AdminRouter = (*AdminAPI)(nil)
