package redisstore

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-llm/gateway/internal/options"
)

// UnmarshalCaddyfile reads:
//
//	store redis <url> {
//		username   <name>
//		password   <password>
//		tls
//		key_prefix <prefix>
//	}
func (s *Store) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // its name
	at := options.Here(d)
	if !d.NextArg() {
		return d.Errf("store redis needs the server's URL, such as: store redis redis://127.0.0.1:6379/0")
	}
	s.URL = d.Val()
	if d.NextArg() {
		return d.Errf("store redis takes one URL, got %s as well; options go into a block", options.Quoted(d.Val()))
	}
	if err := options.Parse(d, "store redis", []options.Option{
		{Name: "username", Parse: options.Value(&s.Username, "the name of a user", options.Text)},
		{Name: "password", Parse: options.Value(&s.Password, "a password, such as {env.REDIS_PASSWORD}", options.Text)},
		{Name: "tls", Parse: options.Presence(&s.TLS)},
		{Name: "key_prefix", Parse: options.Value(&s.KeyPrefix, "what keys in the store begin with", options.Text)},
	}); err != nil {
		return err
	}
	if err := s.Check(); err != nil {
		return at.Errf("store redis: %w", err)
	}
	return nil
}

// Interface guards
var _ caddyfile.Unmarshaler = (*Store)(nil)
