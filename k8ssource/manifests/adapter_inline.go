package manifests

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-llm/gateway/k8ssource/policy"
	"github.com/caddy-llm/gateway/llmprovider/headername"
	"github.com/caddy-llm/gateway/llmprovider/kind"
	"github.com/caddy-llm/gateway/llmroute"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// useFile is what to do about a secret that would show in a configuration.
const useFile = "the configuration would show it; give the adapter the name of a file, as in caddy run --adapter llm-manifests --config FILE"

// inline is the app with everything that a state has, whose objects it changes.
// Providers get names without a slash, as those of configurations have.
func inline(state *spec.State) (*llmroute.App, error) {
	if state.Authorization != nil {
		return nil, errors.New("there are objects that say who may call, which only a source can have in force; give the adapter the name of a file, as in caddy run --adapter llm-manifests --config FILE")
	}
	if len(state.Limits) > 0 {
		return nil, errors.New("there are LLMLimits, which only a source can have in force; give the adapter the name of a file, as in caddy run --adapter llm-manifests --config FILE")
	}
	if len(policy.InState(state)) > 0 {
		return nil, errors.New("there are LLMPolicies, which only a source can have in force; give the adapter the name of a file, as in caddy run --adapter llm-manifests --config FILE")
	}
	app := &llmroute.App{
		ProvidersRaw: make(map[string]json.RawMessage, len(state.Providers)), Routes: state.Tables, Listeners: state.Listeners, Identity: state.Identity,
	}
	names := make(map[string]string, len(state.Providers))
	for _, spec := range state.Providers {
		if base, ok := kind.BaseOf(spec.Provider); ok {
			if err := showHeaders(base); err != nil {
				return nil, fmt.Errorf("%s: %w", spec.Origin, err)
			}
			if base.Pool != nil {
				return nil, fmt.Errorf("%s: the pods of a pool change, which only a source can follow; give the adapter the name of a file, as in caddy run --adapter llm-manifests --config FILE", spec.Origin)
			}
		}
		names[spec.Name] = strings.ReplaceAll(spec.Name, "/", ".") // a namespace has no dot
		app.ProvidersRaw[names[spec.Name]] = caddyconfig.JSONModuleObject(spec.Provider, "kind", spec.Provider.CaddyModule().ID.Name(), nil)
	}
	for _, l := range state.Listeners {
		for _, server := range l.Servers {
			if server.Certificate != nil {
				return nil, fmt.Errorf("%s: it has a certificate with its key, and %s", server.Origin, useFile)
			}
		}
	}
	for _, routes := range state.Tables {
		for _, route := range routes {
			for _, rule := range route.Rules {
				for _, b := range rule.Backends { // which rules of several tables share
					if name, ok := names[b.Provider]; ok {
						b.Provider = name
					}
				}
			}
		}
	}
	return app, nil
}

// showHeaders moves a provider's headers to where its JSON has them. The error is
// a secret, or a value that a configuration would not take as it is.
func showHeaders(p *kind.Base) error {
	configs := slices.Collect(maps.Values(p.Rules))
	for _, c := range append(configs, p.Config) {
		if c.Key != nil {
			return fmt.Errorf("it has a key, and %s", useFile)
		}
	}
	for name, value := range p.FixedHeaders {
		switch {
		case headername.IsCredential(name):
			return fmt.Errorf("it has a credential as header %s, and %s", name, useFile)
		case strings.Contains(value, "{"):
			return fmt.Errorf("its header %s has a brace, which configurations take for a placeholder; give the adapter the name of a file", name)
		}
	}
	p.Headers, p.FixedHeaders = p.FixedHeaders, nil
	return nil
}
