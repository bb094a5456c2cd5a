package llmroute

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/internal/host"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
	"github.com/caddy-llm/gateway/llmroute/authz"
	"github.com/caddy-llm/gateway/llmroute/filter"
	"github.com/caddy-llm/gateway/llmroute/life"
	"github.com/caddy-llm/gateway/llmroute/limit/inforce"
	"github.com/caddy-llm/gateway/llmroute/listen"
	"github.com/caddy-llm/gateway/llmroute/pool"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// snapshot is everything that requests are routed by at one time. It is
// immutable; a request uses the one it began with to its end.
type snapshot struct {
	providers map[string]*provider // by name
	byHost    map[string]*provider
	tables    map[string]*table
	listeners map[string]*listen.Live // by address
	static    [][][]target            // the targets of each llm_route's own rules
	authz     *authz.Set              // nil if all may pass
	limits    *inforce.Live           // nil without
	chains    chains                  // of filters, limits included
	state     *spec.State             // what the source said, nil without one
	routes    map[string]*liveRoute   // the source's, by table and origin
	made      time.Time
	number    uint64       // in the order of use, through reloads
	life      *life.Life   // nil if it has nothing of a source
	lives     []*life.Life // of what it has of a source
}

// provider is a provider in use.
type provider struct {
	llmprovider.Provider
	name   string
	host   string
	origin string
	spec   llmprovider.Provider // what a source said; nil for one of the configuration

	guards, prompts []string // that a source, or its configuration, named for all requests to it

	state *providerState
	life  *life.Life // nil for one of the configuration

	config providerConfig

	pool    *pool.Pool        // nil if it is one server
	servers *upstream.Servers // what the pool is made of

	// The route that the provider has by itself, to its own host.
	rules       [1]*spec.Rule
	targets     [1]target
	ruleTargets [1][]target // targets, as those of a list of rules
}

// target is a backend with its provider, or without one if there is none.
type target struct {
	*spec.Backend
	*provider
	model *llmprovider.FixedModel // the backend's own, or nil
}

// usable reports whether requests can be sent there at all.
func (t *target) usable() bool { return t.provider != nil && t.Unusable == "" && t.Share() > 0 }

// settings are those of the provider that requests of the rule use.
func (t *target) settings(rule *spec.Rule) llmprovider.Settings {
	s := llmprovider.Settings{Rule: rule.Name, Model: t.model, Strict: rule.Translation == spec.TranslationStrict}
	if t.DefaultSettings {
		s.Rule = ""
	}
	return s
}

// resolve looks up the providers of the rules' backends.
func (s *snapshot) resolve(rules []*spec.Rule) [][]target {
	out := make([][]target, len(rules))
	for i, rule := range rules {
		out[i] = make([]target, len(rule.Backends))
		for j, b := range rule.Backends {
			out[i][j] = target{b, s.providers[b.Provider], llmprovider.NewFixedModel(b.Model)}
		}
	}
	return out
}

// build makes the snapshot that follows from the configuration and state.
// Providers and routes that did not change are taken over from old, which may
// be nil. What cannot be set up is left out and reported; nothing else suffers.
func (a *App) build(old *snapshot, state *spec.State) *snapshot {
	next := &snapshot{
		providers: make(map[string]*provider), byHost: make(map[string]*provider), tables: make(map[string]*table),
		listeners: make(map[string]*listen.Live), routes: make(map[string]*liveRoute), state: state, made: time.Now(),
	}
	for name, p := range a.static {
		next.add(name, p)
	}
	entries := a.resolveRules(next)
	a.addListeners(next, a.Listeners)
	if state != nil {
		a.addListeners(next, state.Listeners)
		a.addLive(next, old, entries)
		next.authz = a.authorization(old, state)
	} else if first, ok := a.source.(spec.EarlyListener); ok {
		a.addListeners(next, first.Listeners())
	}
	for name, list := range entries {
		next.tables[name] = newTable(list)
	}
	if state == nil {
		next.limits = a.limitsOf(nil, next, old)
	}
	next.chains = newChains(a.guardsWith(old, state), a.promptsWith(old, state), next.limits.Filter())
	return next
}

// resolveRules adds the rules of the configuration's handlers, and returns its routes by table.
func (a *App) resolveRules(s *snapshot) map[string][]*routeEntry {
	for _, handler := range a.handlers {
		s.static = append(s.static, s.resolve(handler.Rules))
	}
	entries := make(map[string][]*routeEntry)
	for name, routes := range a.Routes {
		for _, route := range routes {
			entries[name] = append(entries[name], &routeEntry{Route: route, targets: s.resolve(route.Rules)})
		}
	}
	return entries
}

// addLive adds what the source supplies.
func (a *App) addLive(next, old *snapshot, entries map[string][]*routeEntry) {
	next.life = life.New(next.end)
	g := life.NewGeneration(a.ctx)
	defer g.Release()
	for _, said := range next.state.Providers {
		if p := a.liveProvider(g, old, said); p != nil {
			next.lives = append(next.lives, p.life)
			next.add(said.Name, p)
		}
	}
	for name, routes := range next.state.Tables {
		if !a.served[name] && !next.listensFor(name) && name != listen.MeshTable {
			continue // a Gateway's table for sites, of which none has it
		}
		for _, route := range routes {
			ready, err := a.liveRoute(g, next, old, name, route)
			if err != nil {
				a.logger.Error("route left out", zap.String("origin", route.Origin), zap.Error(err))
				ready = &spec.Route{Hosts: route.Hosts, Origin: route.Origin, Unusable: "InvalidRoute"}
			}
			entries[name] = append(entries[name], &routeEntry{Route: ready, targets: next.resolve(ready.Rules)})
		}
	}
	next.limits = a.limitsOf(g, next, old)
	next.lives = append(next.lives, next.limits.Life())
}

