package spec

import (
	"context"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/listen"
)

// Source is a module in the llm.sources namespace. It watches objects outside
// of the Caddy configuration and reports the providers and routes that follow
// from them. The module holds settings alone: one that is started outlives the
// configuration it came with, for as long as later ones have the same settings.
type Source interface {
	caddy.Module

	// Start begins to watch and returns. It reports each new state, the first
	// one before it returns if that takes no waiting. The error is settings or
	// objects that no state can be made of. It stops when ctx is done.
	Start(ctx context.Context, report func(*State)) error
}

// EarlyListener is a Source that knows what to listen on before its first state.
// Until then requests there are answered with 503.
type EarlyListener interface {
	Listeners() []*listen.Listener
}

// KeysSource is a Source that can read virtual keys from a Secret.
type KeysSource interface {
	Source

	// UseKeys has the source report the clients in a Secret, given as namespace/name, in
	// State.Keys. It is called before Start.
	UseKeys(secret string)
}

// LimitsSource is a Source whose objects may be limits.
type LimitsSource interface {
	Source

	// UseLimits tells the source what the configuration has. It is called before Start.
	UseLimits(c *LimitsConfig)
}

// LimitsConfig is what the limits of a source need to know of the configuration.
type LimitsConfig struct {
	// Prices reports whether it names prices.
	Prices bool
	// Names are those of its limits.
	Names []string
	// Holds reports whether its store can hold limits; the error says what it cannot.
	// It is called after Start.
	Holds func([]*limit.Definition) error
}
