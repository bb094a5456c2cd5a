package status

import (
	"slices"
	"time"

	"github.com/caddy-llm/gateway/internal/version"
	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/meter"
	"github.com/caddy-llm/gateway/llmroute/pool"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

const (
	// maxViewRows is the most rows of each list in a Page.
	maxViewRows = 50
	// maxViewParts is the most hosts, rules, backends and models in one row.
	maxViewParts = 10
)

// Page is what the status page shows: figures of the last five minutes
// and since the process began, the providers, routes and findings of the
// snapshot in use, and the requests that are being served. It has no key, no
// text of prompts and responses, no header, no address of a client, and no more
// than 50 rows in each list.
type Page struct {
	Now     time.Time `json:"now"`
	Started time.Time `json:"started"` // when counting began
	Version string    `json:"version"` // of the gateway, as in llm_build_info
	Ready   bool      `json:"ready"`
	// Reason is why the gateway is not ready.
	Reason    string `json:"reason,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Workload  string `json:"workload,omitempty"`

	// Snapshot is the number of the state in use, Since when it was made.
	Snapshot uint64    `json:"snapshot"`
	Since    time.Time `json:"since"`

	// Currency is that of all costs, empty without prices.
	Currency string `json:"currency,omitempty"`

	// Recent is what the last WindowSeconds brought, Total all since Started.
	// Requests count once each, however many attempts they took.
	WindowSeconds float64              `json:"window_seconds"`
	Recent        meter.Figures        `json:"recent"`
	Total         meter.Figures        `json:"total"`
	History       meter.HistoryFigures `json:"history"`

	// OpenRequests and OpenStreams are being served.
	OpenRequests int           `json:"open_requests"`
	OpenStreams  int           `json:"open_streams"`
	Open         List[OpenRow] `json:"open"`

	Providers List[ProviderRow]  `json:"providers"`
	Routes    List[RouteRow]     `json:"routes"`
	Listeners List[ListenerRow]  `json:"listeners"`
	Findings  List[spec.Finding] `json:"findings"`

	// Limits are where limits stand, since the process began.
	Limits List[limit.View] `json:"limits"`

	// Guards are what guards did, since the process began.
	Guards List[GuardRow] `json:"guards"`

	// Cache is what the cache does; missing if no rule uses it.
	Cache *CacheView `json:"cache,omitempty"`
}

// List is a list that was cut to what a page can show.
type List[T any] struct {
	Rows []T `json:"rows"`
	// Matching is how many there are that match the filter, All how many without.
	Matching int `json:"matching"`
	All      int `json:"all"`
}

// cut makes a list of those that match, in order, from n that there are.
func cut[T any](matching []T, n int) List[T] {
	return List[T]{append([]T{}, matching[:min(len(matching), maxViewRows)]...), len(matching), n}
}

// ProviderRow is a provider in a Page.
type ProviderRow struct {
	Name   string   `json:"name"`
	Host   string   `json:"host"`
	Origin string   `json:"origin"`
	Models []string `json:"models,omitempty"`
	// State is one of the constants below.
	State string `json:"state"`
	// CoolingSeconds is for how much longer other providers are preferred.
	CoolingSeconds float64             `json:"cooling_seconds,omitempty"`
	InFlight       int64               `json:"in_flight"`
	Recent         meter.Figures       `json:"recent"`
	Total          meter.Figures       `json:"total"`
	Rules          []meter.RuleFigures `json:"rules,omitempty"`
	// Pool is set if the provider has several servers.
	Pool *pool.View `json:"pool,omitempty"`
}

// The states of a provider in a Page.
const (
	StateIdle    = "idle"    // no attempt in the last five minutes
	StateWorking = "working" // no attempt failed
	StateErrors  = "errors"  // some attempts failed
	StateFailing = "failing" // at least half of the attempts failed
	StateCooling = "cooling" // other providers are preferred for a while
	StateNoKey   = "no_key"  // a key that the configuration names is unavailable
)

// RouteRow is a route in a Page.
type RouteRow struct {
	Table    string    `json:"table,omitempty"`
	Hosts    []string  `json:"hosts,omitempty"`
	Origin   string    `json:"origin"`
	Unusable string    `json:"unusable,omitempty"`
	Rules    []RuleRow `json:"rules"`
	// More is how many hosts and rules were left out.
	More int `json:"more,omitempty"`
}

// RuleRow is a rule of a route in a Page.
type RuleRow struct {
	Name string `json:"name,omitempty"`
	// Matchers are the kinds of what the rule matches by, without the values.
	Matchers []string     `json:"matchers,omitempty"`
	Backends []BackendRow `json:"backends"`
	Attempts int          `json:"attempts"`
}

// BackendRow is a backend of a rule in a Page.
type BackendRow struct {
	Provider string `json:"provider"`
	// Model is the model that the backend names.
	Model string `json:"model,omitempty"`
	// Share is the part of the requests, among backends of the same priority.
	Share    float64 `json:"share"`
	Priority int     `json:"priority,omitempty"`
	// Unusable is why it gets no request.
	Unusable string `json:"unusable,omitempty"`
}

// ListenerRow is a listener of the gateway's own in a Page.
type ListenerRow struct {
	Address string `json:"address"`
	TLS     bool   `json:"tls,omitempty"`
	Servers int    `json:"servers"`
	// Problem is why nothing listens there.
	Problem string `json:"problem,omitempty"`
}

// PageOf returns what there is to show. filter is in lower case.
func PageOf(app App, filter string) *Page {
	now, g := time.Now(), app.Gateway()
	workload := g.Metrics.Workload()
	v := &Page{
		Now: now, Version: version.Gateway(), Ready: g.Unready == "", Reason: g.Unready, Namespace: workload.Namespace, Workload: workload.Name,
		Snapshot: g.Number, Since: g.Made, Currency: g.Currency,
	}
	v.Open, v.OpenStreams = openRows(g, now, filter)
	v.OpenRequests = v.Open.All

	g.Metrics.Read(now, v.Currency, v.OpenRequests, func(r *meter.Reading) {
		v.Started, v.WindowSeconds, v.Recent, v.Total, v.History = r.Started, r.WindowSeconds, r.Recent, r.Total, r.History
		v.Providers = providerRows(g, r, now, filter)
	})
	v.Routes = routeRows(g, filter)
	var listening []ListenerRow
	for _, l := range g.Listeners {
		listening = append(listening, ListenerRow{l.Address, l.TLS, len(l.Servers), l.Problem})
	}
	v.Listeners = cut(listening, len(listening))
	v.Limits = limitRows(g, filter)
	v.Guards = guardRows(g, filter)
	v.Cache = cacheView(g, filter)
	v.Findings = findingRows(g.Findings, filter)
	return v
}

func findingRows(all []spec.Finding, filter string) List[spec.Finding] {
	var matching []spec.Finding
	for _, used := range []bool{false, true} { // the worse ones first
		for _, f := range all {
			if f.Used == used && matchesFilter(filter, f.Object, f.Origin, f.Reason, f.Message) {
				matching = append(matching, f)
			}
		}
	}
	return cut(matching, len(all))
}

// limitRows are where limits stand.
func limitRows(g *Gateway, filter string) List[limit.View] {
	var matching []limit.View
	all := g.Limits.View()
	for _, v := range all {
		if matchesFilter(filter, v.Name) {
			matching = append(matching, v)
		}
	}
	return cut(matching, len(all))
}

func routeRows(g *Gateway, filter string) List[RouteRow] {
	var matching []RouteRow
	for i := range g.Routes {
		from := &g.Routes[i]
		r := RouteRow{Table: from.Table, Hosts: from.Hosts, Origin: from.Origin, Unusable: from.Unusable}
		shown := len(matching) < maxViewRows // the rest is only counted
		matches := matchesFilter(filter, r.Table, r.Origin, r.Unusable) || matchesFilter(filter, r.Hosts...)
		var rules []Rule
		if !matches || shown {
			rules = from.Rules()
		}
		if !matches && !slices.ContainsFunc(rules, func(rule Rule) bool { return rule.matchesFilter(filter) }) {
			continue
		}
		if shown {
			r.More = max(0, len(r.Hosts)-maxViewParts) + max(0, len(rules)-maxViewParts)
			r.Hosts = r.Hosts[:min(len(r.Hosts), maxViewParts)]
			r.Rules = ruleRows(rules)
		}
		matching = append(matching, r)
	}
	return cut(matching, len(g.Routes))
}

func (r *Rule) matchesFilter(filter string) bool {
	return matchesFilter(filter, r.Name) || slices.ContainsFunc(r.Backends, func(b Backend) bool { return matchesFilter(filter, b.Provider) })
}

func ruleRows(rules []Rule) []RuleRow {
	out := make([]RuleRow, 0, min(len(rules), maxViewParts))
	for _, rule := range rules[:min(len(rules), maxViewParts)] {
		r := RuleRow{Name: rule.Name, Matchers: rule.Matchers, Attempts: max(rule.Attempts, 1), Backends: []BackendRow{}}
		weights := make(map[int]uint64) // by priority
		for _, b := range rule.Backends {
			if b.Usable {
				weights[b.Priority] += uint64(b.Share())
			}
		}
		for _, from := range rule.Backends[:min(len(rule.Backends), maxViewParts)] {
			b := BackendRow{Provider: from.Provider, Model: from.Model, Priority: from.Priority, Unusable: from.Unusable}
			switch {
			case from.Usable:
				b.Share = float64(from.Share()) / float64(weights[from.Priority])
			case from.Missing && b.Unusable == "":
				b.Unusable = "there is no such provider"
			}
			r.Backends = append(r.Backends, b)
		}
		for _, t := range rule.Targets {
			r.Backends = append(r.Backends, BackendRow{Provider: t.Name, Share: t.Share, Unusable: t.Problem})
		}
		out = append(out, r)
	}
	return out
}
