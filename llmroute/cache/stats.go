package cache

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/caddy-llm/gateway/llmroute/filter"
)

// Stats counts what the cache does, by the names of rules. It outlives configurations.
type Stats struct {
	storeErrors atomic.Int64

	mu    sync.Mutex
	rules map[string]*RuleStats
}

// StoreErrors is how often the store has failed.
func (s *Stats) StoreErrors() int64 { return s.storeErrors.Load() }

// rule returns what is counted of a rule.
func (s *Stats) rule(name string) *RuleStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rules[name]
	if r == nil {
		if s.rules == nil {
			s.rules = make(map[string]*RuleStats)
		}
		r = &RuleStats{bypassed: make(map[reason]*atomic.Int64), saved: make(map[string]uint64)}
		for _, why := range reasons {
			r.bypassed[why] = new(atomic.Int64)
		}
		s.rules[name] = r
	}
	return r
}

// reasons are all there are.
var reasons = [...]reason{byIdentity, byOperation, byStored, byState, byTools, byMedia, byTemperature, byNoStore}

// RuleStats counts what the cache does for one rule.
type RuleStats struct {
	hits, missed, collapsed, refreshed, stored atomic.Int64
	promptTokens, completionTokens             atomic.Int64
	bypassed                                   map[reason]*atomic.Int64 // not changed

	mu    sync.Mutex
	saved map[string]uint64 // in billionths, by currency
}

func (r *RuleStats) bypass(why reason) { r.bypassed[why].Add(1) }

func (r *RuleStats) save(cost filter.Cost) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.saved[cost.Currency] += cost.Nano
}

// RuleView is what the cache has done for one rule, since the process began.
type RuleView struct {
	// Rule is its name.
	Rule string `json:"rule"`
	// Hits were answered out of the store. Collapsed waited for the response to an equal
	// request.
	Hits      int64 `json:"hits"`
	Collapsed int64 `json:"collapsed"`
	// Missed were sent to a provider because there was nothing. Refreshed were sent
	// because the client wanted that.
	Missed    int64 `json:"missed"`
	Refreshed int64 `json:"refreshed"`
	// Stored is how many responses were given to the store.
	Stored int64 `json:"stored"`
	// Bypassed are those that the cache had nothing to do with, by the reason.
	Bypassed map[string]int64 `json:"bypassed,omitempty"`

	// SavedPromptTokens, SavedCompletionTokens and Saved, which is money by its currency,
	// is what hits would have used.
	SavedPromptTokens     int64              `json:"saved_prompt_tokens"`
	SavedCompletionTokens int64              `json:"saved_completion_tokens"`
	Saved                 map[string]float64 `json:"saved,omitempty"`
}

// Rules returns what was counted, by the names of rules.
func (s *Stats) Rules() []RuleView {
	s.mu.Lock()
	defer s.mu.Unlock()
	views := make([]RuleView, 0, len(s.rules))
	for _, name := range slices.Sorted(maps.Keys(s.rules)) {
		r := s.rules[name]
		v := RuleView{
			Rule: name, Hits: r.hits.Load(), Collapsed: r.collapsed.Load(), Missed: r.missed.Load(), Refreshed: r.refreshed.Load(), Stored: r.stored.Load(),
			SavedPromptTokens: r.promptTokens.Load(), SavedCompletionTokens: r.completionTokens.Load(),
		}
		for why, n := range r.bypassed {
			if n := n.Load(); n > 0 {
				if v.Bypassed == nil {
					v.Bypassed = make(map[string]int64)
				}
				v.Bypassed[string(why)] = n
			}
		}
		r.mu.Lock()
		for currency, nano := range r.saved {
			if v.Saved == nil {
				v.Saved = make(map[string]float64)
			}
			v.Saved[currency] = float64(nano) / 1e9
		}
		r.mu.Unlock()
		views = append(views, v)
	}
	return views
}
