package llmroute

import (
	"maps"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-llm/gateway/llmroute/authz"
	"github.com/caddy-llm/gateway/llmroute/listen"
	"github.com/caddy-llm/gateway/llmroute/spec"
	"github.com/caddy-llm/gateway/llmroute/status"
	"github.com/caddy-llm/gateway/llmroute/virtualkey"
)

// Gateway implements status.App: what there is to show of the gateway now.
func (a *App) Gateway() *status.Gateway {
	s := a.snapshot()
	g := &status.Gateway{
		Unready: a.Unready(), Number: s.number, Made: s.made, Limits: a.limitSet(), Guards: s.chains.guards, Metrics: a.metrics, Currency: a.currency(),
		OpenRequests: a.open.Count(), EachOpen: eachOpen, Providers: make([]status.Provider, 0, len(s.providers)),
	}
	if a.caches.Load() {
		g.Cache = a.cache
	}
	for _, p := range s.providers {
		g.Providers = append(g.Providers, status.Provider{Provider: p.Provider, Name: p.name, Host: p.host, Origin: p.origin, State: p.state.Provider, Pool: p.pool})
	}
	for i, h := range a.handlers {
		g.Routes = append(g.Routes, status.Route{Origin: "llm_route", Rules: shownRules(h.Rules, s.static[i])})
	}
	for _, name := range slices.Sorted(maps.Keys(s.tables)) {
		for _, e := range s.tables[name].entries {
			g.Routes = append(g.Routes, status.Route{Table: name, Hosts: e.Hosts, Origin: e.Origin, Unusable: e.Unusable, Rules: shownRules(e.Rules, e.targets)})
		}
	}
	for _, address := range slices.Sorted(maps.Keys(s.listeners)) {
		g.Listeners = append(g.Listeners, status.ListenerView{Listener: s.listeners[address].Listener, Problem: a.gateways.Problem(address)})
	}
	var policies *authz.Config
	if s.state != nil {
		g.Findings, policies = s.state.Findings, s.state.Authorization
	}
	g.Authorization = a.denials.View(policies)
	return g
}

// shownRules returns what makes the rules of a route, as they are shown.
func shownRules(rules []*spec.Rule, targets [][]target) func() []status.Rule {
	return func() []status.Rule {
		out := make([]status.Rule, 0, len(rules))
		for i, rule := range rules {
			r := status.Rule{Name: rule.Name, Matchers: rule.MatchedBy(), Attempts: rule.Attempts, Targets: rule.HandlerTargets()}
			for j := range targets[i] {
				t := &targets[i][j]
				r.Backends = append(r.Backends, status.Backend{Backend: t.Backend, Missing: t.provider == nil, Usable: t.usable()})
			}
			out = append(out, r)
		}
		return out
	}
}

// KeepHistory implements status.App.
func (a *App) KeepHistory() { a.hasPage = true }

// Registry implements status.App.
func (a *App) Registry() *prometheus.Registry { return a.ctx.GetMetricsRegistry() }

// startStatus starts the status listener.
func (a *App) startStatus() (*listen.Running, error) {
	settings := map[string]any{"page": a.StatusPage == nil || *a.StatusPage, "hosts": append([]string{"localhost"}, a.StatusHosts...)}
	return listen.Start(a.ctx, a, "llm_status", &caddyhttp.Server{Listen: []string{a.StatusListen}, Protocols: []string{"h1"}}, settings)
}

// recordHistory records while the app is in use.
func (a *App) recordHistory() {
	tick := time.NewTicker(time.Second) // often, so that counts fall into the right part
	defer tick.Stop()
	for now := time.Now(); ; {
		a.metrics.Record(now, a.currency(), openCount())
		select {
		case <-a.done:
			return
		case now = <-tick.C:
		}
	}
}

// currency is that of the prices, empty without any.
func (a *App) currency() string {
	if a.prices == nil {
		return ""
	}
	return a.prices.Get().Currency
}

// shown is what the status page tells of a request that is being served. The
// exchange's own fields cannot be read while the request goes on.
type shown struct {
	provider, rule, model string // of the attempt under way
	client                *virtualkey.Client
	stream                bool
	answering             bool // the first byte of the response's body has come
}

// show makes known what attempt is under way.
func (x *exchange) show(s shown) {
	x.mu.Lock()
	x.shown = s
	x.mu.Unlock()
}

// showAnswer makes known that the response has begun.
func (x *exchange) showAnswer() {
	x.mu.Lock()
	x.shown.answering = true
	x.mu.Unlock()
}

// eachOpen calls f with the requests that are being served, those of configurations
// that were replaced included.
func eachOpen(f func(*status.Open)) {
	serving.Range(func(app, _ any) bool {
		app.(*App).open.Each(func(x *exchange) {
			x.mu.Lock()
			s := x.shown
			x.mu.Unlock()
			o := status.Open{Began: x.Began, Provider: s.provider, Rule: s.rule, Model: s.model, Stream: s.stream, Answering: s.answering}
			if s.client != nil {
				o.Client = s.client.Name
			}
			f(&o)
		})
		return true
	})
}

// openCount is how many requests are being served, those of configurations that
// were replaced included.
func openCount() (n int) {
	serving.Range(func(app, _ any) bool {
		n += app.(*App).open.Count()
		return true
	})
	return n
}

// Interface guard
var _ status.App = (*App)(nil)
