// Package openai is the provider kind openai: APIs that follow OpenAI's, of OpenAI
// itself, of compatible vendors, and of one's own servers. It imports llmprovider.
// Begin with Provider, then attempt.go.
package openai

import (
	"errors"
	"slices"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/llmprovider"
)

func init() {
	caddy.RegisterModule(Provider{})
}

// Provider is a provider with an OpenAI-compatible API. It fills in the path, the
// model and the key of a request, and leaves everything else as the client sent
// it.
type Provider struct {
	llmprovider.Connection

	// The path of the provider's chat completions endpoint. A query in it is
	// kept; the client's path and query are not sent. The other OpenAI endpoints
	// are reached at the same path with `/chat/completions` replaced. A path that
	// ends in the name of another endpoint, such as `/v1/embeddings`, is that
	// endpoint's, and the provider has no other. Default: `/v1/chat/completions`.
	Path string `json:"path,omitempty"`

	// What is filled into each request.
	Config ModelConfig `json:"config,omitzero"`

	// What is filled in instead for requests that matched the rule of that
	// name. What an entry leaves unset is taken from `config`.
	Rules map[string]ModelConfig `json:"rules,omitempty"`

	// Whether to leave `stream_options` as the client sent it. By default the
	// gateway asks for the usage of every stream, and hides the chunk that
	// carries it from a client that did not ask.
	KeepStreamOptions bool `json:"keep_stream_options,omitempty"`

	ready *ready
}

// ModelConfig is what a provider fills into a request. What is unset leaves the
// client's value; an empty model or key takes back one that is set above it.
type ModelConfig struct {
	// The model to ask for, whatever the client asked for.
	Model *string `json:"model,omitempty"`

	// Whether to stream the answer, whatever the client asked for.
	Stream *bool `json:"stream,omitempty"`

	// The API key, sent as `Authorization: Bearer`. It must be a reference:
	// `{env.NAME}` or `{file.PATH}`. A file is read again when it changes.
	APIKey *string `json:"api_key,omitempty"`

	// Key is the API key, set instead of APIKey by sources that hold it.
	Key *llmprovider.Secret `json:"-"`
}

// CaddyModule returns the Caddy module information.
func (Provider) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "llm.providers.openai",
		New: func() caddy.Module { return new(Provider) },
	}
}

// ConfiguredModels implements llmprovider.Provider.
func (p *Provider) ConfiguredModels() []string {
	var models []string
	if p.ready.base.model != "" {
		models = append(models, p.ready.base.model)
	}
	for _, f := range p.ready.rules {
		if f.model != "" {
			models = append(models, f.model)
		}
	}
	slices.Sort(models)
	return slices.Compact(models)
}

// CheckCredentials implements llmprovider.Provider.
func (p *Provider) CheckCredentials() error {
	errs := []error{p.CheckHeaders()}
	if p.ready.base.auth != nil {
		errs = append(errs, p.ready.base.auth.Check())
	}
	for _, f := range p.ready.rules {
		if f.auth != nil && f.auth != p.ready.base.auth {
			errs = append(errs, f.auth.Check())
		}
	}
	return errors.Join(errs...)
}

// CredentialRef implements llmprovider.Provider.
func (p *Provider) CredentialRef(rule string) string {
	if auth := p.ready.forRule(rule).auth; auth != nil {
		return auth.Ref()
	}
	return ""
}

// Copy implements llmprovider.Provider.
func (p *Provider) Copy() llmprovider.Provider {
	out := *p
	out.Connection, out.ready = p.Unprovisioned(), nil
	return &out
}

func (r *ready) forRule(rule string) *filled {
	if f := r.rules[rule]; f != nil {
		return f
	}
	return r.base
}

// Interface guards
var (
	_ llmprovider.Provider = (*Provider)(nil)
	_ caddy.Provisioner    = (*Provider)(nil)
	_ caddy.CleanerUpper   = (*Provider)(nil)
)
