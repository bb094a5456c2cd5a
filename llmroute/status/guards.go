package status

import (
	"github.com/caddy-llm/gateway/llmroute/guard"
)

// GuardRow is a guard in a Page.
type GuardRow struct {
	guard.View
	// Acts is how often it did something, by what it did (`deny`, `mask`, `log`, `pass`,
	// `fail`), since the process began.
	Acts map[guard.Action]uint64 `json:"acts,omitempty"`
}

// guardRows are what guards did.
func guardRows(g *Gateway, filter string) List[GuardRow] {
	all := g.Guards.View()
	var matching []GuardRow
	for _, v := range all {
		if matchesFilter(filter, v.Name) {
			matching = append(matching, GuardRow{v, g.Metrics.GuardActs(v.Name)})
		}
	}
	return cut(matching, len(all))
}
