package status

import (
	"cmp"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/caddy-llm/gateway/llmroute/meter"
)

// providerRows lists the providers, those with a problem first, then the
// busiest: roughly, so that rows do not change places all the time.
func providerRows(g *Gateway, reading *meter.Reading, now time.Time, filter string) List[ProviderRow] {
	var matching []ProviderRow
	for i := range g.Providers {
		p := &g.Providers[i]
		models := p.ConfiguredModels()
		if matchesFilter(filter, p.Name, p.Host, p.Origin) || matchesFilter(filter, models...) || p.State.HasRule(func(rule string) bool { return matchesFilter(filter, rule) }) {
			matching = append(matching, p.row(reading, now, models))
		}
	}
	urgency := map[string]int{StateNoKey: 0, StateCooling: 1, StateFailing: 0, StateErrors: 2, StateWorking: 3, StateIdle: 3}
	slices.SortFunc(matching, func(a, b ProviderRow) int {
		return cmp.Or(cmp.Compare(urgency[a.State], urgency[b.State]), cmp.Compare(bits.Len64(b.Recent.Requests), bits.Len64(a.Recent.Requests)),
			cmp.Compare(bits.Len64(b.Total.Requests), bits.Len64(a.Total.Requests)), strings.Compare(a.Name, b.Name))
	})
	return cut(matching, len(g.Providers))
}

// row is the provider's row.
func (p *Provider) row(reading *meter.Reading, now time.Time, models []string) ProviderRow {
	s := ProviderRow{
		Name: p.Name, Host: p.Host, Origin: p.Origin, Models: models[:min(len(models), maxViewParts)], InFlight: p.State.InFlight.Load(), State: StateIdle,
		Pool: p.poolView(now, maxViewParts),
	}
	var rules []meter.RuleFigures
	s.Recent, s.Total, rules = reading.Provider(p.State)
	s.Rules = rules[:min(len(rules), maxViewParts)]
	switch {
	case p.CheckCredentials() != nil:
		s.State = StateNoKey
	case !p.State.Pauses.Until(now).IsZero():
		s.State = StateCooling
		s.CoolingSeconds = p.State.Pauses.Until(now).Sub(now).Seconds()
	case s.Recent.Failed > 0 && s.Recent.Failed*2 >= s.Recent.Requests:
		s.State = StateFailing
	case s.Recent.Failed > 0:
		s.State = StateErrors
	case s.Recent.Requests > 0:
		s.State = StateWorking
	}
	return s
}
