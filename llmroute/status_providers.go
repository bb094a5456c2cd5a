package llmroute

import (
	"cmp"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/caddy-llm/gateway/llmroute/meter"
)

// providersStatus lists the providers, those with a problem first, then the
// busiest: roughly, so that rows do not change places all the time.
func (a *App) providersStatus(snap *snapshot, reading *meter.Reading, now time.Time, filter string) ViewList[ProviderStatus] {
	var matching []ProviderStatus
	for _, p := range snap.providers {
		models := p.ConfiguredModels()
		if matchesFilter(filter, p.name, p.host, p.origin) || matchesFilter(filter, models...) || p.state.HasRule(func(rule string) bool { return matchesFilter(filter, rule) }) {
			matching = append(matching, p.status(reading, now, models))
		}
	}
	urgency := map[string]int{StateNoKey: 0, StateCooling: 1, StateFailing: 0, StateErrors: 2, StateWorking: 3, StateIdle: 3}
	slices.SortFunc(matching, func(a, b ProviderStatus) int {
		return cmp.Or(cmp.Compare(urgency[a.State], urgency[b.State]), cmp.Compare(bits.Len64(b.Recent.Requests), bits.Len64(a.Recent.Requests)),
			cmp.Compare(bits.Len64(b.Total.Requests), bits.Len64(a.Total.Requests)), strings.Compare(a.Name, b.Name))
	})
	return cut(matching, len(snap.providers))
}

// status is the provider's row.
func (p *provider) status(reading *meter.Reading, now time.Time, models []string) ProviderStatus {
	s := ProviderStatus{
		Name: p.name, Host: p.host, Origin: p.origin, Models: models[:min(len(models), maxViewParts)], InFlight: p.state.InFlight.Load(), State: StateIdle,
		Pool: p.poolView(now, maxViewParts),
	}
	var rules []meter.RuleFigures
	s.Recent, s.Total, rules = reading.Provider(p.state.Provider)
	s.Rules = rules[:min(len(rules), maxViewParts)]
	switch {
	case p.CheckCredentials() != nil:
		s.State = StateNoKey
	case !p.state.Pauses.Until(now).IsZero():
		s.State = StateCooling
		s.CoolingSeconds = p.state.Pauses.Until(now).Sub(now).Seconds()
	case s.Recent.Failed > 0 && s.Recent.Failed*2 >= s.Recent.Requests:
		s.State = StateFailing
	case s.Recent.Failed > 0:
		s.State = StateErrors
	case s.Recent.Requests > 0:
		s.State = StateWorking
	}
	return s
}
