package meter

import (
	"cmp"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/caddy-llm/gateway/llmroute/price"
)

// Reading is what is counted at one time, for people to look at.
type Reading struct {
	Started time.Time // when counting began
	// Recent is what the last WindowSeconds brought, Total all since Started.
	// Requests count once each, however many attempts they took.
	WindowSeconds float64
	Recent, Total Figures
	History       HistoryFigures

	costs map[costKey]costSums
}

// Read records, and calls f with a reading, which is valid until f returns. currency is that
// of the costs, and open is how many requests are being served.
func (m *Metrics) Read(now time.Time, currency string, open int, f func(*Reading)) {
	h := &m.history
	h.mu.Lock()
	defer h.mu.Unlock()
	h.record(m, now, currency, open)
	window := h.window()
	r := &Reading{
		Started: m.began, WindowSeconds: min(now.Sub(h.began), historyStep*historySteps).Seconds(), Recent: window.view(), Total: h.total.view(),
		History: h.view(), costs: m.costs.sums(currency),
	}
	r.Recent.Failures, r.Total.Failures = failuresOf(&m.endings)
	f(r)
}

// Provider returns what the attempts at a provider came to, in all and by rule, the busiest
// rules first.
func (r *Reading) Provider(p *Provider) (recent, total Figures, rules []RuleFigures) {
	rows := p.byRule(r.costs)
	var recentFirst, totalFirst firstCounts
	for i := range rows {
		row := &rows[i]
		recent.add(&row.Recent)
		total.add(&row.Total)
		recentFirst.add(&row.recentFirst)
		totalFirst.add(&row.totalFirst)
	}
	recent.FirstToken, total.FirstToken = recentFirst.view(), totalFirst.view()
	slices.SortFunc(rows, func(a, b ruleRow) int {
		return cmp.Or(cmp.Compare(bits.Len64(b.Total.Requests), bits.Len64(a.Total.Requests)), strings.Compare(a.Name, b.Name))
	})
	for i := range rows {
		rules = append(rules, rows[i].RuleFigures)
	}
	return recent, total, rules
}

// HasRule reports whether requests of a rule came to the provider whose name is one that is
// wanted.
func (p *Provider) HasRule(wanted func(rule string) bool) (found bool) {
	p.tallies.Range(func(rule, _ any) bool {
		found = wanted(rule.(string))
		return !found
	})
	return found
}

// Figures are counts of one stretch of time.
type Figures struct {
	// Requests have ended; for a provider, attempts have an outcome.
	Requests uint64 `json:"requests"`
	// Failed are those of them that were answered with an error, or broke off.
	Failed uint64 `json:"failed"`
	// Left are those whose client left first.
	Left uint64 `json:"left,omitempty"`
	// Failures are the failed ones by HTTP status or error code.
	Failures map[string]uint64 `json:"failures,omitempty"`

	PromptTokens     uint64  `json:"prompt_tokens"`
	CompletionTokens uint64  `json:"completion_tokens"`
	Cost             float64 `json:"cost"`

	// FirstToken is missing if no stream began.
	FirstToken *FirstTokenFigures `json:"first_token,omitempty"`
}

// FirstTokenFigures tells how long streams took to begin, in seconds, as estimated
// from the buckets of the metric.
type FirstTokenFigures struct {
	Median float64 `json:"median"`
	P95    float64 `json:"p95"`
}

// HistoryFigures is the last five minutes in steps, the oldest first.
type HistoryFigures struct {
	StepSeconds float64    `json:"step_seconds"`
	Requests    []uint64   `json:"requests"`
	Failed      []uint64   `json:"failed"`
	Tokens      []uint64   `json:"tokens"`
	Cost        []float64  `json:"cost"`
	FirstToken  []*float64 `json:"first_token"` // medians in seconds, null if no stream began
	Open        []uint64   `json:"open"`        // the most requests that were open at a time
}

// RuleFigures is what the requests of one rule did at a provider.
type RuleFigures struct {
	Name   string  `json:"name"`
	Recent Figures `json:"recent"`
	Total  Figures `json:"total"`
}

func (s *sums) view() Figures {
	return Figures{
		Requests: s.requests, Failed: s.failed, Left: s.left, PromptTokens: s.prompt, CompletionTokens: s.completion,
		Cost: float64(s.cost) / price.Nano, FirstToken: s.first.view(),
	}
}

func (c *firstCounts) view() *FirstTokenFigures {
	median, ok := c.quantile(.5)
	if !ok {
		return nil
	}
	p95, _ := c.quantile(.95)
	return &FirstTokenFigures{median, p95}
}

