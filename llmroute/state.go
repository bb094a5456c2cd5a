package llmroute

import (
	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/llmroute/known"
	"github.com/caddy-llm/gateway/llmroute/meter"
	"github.com/caddy-llm/gateway/llmroute/modellist"
)

// states holds what is known of each provider by its name. It outlives
// configurations and snapshots: a provider that asked for a pause keeps it.
var states = caddy.NewUsagePool()

// providerState is what attempts have shown of a provider.
type providerState struct {
	*meter.Provider // what metrics and the status page show of it

	// streamOptions is whether the provider takes stream_options.
	streamOptions known.StreamOptions

	// fetched are the stored responses whose usage was counted.
	fetched known.Fetched

	// models are those that it lists.
	models modellist.List
}

// acquireState returns the state of the provider of that name. Each call is
// paired with one of releaseState.
func acquireState(name string) *providerState {
	value, _, _ := states.LoadOrNew(name, func() (caddy.Destructor, error) {
		return &providerState{Provider: meter.NewProvider(name)}, nil
	})
	return value.(*providerState)
}

// Destruct implements caddy.Destructor.
func (s *providerState) Destruct() error {
	s.Close()
	return nil
}

func releaseState(name string) {
	_, _ = states.Delete(name) // its destructor does not fail
}
