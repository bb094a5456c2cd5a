// Package google holds the kinds of providers for Google's APIs: gemini, which is the
// Gemini API of Google AI Studio. It imports llmprovider, what kinds share, and the API.
// Start at Gemini, then attempt.go.
package google

import (
	"net/url"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/kind"
)

func init() {
	caddy.RegisterModule(Gemini{})
}

const (
	geminiHost = "generativelanguage.googleapis.com"
	geminiPath = "/v1beta"
)

// Gemini is a provider with Google's Gemini API. It fills in the model and the key of a
// request, and leaves its body as the client sent it. Its host is
// `generativelanguage.googleapis.com` unless configured; its path is the one below which
// all of its endpoints are, by default `/v1beta`; the key is sent as `x-goog-api-key`.
type Gemini struct {
	kind.Base

	root *url.URL // below which the endpoints are
}

// CaddyModule returns the Caddy module information.
func (Gemini) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "llm.providers.gemini",
		New: func() caddy.Module { return new(Gemini) },
	}
}

// Traits implements kind.Kind.
func (g *Gemini) Traits() kind.Traits {
	return kind.Traits{
		Host: geminiHost, Endpoint: "API's version", DefaultPath: geminiPath, KeyHeader: "X-Goog-Api-Key", ManifestField: "geminiConfig",
		FetchesMedia: true,
	}
}

// UnmarshalCaddyfile reads the provider's block.
func (g *Gemini) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return g.UnmarshalBlock(d, g.Traits())
}

// Provision checks the configuration and sets up the transport. It does not connect.
func (g *Gemini) Provision(ctx caddy.Context) error {
	if err := g.Base.Provision(ctx, g.Traits()); err != nil {
		return err
	}
	var err error
	g.root, err = g.MainURL(g.Traits())
	return err
}

// Copy implements llmprovider.Provider.
func (g *Gemini) Copy() llmprovider.Provider { return &Gemini{Base: g.Unprovisioned()} }

// Interface guards
var (
	_ kind.Kind               = (*Gemini)(nil)
	_ llmprovider.ModelLister = (*Gemini)(nil)
	_ caddy.Provisioner       = (*Gemini)(nil)
	_ caddy.CleanerUpper      = (*Gemini)(nil)
	_ caddyfile.Unmarshaler   = (*Gemini)(nil)
)