func (h *history) view() HistoryFigures {
	v := HistoryFigures{StepSeconds: historyStep.Seconds(), Requests: []uint64{}, Failed: []uint64{}, Tokens: []uint64{}, Cost: []float64{}, FirstToken: []*float64{}, Open: []uint64{}}
	for _, s := range h.complete() {
		v.Requests, v.Failed, v.Tokens = append(v.Requests, s.requests), append(v.Failed, s.failed), append(v.Tokens, s.prompt+s.completion)
		v.Cost, v.Open = append(v.Cost, float64(s.cost)/price.Nano), append(v.Open, s.open)
		var median *float64
		if m, ok := s.first.quantile(.5); ok {
			median = &m
		}
		v.FirstToken = append(v.FirstToken, median)
	}
	return v
}

// failuresOf are the endings with an error, recent and since the beginning.
func failuresOf(e *endings) (recent, total map[string]uint64) {
	recent, total = make(map[string]uint64), make(map[string]uint64)
	e.byError.Range(func(failure, value any) bool {
		if failure != ErrorClientGone {
			t := value.(*tally)
			count(recent, failure.(string), t.recent)
			count(total, failure.(string), t.seen)
		}
		return true
	})
	return recent, total
}

func count(m map[string]uint64, key string, n uint64) {
	if n > 0 {
		m[key] += n
	}
}

// ruleRow is a RuleFigures with what sums are made of.
type ruleRow struct {
	RuleFigures
	recentFirst, totalFirst firstCounts
}

// byRule is what the requests of each rule did at the provider.
func (p *Provider) byRule(costs map[costKey]costSums) []ruleRow {
	rows := make(map[string]*ruleRow)
	row := func(rule string) *ruleRow {
		r := rows[rule]
		if r == nil {
			r = &ruleRow{RuleFigures: RuleFigures{Name: rule, Recent: Figures{Failures: make(map[string]uint64)}, Total: Figures{Failures: make(map[string]uint64)}}}
			cost := costs[costKey{provider: p.name, rule: rule}]
			r.Recent.Cost, r.Total.Cost = float64(cost.recent)/price.Nano, float64(cost.total)/price.Nano
			rows[rule] = r
		}
		return r
	}
	p.outcomes.Range(func(_, value any) bool {
		o := value.(*outcome)
		r := row(o.key.rule)
		r.Recent.Requests += o.recent
		r.Total.Requests += o.seen
		if failedOutcome(o.key.result) {
			r.fail(o.key.result, &o.tally)
		}
		return true
	})
	p.tallies.Range(func(_, value any) bool {
		t := value.(*ruleTallies)
		r := row(t.rule)
		r.Recent.PromptTokens, r.Recent.CompletionTokens = t.prompt.recent, t.completion.recent
		r.Total.PromptTokens, r.Total.CompletionTokens = t.prompt.seen, t.completion.seen
		for i := range t.first {
			r.recentFirst[i], r.totalFirst[i] = t.first[i].recent, t.first[i].seen
		}
		t.broken.byError.Range(func(failure, value any) bool {
			r.fail(failure.(string), value.(*tally))
			return true
		})
		return true
	})
	out := make([]ruleRow, 0, len(rows))
	for _, r := range rows {
		r.Recent.FirstToken, r.Total.FirstToken = r.recentFirst.view(), r.totalFirst.view()
		out = append(out, *r)
	}
	return out
}

// failedOutcome reports whether an attempt's outcome is an error: anything but a status
// below 400.
func failedOutcome(result string) bool {
	return len(result) != 3 || strings.IndexByte("123", result[0]) < 0
}

// fail adds failed attempts.
func (r *ruleRow) fail(failure string, t *tally) {
	r.Recent.Failed += t.recent
	r.Total.Failed += t.seen
	count(r.Recent.Failures, failure, t.recent)
	count(r.Total.Failures, failure, t.seen)
}

// add adds what can be added up.
func (f *Figures) add(o *Figures) {
	f.Requests += o.Requests
	f.Failed += o.Failed
	f.PromptTokens += o.PromptTokens
	f.CompletionTokens += o.CompletionTokens
	f.Cost += o.Cost
	if f.Failures == nil {
		f.Failures = make(map[string]uint64)
	}
	for failure, n := range o.Failures {
		count(f.Failures, failure, n)
	}
}

// costSums are the costs of a rule's answers at a provider, in billionths.
type costSums struct{ recent, total uint64 }

// sums are the costs by provider and rule alone.
func (c *costCollector) sums(currency string) map[costKey]costSums {
	out := make(map[costKey]costSums)
	c.series.Range(func(_, value any) bool {
		s := value.(*costSeries)
		if s.key.currency == currency {
			key := costKey{provider: s.key.provider, rule: s.key.rule}
			sum := out[key]
			out[key] = costSums{sum.recent + s.recent, sum.total + s.seen}
		}
		return true
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, n := range c.removed {
		if key.currency == currency {
			key.currency = ""
			out[key] = costSums{out[key].recent, out[key].total + n}
		}
	}
	return out
}
