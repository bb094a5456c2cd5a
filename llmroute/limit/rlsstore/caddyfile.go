package rlsstore

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-llm/gateway/internal/options"
)

// UnmarshalCaddyfile reads:
//
//	store envoy <url> {
//		domain   <name>
//		gateways <number>
//	}
func (s *Envoy) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return s.parse(d, "store envoy") }

// UnmarshalCaddyfile reads the same as that of Envoy, for store kuadrant.
func (s *Kuadrant) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return s.parse(d, "store kuadrant")
}

// parse reads the options of a store that has no others.
func (s *Service) parse(d *caddyfile.Dispenser, of string) error {
	return (&options.Server{
		Of: of, Kind: "service", Example: "grpc://127.0.0.1:8081", URL: &s.URL, Check: s.Check,
		Options: []options.Option{
			{Name: "domain", Parse: options.Value(&s.Domain, "the name of a domain", options.Text)},
			s.Option(),
		},
	}).Parse(d)
}

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*Envoy)(nil)
	_ caddyfile.Unmarshaler = (*Kuadrant)(nil)
)