// end lets go of what the snapshot has of a source.
func (s *snapshot) end() {
	for _, l := range s.lives {
		l.Release()
	}
}

// governed reports whether the source's policies hold for what a table routes: it is
// that of a Gateway. Those of a sidecar are its own application's.
func (s *snapshot) governed(table string) bool {
	return table != "" && table != listen.MeshTable && s.state != nil && s.state.Tables[table] != nil
}

func (s *snapshot) add(name string, p *provider) {
	if p.pool != nil {
		p.pool.Start()
	}
	s.providers[name] = p
	host, _ := host.Name(p.host)
	if first := s.byHost[host]; first == nil || first.spec != nil && p.spec == nil || first.spec == nil == (p.spec == nil) && name < first.name {
		s.byHost[host] = p
	}
}

// providerOf returns the provider that has a request's host as its own, or nil.
func (s *snapshot) providerOf(sent string) *provider {
	name, ok := host.Name(sent)
	if !ok {
		return nil
	}
	return s.byHost[name]
}

// liveProvider provisions a provider of the source, or takes it over from old.
func (a *App) liveProvider(g *life.Generation, old *snapshot, said *spec.Provider) *provider {
	if old != nil {
		if p := old.providers[said.Name]; p != nil && p.spec != nil && p.origin == said.Origin && slices.Equal(p.guards, said.Guards) &&
			slices.Equal(p.prompts, said.Prompts) && reflect.DeepEqual(p.spec, said.Provider) && p.life.Hold() {
			p.setEndpoints(said.Endpoints)
			return p
		}
	}
	module := said.Provider.Copy()
	var p *provider
	held, ctx := g.Member(func() {
		if cleaner, ok := module.(caddy.CleanerUpper); ok { // as Caddy does, also for one whose Provision failed
			_ = cleaner.Cleanup()
		}
		if p != nil {
			p.release()
		}
	})
	if provisioner, ok := module.(caddy.Provisioner); ok {
		if err := provisioner.Provision(ctx); err != nil {
			held.Release()
			a.logger.Error("provider left out", zap.String("provider", said.Name), zap.String("origin", said.Origin), zap.Error(err))
			return nil
		}
	}
	p = a.newProvider(said.Name, module, said.Endpoints)
	p.origin, p.spec, p.life = said.Origin, said.Provider, held
	p.guards, p.prompts = said.Guards, said.Prompts
	if namespace, short, ok := strings.Cut(said.Name, "/"); ok {
		p.rules[0].Object = filter.Object{Namespace: namespace, Name: short}
	}
	return p
}

func (a *App) newProvider(name string, module llmprovider.Provider, endpoints []string) *provider {
	host := module.ServerAddress()
	p := &provider{Provider: module, name: name, host: host, state: acquireState(name)}
	p.pool, p.servers = a.newPool(name, module, p.state, endpoints)
	rule := &spec.Rule{Backends: []*spec.Backend{{Provider: name}}, Attempts: 1}
	p.rules[0], p.targets[0] = rule, target{Backend: rule.Backends[0], provider: p}
	p.ruleTargets[0] = p.targets[:]
	return p
}

// release gives back what the provider holds, but for its module.
func (p *provider) release() {
	if p.pool != nil {
		p.pool.Close()
	}
	releaseState(p.name)
}

// liveRoute is a route of the source: what it said, and what was made of it.
type liveRoute struct {
	spec, ready *spec.Route
	life        *life.Life // nil if its modules hold nothing
}

// liveRoute provisions a route of the source, or takes over one that is equal.
func (a *App) liveRoute(g *life.Generation, s, old *snapshot, table string, route *spec.Route) (*spec.Route, error) {
	key := table + " " + route.Origin + " " + strings.Join(route.Hosts, " ")
	if old != nil {
		if l := old.routes[key]; l != nil && reflect.DeepEqual(l.spec, route) && l.life.Hold() {
			s.routes[key] = l
			s.lives = append(s.lives, l.life)
			return l.ready, nil
		}
	}
	ready := route.Copy()
	var held *life.Life
	ctx := g.Context()
	if slices.ContainsFunc(ready.Rules, (*spec.Rule).MayHold) {
		held, ctx = g.Member(func() {})
	}
	for i, rule := range ready.Rules {
		rule.SetLife(held)
		// Guards and prompts without a definition are ones that cannot be used, and refuse
		// requests.
		if err := rule.Provision(ctx); err != nil {
			held.Release()
			return nil, fmt.Errorf("rule %d %s: %w", i+1, rule.Name, err)
		}
		if rule.Cache != nil {
			rule.SetCacheFilter(a.cacheOf(rule))
		}
	}
	s.routes[key] = &liveRoute{route, ready, held}
	s.lives = append(s.lives, held)
	return ready, nil
}
