package meter

import (
	"maps"
	"sync"

	"github.com/caddy-llm/gateway/llmroute/guard"
)

// guardActs counts what guards did. It is safe for concurrent use.
type guardActs struct {
	mu   sync.Mutex
	acts map[string]map[guard.Action]uint64 // by the guard's name
}

func (g *guardActs) add(name string, action guard.Action) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.acts == nil {
		g.acts = make(map[string]map[guard.Action]uint64)
	}
	if g.acts[name] == nil {
		g.acts[name] = make(map[guard.Action]uint64)
	}
	g.acts[name][action]++
}

func (g *guardActs) of(name string) map[guard.Action]uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.acts[name])
}
