package pool

import (
	"time"
)

// View is what is known of a pool, as the status page and the admin API show it.
type View struct {
	// Endpoints is how many there are, Cooling how many of them cool down.
	Endpoints int `json:"endpoints"`
	Cooling   int `json:"cooling"`
	// Problem is why the endpoints cannot be looked up now.
	Problem string `json:"problem,omitempty"`
	// Choices are the choices so far by reason: load, prefix, session, only.
	Choices map[string]int64 `json:"choices"`
	// Retries are those of them after another endpoint had failed.
	Retries int64 `json:"retries"`
	// Rows are the endpoints, at most as many as were asked for.
	Rows []EndpointView `json:"rows"`
}

// EndpointView is what is known of one endpoint.
type EndpointView struct {
	Address  string `json:"address"`
	InFlight int64  `json:"in_flight"`
	// Chosen and Failed are the requests so far that were sent there, and that came to
	// nothing.
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
	v := View{Choices: make(map[string]int64), Retries: p.registry.retries.Load(), Rows: []EndpointView{}}
	for r := range reasons {
		v.Choices[r.String()] = p.registry.choices[r].Load()
	}
	p.mu.Lock()
	v.Problem = p.problem
	p.mu.Unlock()
	s := p.current.Load()
	if s == nil {
		return v
	}
	at := ticks(now)
	v.Endpoints = len(s.endpoints)
	for _, cooling := range []bool{true, false} {
		for _, e := range s.endpoints {
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
