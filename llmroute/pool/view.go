package pool

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// View is what is known of a pool, as the status page and the admin API show it.
type View struct {
	// Endpoints is how many there are, Cooling how many of them cool down.
	Endpoints int `json:"endpoints"`
	Cooling   int `json:"cooling"`
	// Problem is why the endpoints cannot be looked up now.
	Problem string `json:"problem,omitempty"`
	// Choices are the choices so far by reason: load, prefix, session, only, picker.
	Choices map[string]int64 `json:"choices"`
	// Retries are those of them after another endpoint had failed.
	Retries int64 `json:"retries"`
	// Scrapes are the reads of endpoints' metrics so far that returned values, Unread those
	// that returned none.
	Scrapes int64 `json:"scrapes"`
	Unread  int64 `json:"unread"`
	// PickerFailures are the requests so far for which the endpoint picker made no choice.
	PickerFailures int64 `json:"picker_failures,omitempty"`
	// Rows are the endpoints, at most as many as were asked for.
	Rows []EndpointView `json:"rows"`
}

// EndpointView is what is known of one endpoint.
type EndpointView struct {
	Address  string `json:"address"`
	InFlight int64  `json:"in_flight"`
	// Chosen are the requests so far that were sent there, Failed those of them that failed.
	Chosen int64 `json:"chosen"`
	Failed int64 `json:"failed"`
	// CoolingSeconds is for how much longer other endpoints are preferred.
	CoolingSeconds float64 `json:"cooling_seconds,omitempty"`
	// Load is missing if the endpoint's metrics say nothing of the last five seconds.
	Load *LoadView `json:"load,omitempty"`
}

// LoadView is what an endpoint's metrics say.
type LoadView struct {
	Waiting int64 `json:"waiting"`
	Running int64 `json:"running"`
	// Cache is the used part of the KV cache, from 0 to 1; missing if it is not known.
	Cache    *float64 `json:"cache,omitempty"`
	Adapters []string `json:"adapters,omitempty"`
}

// View returns what is known, with at most that many endpoints. They are in the order
// of their addresses, those that cool down first.
func (p *Pool) View(now time.Time, rows int) View {
	var endpoints []*Endpoint
	if s := p.current.Load(); s != nil {
		endpoints = s.endpoints
	}
	v := p.registry.view(endpoints, now, rows)
	p.mu.Lock()
	v.Problem = p.problem
	p.mu.Unlock()
	return v
}

// View is that of the pool, in whichever configurations it is. It reports false if
// there is no pool.
func (r *Registry) View(now time.Time, rows int) (View, bool) {
	r.mu.Lock()
	endpoints := slices.SortedFunc(maps.Values(r.byAddress), func(a, b *Endpoint) int { return strings.Compare(a.Address, b.Address) })
	pools := r.pools
	r.mu.Unlock()
	return r.view(endpoints, now, rows), pools > 0
}

func (r *Registry) view(endpoints []*Endpoint, now time.Time, rows int) View {
	v := View{
		Endpoints: len(endpoints), Choices: make(map[string]int64), Retries: r.retries.Load(), PickerFailures: r.pickerFailures.Load(), Rows: []EndpointView{},
		Scrapes: r.scrapes.Load(), Unread: r.unread.Load(),
	}
	for reason := range reasons {
		v.Choices[reason.String()] = r.choices[reason].Load()
	}
	at := ticks(now)
	for _, cooling := range []bool{true, false} {
		for _, e := range endpoints {
			if e.cooling(at) != cooling {
				continue
			}
			if cooling {
				v.Cooling++
			}
			if len(v.Rows) < rows {
				v.Rows = append(v.Rows, e.view(at))
			}
		}
	}
	return v
}

func (e *Endpoint) view(now int64) EndpointView {
	v := EndpointView{Address: e.Address, InFlight: e.inFlight.Load(), Chosen: e.chosen.Load(), Failed: e.failures.Load()}
	if e.cooling(now) {
		v.CoolingSeconds = time.Duration(e.until.Load() - now).Seconds()
	}
	if !e.load.fresh(now) {
		return v
	}
	v.Load = &LoadView{Waiting: e.load.waiting.Load(), Running: e.load.running.Load()}
	if cache := e.load.cache.Load(); cache >= 0 {
		part := float64(cache) / 1e6
		v.Load.Cache = &part
	}
	if adapters := e.load.adapters.Load(); adapters != nil {
		v.Load.Adapters = *adapters
	}
	return v
}
