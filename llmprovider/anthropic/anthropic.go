// Package anthropic is the provider kind anthropic: Anthropic's API, and others that have
// its messages. Start at Provider, then
// attempt.go.
package anthropic

import (
	"net/url"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/kind"
)

func init() {
	caddy.RegisterModule(Provider{})
}

const (
	defaultHost = "api.anthropic.com"
	defaultPath = "/v1" + llmprovider.MessagesSuffix
)

// Provider is a provider with Anthropic's API. It fills in the model and the key of a
// request, and leaves everything else as the client sent it. Its host is
// `api.anthropic.com` unless configured; the key is sent as `x-api-key`. The header
// `anthropic-version` is the client's, else `2023-06-01`.
type Provider struct {
	kind.Base

	urls map[string]*url.URL // by endpoint suffix
}

// CaddyModule returns the Caddy module information.
func (Provider) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "llm.providers.anthropic",
		New: func() caddy.Module { return new(Provider) },
	}
}

// Traits implements kind.Kind.
func (p *Provider) Traits() kind.Traits {
	return kind.Traits{
		Host: defaultHost, Endpoint: "messages", DefaultPath: defaultPath,
		KeyHeader: "X-Api-Key", TakesMaxTokens: true, ManifestField: "anthropicConfig",
	}
}

// UnmarshalCaddyfile reads the provider's block.
func (p *Provider) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return p.UnmarshalBlock(d, p.Traits())
}

// Provision checks the configuration and sets up the
// transport. It does not connect.
func (p *Provider) Provision(ctx caddy.Context) error {
	if err := p.Base.Provision(ctx, p.Traits()); err != nil {
		return err
	}
	messages, err := p.MainURL(p.Traits())
	if err != nil {
		return err
	}
	p.urls = map[string]*url.URL{llmprovider.MessagesSuffix: messages}
	for _, suffix := range [...]string{countSuffix, llmprovider.ModelsSuffix} {
		if to := kind.Sibling(messages, llmprovider.MessagesSuffix, suffix); to != nil {
			p.urls[suffix] = to
		}
	}
	return nil
}

// Copy implements llmprovider.Provider.
func (p *Provider) Copy() llmprovider.Provider { return &Provider{Base: p.Unprovisioned()} }

// Interface guards
var (
	_ kind.Kind               = (*Provider)(nil)
	_ llmprovider.ModelLister = (*Provider)(nil)
	_ caddy.Provisioner       = (*Provider)(nil)
	_ caddy.CleanerUpper      = (*Provider)(nil)
	_ caddyfile.Unmarshaler   = (*Provider)(nil)
)
