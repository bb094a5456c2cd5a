package llmroute

import (
	"maps"
	"slices"
	"time"

	"github.com/caddy-llm/gateway/internal/version"
	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/meter"
	"github.com/caddy-llm/gateway/llmroute/pool"
)

const (
	// maxViewRows is the most rows of each list in a StatusView.
	maxViewRows = 50
	// maxViewParts is the most hosts, rules, backends and models in one row.
	maxViewParts = 10
)

// StatusView is what the status page shows: figures of the last five minutes
// and since the process began, the providers, routes and findings of the
// snapshot in use, and the requests that are being served. It has no key, no
// text of prompts and responses, no header, no address of a client, and no more
// than 50 rows in each list.
type StatusView struct {
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
	OpenRequests int                `json:"open_requests"`
	OpenStreams  int                `json:"open_streams"`
	Open         ViewList[OpenView] `json:"open"`

	Providers ViewList[ProviderStatus] `json:"providers"`
	Routes    ViewList[RouteStatus]    `json:"routes"`
	Listeners ViewList[ListenerStatus] `json:"listeners"`
	Findings  ViewList[Finding]        `json:"findings"`

	// Limits are where limits stand, since the process began.
	Limits ViewList[limit.View] `json:"limits"`

	// Guards are what guards did, since the process began.
	Guards ViewList[GuardStatus] `json:"guards"`

	// Cache is what the cache does; missing if no rule uses it.
	Cache *CacheView `json:"cache,omitempty"`
}

// ViewList is a list that was cut to what a page can show.
type ViewList[T any] struct {
	Rows []T `json:"rows"`
	// Matching is how many there are that match the filter, All how many without.
	Matching int `json:"matching"`
	All      int `json:"all"`
}

// cut makes a list of those that match, in order, from n that there are.
func cut[T any](matching []T, n int) ViewList[T] {
	return ViewList[T]{append([]T{}, matching[:min(len(matching), maxViewRows)]...), len(matching), n}
}

