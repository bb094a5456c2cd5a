// Package openai is the provider kind openai: APIs that follow OpenAI's, of OpenAI
// itself, of compatible vendors, and of one's own servers. It imports llmprovider and what kinds
// share. Start at Provider, then attempt.go.
package openai

import (
	"net/url"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-llm/gateway/internal/options"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/kind"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
)

func init() {
	caddy.RegisterModule(Provider{})
}

// Provider is a provider with an OpenAI-compatible API. It fills in the path, the
// model and the key of a request, and leaves everything else as the client sent
// it.
type Provider struct {
	kind.Base

	// Whether to leave `stream_options` as the client sent it. By default the
	// gateway asks for the usage of every stream, and hides the chunk that
	// carries it from a client that did not ask.
	KeepStreamOptions bool `json:"keep_stream_options,omitempty"`

	// AllResponses reports whether the provider has the Responses API at any host, and
	// Place returns where a request goes, instead of u, where an endpoint's path depends
	// on the model. A kind that embeds this one sets them before ProvisionAs.
	AllResponses bool                                                                                  `json:"-"`
	Place        func(u *url.URL, e llmprovider.Endpoint, model string) (*url.URL, *llmprovider.Error) `json:"-"`

	// speaksResponses reports whether the provider has the Responses API itself.
	speaksResponses bool

	// prefersResponses reports whether requests in other APIs are translated to that one
	// unless chat completions keep more of them.
	prefersResponses bool

	urls map[string]*url.URL // by endpoint suffix; "" is chat completions, if there are any
}

// CaddyModule returns the Caddy module information.
func (Provider) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "llm.providers.openai",
		New: func() caddy.Module { return new(Provider) },
	}
}

// Traits implements kind.Kind.
func (p *Provider) Traits() kind.Traits {
	return kind.Traits{
		Endpoint: "chat completions", DefaultPath: upstream.DefaultPath,
		KeyHeader: "Authorization", KeyPrefix: "Bearer ",
		Options:       []kind.Option{{Name: "keep_stream_options", Parse: options.Presence(&p.KeepStreamOptions)}},
		APIs:          []string{apiMessages, apiResponses},
		ManifestField: "openAIConfig",
	}
}

// UnmarshalCaddyfile reads the provider's block.
func (p *Provider) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return p.UnmarshalBlock(d, p.Traits())
}

// Copy implements llmprovider.Provider.
func (p *Provider) Copy() llmprovider.Provider {
	return &Provider{Base: p.Unprovisioned(), KeepStreamOptions: p.KeepStreamOptions}
}

// Interface guards
var (
	_ kind.Kind               = (*Provider)(nil)
	_ llmprovider.ModelLister = (*Provider)(nil)
	_ caddy.Provisioner       = (*Provider)(nil)
	_ caddy.CleanerUpper      = (*Provider)(nil)
	_ caddyfile.Unmarshaler   = (*Provider)(nil)
)
