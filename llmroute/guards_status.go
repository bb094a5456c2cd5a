package llmroute

import (
	"github.com/caddy-llm/gateway/llmroute/guard"
)

// GuardStatus is a guard in a StatusView.
type GuardStatus struct {
	guard.View
	// Acts is how often it did something, by what it did (`deny`, `mask`, `log`, `pass`,
	// `fail`), since the process began.
	Acts map[guard.Action]uint64 `json:"acts,omitempty"`
}

// guardsStatus is what the snapshot's guards did, for the status page.
func (a *App) guardsStatus(snap *snapshot, filter string) ViewList[GuardStatus] {
	all := snap.chains.guards.View()
	var matching []GuardStatus
	for _, v := range all {
		if matchesFilter(filter, v.Name) {
			matching = append(matching, GuardStatus{v, a.metrics.GuardActs(v.Name)})
		}
	}
	return cut(matching, len(all))
}