// ProviderStatus is a provider in a StatusView.
type ProviderStatus struct {
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

// The states of a provider in a StatusView.
const (
	StateIdle    = "idle"    // no attempt in the last five minutes
	StateWorking = "working" // no attempt failed
	StateErrors  = "errors"  // some attempts failed
	StateFailing = "failing" // at least half of the attempts failed
	StateCooling = "cooling" // other providers are preferred for a while
	StateNoKey   = "no_key"  // a key that the configuration names is unavailable
)

// RouteStatus is a route in a StatusView.
type RouteStatus struct {
	Table    string      `json:"table,omitempty"`
	Hosts    []string    `json:"hosts,omitempty"`
	Origin   string      `json:"origin"`
	Unusable string      `json:"unusable,omitempty"`
	Rules    []RouteRule `json:"rules"`
	// More is how many hosts and rules were left out.
	More int `json:"more,omitempty"`
}

// RouteRule is a rule of a route in a StatusView.
type RouteRule struct {
	Name string `json:"name,omitempty"`
	// Matchers are the kinds of what the rule matches by, without the values.
	Matchers []string        `json:"matchers,omitempty"`
	Backends []BackendStatus `json:"backends"`
	Attempts int             `json:"attempts"`
}

// BackendStatus is a backend of a rule in a StatusView.
type BackendStatus struct {
	Provider string `json:"provider"`
	// Model is the model that the backend names.
	Model string `json:"model,omitempty"`
	// Share is the part of the requests, among backends of the same priority.
	Share    float64 `json:"share"`
	Priority int     `json:"priority,omitempty"`
	// Unusable is why it gets no request.
	Unusable string `json:"unusable,omitempty"`
}

// ListenerStatus is a listener of the gateway's own in a StatusView.
type ListenerStatus struct {
	Address string `json:"address"`
	TLS     bool   `json:"tls,omitempty"`
	Servers int    `json:"servers"`
	// Problem is why nothing listens there.
	Problem string `json:"problem,omitempty"`
}

// statusView returns what there is to show. filter is in lower case.
func (a *App) statusView(filter string) *StatusView {
	now := time.Now()
	snap, workload, unready := a.snapshot(), a.metrics.Workload(), a.unready()
	v := &StatusView{
		Now: now, Version: version.Gateway(), Ready: unready == "", Reason: unready, Namespace: workload.Namespace, Workload: workload.Name,
		Snapshot: snap.number, Since: snap.made, Currency: a.currency(),
	}
	v.Open, v.OpenStreams = openView(now, filter)
	v.OpenRequests = v.Open.All

	a.metrics.Read(now, v.Currency, openCount(), func(r *meter.Reading) {
		v.Started, v.WindowSeconds, v.Recent, v.Total, v.History = r.Started, r.WindowSeconds, r.Recent, r.Total, r.History
		v.Providers = a.providersStatus(snap, r, now, filter)
	})
	v.Routes = a.routesStatus(snap, filter)
	var listening []ListenerStatus
	for _, address := range slices.Sorted(maps.Keys(snap.listeners)) {
		l := snap.listeners[address]
		listening = append(listening, ListenerStatus{address, l.TLS, len(l.Servers), a.gateways.Problem(address)})
	}
	v.Listeners = cut(listening, len(listening))
	v.Limits = a.limitsStatus(filter)
	v.Guards = a.guardsStatus(snap, filter)
	v.Cache = a.cacheView(filter)
	v.Findings = ViewList[Finding]{Rows: []Finding{}}
	if snap.state != nil {
		v.Findings = findingsStatus(snap.state.Findings, filter)
	}
	return v
}

func findingsStatus(all []Finding, filter string) ViewList[Finding] {
	var matching []Finding
	for _, used := range []bool{false, true} { // the worse ones first
		for _, f := range all {
			if f.Used == used && matchesFilter(filter, f.Object, f.Origin, f.Reason, f.Message) {
				matching = append(matching, f)
			}
		}
	}
	return cut(matching, len(all))
}

func (a *App) routesStatus(snap *snapshot, filter string) ViewList[RouteStatus] {
	var matching []RouteStatus
	all := 0
	add := func(r RouteStatus, rules []*Rule, targets [][]target) {
		all++
		if !matchesFilter(filter, r.Table, r.Origin, r.Unusable) && !matchesFilter(filter, r.Hosts...) &&
			!slices.ContainsFunc(rules, func(rule *Rule) bool { return rule.matchesFilter(filter) }) {
			return
		}
		if len(matching) < maxViewRows { // the rest is only counted
			r.More = max(0, len(r.Hosts)-maxViewParts) + max(0, len(rules)-maxViewParts)
			r.Hosts = r.Hosts[:min(len(r.Hosts), maxViewParts)]
			r.Rules = rulesStatus(rules, targets)
		}
		matching = append(matching, r)
	}
	for i, h := range a.handlers {
		add(RouteStatus{Origin: "llm_route"}, h.Rules, snap.static[i])
	}
	for _, name := range slices.Sorted(maps.Keys(snap.tables)) {
		for _, e := range snap.tables[name].entries {
			add(RouteStatus{Table: name, Hosts: e.Hosts, Origin: e.Origin, Unusable: e.Unusable}, e.Rules, e.targets)
		}
	}
	return cut(matching, all)
}

func (r *Rule) matchesFilter(filter string) bool {
	return matchesFilter(filter, r.Name) || slices.ContainsFunc(r.Backends, func(b *Backend) bool { return matchesFilter(filter, b.Provider) })
}

func rulesStatus(rules []*Rule, targets [][]target) []RouteRule {
	out := make([]RouteRule, 0, min(len(rules), maxViewParts))
	for i, rule := range rules[:min(len(rules), maxViewParts)] {
		r := RouteRule{Name: rule.Name, Matchers: rule.matchedBy, Attempts: max(rule.Attempts, 1), Backends: []BackendStatus{}}
		weights := make(map[int]uint64) // by priority
		for j := range targets[i] {
			if t := &targets[i][j]; t.usable() {
				weights[t.Priority] += uint64(t.weight())
			}
		}
		for j := range targets[i][:min(len(targets[i]), maxViewParts)] {
			t := &targets[i][j]
			b := BackendStatus{Provider: t.Backend.Provider, Model: t.Model, Priority: t.Priority, Unusable: t.Unusable}
			switch {
			case t.usable():
				b.Share = float64(t.weight()) / float64(weights[t.Priority])
			case t.provider == nil && b.Unusable == "":
				b.Unusable = "there is no such provider"
			}
			r.Backends = append(r.Backends, b)
		}
		for _, t := range rule.handlerTargets() {
			r.Backends = append(r.Backends, BackendStatus{Provider: t.Name, Share: t.Share, Unusable: t.Problem})
		}
		out = append(out, r)
	}
	return out
}
