package llmroute

import (
	"cmp"
	"math/bits"
	"slices"
	"strings"
	"time"
)

// providersStatus lists the providers, those with a problem first, then the
// busiest: roughly, so that rows do not change places all the time.
func (a *App) providersStatus(snap *snapshot, now time.Time, filter string) ViewList[ProviderStatus] {
	costs := a.metrics.costs.sums(a.currency())
	var matching []ProviderStatus
	for _, p := range snap.providers {
		models := p.ConfiguredModels()
		if matchesFilter(filter, p.name, p.host, p.origin) || matchesFilter(filter, models...) || p.state.usage.hasRule(filter) {
			matching = append(matching, p.status(now, models, costs))
		}
	}
	urgency := map[string]int{StateNoKey: 0, StateCooling: 1, StateFailing: 0, StateErrors: 2, StateWorking: 3, StateIdle: 3}
	slices.SortFunc(matching, func(a, b ProviderStatus) int {
		return cmp.Or(cmp.Compare(urgency[a.State], urgency[b.State]), cmp.Compare(bits.Len64(b.Recent.Requests), bits.Len64(a.Recent.Requests)),
			cmp.Compare(bits.Len64(b.Total.Requests), bits.Len64(a.Total.Requests)), strings.Compare(a.Name, b.Name))
	})
	return cut(matching, len(snap.providers))
}

// hasRule reports whether requests of a rule with such a name came to the
// provider.
func (p *providerMetrics) hasRule(filter string) (found bool) {
	p.tallies.Range(func(rule, _ any) bool {
		found = matchesFilter(filter, rule.(string))
		return !found
	})
	return found
}

// status is the provider's row. The caller holds the history's lock.
func (p *provider) status(now time.Time, models []string, costs map[costKey]costSums) ProviderStatus {
	s := ProviderStatus{
		Name: p.name, Host: p.host, Origin: p.origin, Models: models[:min(len(models), maxViewParts)], InFlight: p.state.inFlight.Load(), State: StateIdle,
		Pool: p.poolView(now, maxViewParts),
	}
	rules := p.ruleStatus(costs)
	var recentFirst, totalFirst firstCounts
	for i := range rules {
		r := &rules[i]
		s.Recent.add(&r.Recent)
		s.Total.add(&r.Total)
		recentFirst.add(&r.recentFirst)
		totalFirst.add(&r.totalFirst)
	}
	s.Recent.FirstToken, s.Total.FirstToken = recentFirst.view(), totalFirst.view()
	slices.SortFunc(rules, func(a, b ruleRow) int {
		return cmp.Or(cmp.Compare(bits.Len64(b.Total.Requests), bits.Len64(a.Total.Requests)), strings.Compare(a.Name, b.Name))
	})
	for i := range rules[:min(len(rules), maxViewParts)] {
		s.Rules = append(s.Rules, rules[i].RuleStatus)
	}
	switch {
	case p.CheckCredentials() != nil:
		s.State = StateNoKey
	case !p.state.coolingUntil(now).IsZero():
		s.State = StateCooling
		s.CoolingSeconds = p.state.coolingUntil(now).Sub(now).Seconds()
	case s.Recent.Failed > 0 && s.Recent.Failed*2 >= s.Recent.Requests:
		s.State = StateFailing
	case s.Recent.Failed > 0:
		s.State = StateErrors
	case s.Recent.Requests > 0:
		s.State = StateWorking
	}
	return s
}

// ruleRow is a RuleStatus with what sums are made of.
type ruleRow struct {
	RuleStatus
	recentFirst, totalFirst firstCounts
}

// ruleStatus is what the requests of each rule did at the provider.
func (p *provider) ruleStatus(costs map[costKey]costSums) []ruleRow {
	rows := make(map[string]*ruleRow)
	row := func(rule string) *ruleRow {
		r := rows[rule]
		if r == nil {
			r = &ruleRow{RuleStatus: RuleStatus{Name: rule, Recent: FiguresView{Failures: make(map[string]uint64)}, Total: FiguresView{Failures: make(map[string]uint64)}}}
			cost := costs[costKey{provider: p.name, rule: rule}]
			r.Recent.Cost, r.Total.Cost = float64(cost.recent)/nano, float64(cost.total)/nano
			rows[rule] = r
		}
		return r
	}
	usage := &p.state.usage
	usage.outcomes.Range(func(_, value any) bool {
		o := value.(*outcome)
		r := row(o.key.rule)
		r.Recent.Requests += o.recent
		r.Total.Requests += o.seen
		if failedOutcome(o.key.result) {
			r.fail(o.key.result, &o.tally)
		}
		return true
	})
	usage.tallies.Range(func(_, value any) bool {
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
func (f *FiguresView) add(o *FiguresView) {
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
