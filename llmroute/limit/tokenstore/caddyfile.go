package tokenstore

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-llm/gateway/internal/options"
)

// UnmarshalCaddyfile reads:
//
//	store token_service <url> {
//		gateways <number>
//	}
func (s *Store) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return (&options.Server{
		Of: "store token_service", Kind: "service", Example: "http://127.0.0.1:8080", URL: &s.URL, Check: s.Check,
		Options: []options.Option{s.Option()},
	}).Parse(d)
}

// Interface guards
var _ caddyfile.Unmarshaler = (*Store)(nil)
