// Package redact is a state as it is shown to people: as JSON, without keys and what else may be a
// credential (State). caddy llm translate prints it, and the golden files of tests are such text.
//
// It may import those packages of llmroute and llmprovider that a state is made of, and llmprovider's
// headername, which knows the headers that hold credentials. It knows no Kubernetes objects.
package redact

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"strings"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/headername"
	"github.com/caddy-llm/gateway/llmprovider/kind"
	"github.com/caddy-llm/gateway/llmroute/authz"
	"github.com/caddy-llm/gateway/llmroute/guard"
	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/listen"
	"github.com/caddy-llm/gateway/llmroute/prompt"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// redacted stands in place of keys.
const redacted = "REDACTED"

// stateView is a State as it is shown to people.
type stateView struct {
	Identity  spec.Identity            `json:"identity,omitzero"`
	Providers []providerView           `json:"providers"`
	Tables    map[string][]*spec.Route `json:"tables"`
	Listeners []*listen.Listener       `json:"listeners,omitempty"`

	Authorization *authz.Config `json:"authorization,omitempty"`

	Limits []limitView `json:"limits,omitempty"`

	Guards  map[string]*guard.Definition  `json:"guards,omitempty"`
	Prompts map[string]*prompt.Definition `json:"prompts,omitempty"`

	Findings []spec.Finding `json:"findings,omitempty"`
}

// limitView is a limit with what no configuration can say: which requests it is about.
type limitView struct {
	*limit.Definition
	Scope *limit.Scope `json:"scope"`
}

type providerView struct {
	Name     string         `json:"name"`
	Origin   string         `json:"origin"`
	Provider map[string]any `json:"provider"`
	// Endpoints are those of a pool.
	Endpoints []string `json:"endpoints,omitempty"`
	Guards    []string `json:"guards,omitempty"`
	Prompts   []string `json:"prompts,omitempty"`
}

// State returns the state as JSON, indented and without keys. The same state
// gives the same text.
func State(state *spec.State) ([]byte, error) {
	view := stateView{Identity: state.Identity, Providers: []providerView{}, Tables: state.Tables, Listeners: state.Listeners, Findings: state.Findings, Authorization: redactAuthorization(state.Authorization), Guards: redactGuards(state.Guards), Prompts: state.Prompts}
	for _, d := range state.Limits {
		view.Limits = append(view.Limits, limitView{d, d.Scope})
	}
	for _, spec := range state.Providers {
		config, err := redactProvider(spec.Provider)
		if err != nil {
			return nil, fmt.Errorf("provider %s: %w", spec.Name, err)
		}
		view.Providers = append(view.Providers, providerView{spec.Name, spec.Origin, config, spec.Endpoints, spec.Guards, spec.Prompts})
	}
	out, err := json.MarshalIndent(view, "", "\t")
	if err != nil {
		return nil, fmt.Errorf("showing the state: %w", err)
	}
	return append(out, '\n'), nil
}

// redactGuards returns the guards without the paths of their webhooks, which may hold tokens.
func redactGuards(guards map[string]*guard.Definition) map[string]*guard.Definition {
	shown := maps.Clone(guards)
	for name, d := range shown {
		if d.Webhook == nil {
			continue
		}
		view, webhook := *d, *d.Webhook
		if u, err := url.Parse(webhook.URL); err == nil {
			webhook.URL = u.Scheme + "://" + u.Host
		}
		view.Webhook, shown[name] = &webhook, &view
	}
	return shown
}

// redactAuthorization returns the configuration without what services are sent to
// show who is asking.
func redactAuthorization(config *authz.Config) *authz.Config {
	if config == nil {
		return nil
	}
	view := *config
	view.ExtAuthz = maps.Clone(view.ExtAuthz)
	for name, service := range view.ExtAuthz {
		shown := *service
		shown.IncludeAdditionalHeadersInCheck = redactHeaders(service.IncludeAdditionalHeadersInCheck)
		view.ExtAuthz[name] = &shown
	}
	return &view
}

func redactHeaders(headers map[string]string) map[string]string {
	shown := maps.Clone(headers)
	for name := range shown {
		if mayBeCredential(name) {
			shown[name] = redacted
		}
	}
	return shown
}

// redactProvider returns a provider's configuration with its key replaced and
// the headers it sends.
func redactProvider(provider llmprovider.Provider) (map[string]any, error) {
	data, err := json.Marshal(provider)
	if err != nil {
		return nil, err
	}
	var view map[string]any
	if err := json.Unmarshal(data, &view); err != nil {
		return nil, err
	}
	if name := provider.CaddyModule().ID.Name(); name != kind.Default {
		view["kind"] = name
	}
	p, ok := kind.BaseOf(provider)
	if !ok {
		return view, nil
	}
	redactKey(view, "config", p.Config)
	if rules, ok := view["rules"].(map[string]any); ok {
		for name, config := range p.Rules {
			redactKey(rules, name, config)
		}
	}
	if len(p.FixedHeaders) > 0 {
		view["headers"] = redactHeaders(p.FixedHeaders)
	}
	return view, nil
}

// mayBeCredential is wider than what is refused in configurations: a value that
// is hidden without need does no harm.
func mayBeCredential(header string) bool {
	lower := strings.ToLower(header)
	return headername.IsHidden(header) || strings.Contains(lower, "auth") || strings.Contains(lower, "key")
}

// redactKey tells in a configuration's view that there is a key.
func redactKey(view map[string]any, name string, config kind.Config) {
	if config.Key == nil {
		return
	}
	entry, ok := view[name].(map[string]any)
	if !ok {
		entry = make(map[string]any)
		view[name] = entry
	}
	entry["api_key"] = redacted
}
