package redisclient

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-llm/gateway/internal/options"
)

// Parse reads a store's line and block, with the options that it has beside those of all:
//
//	store redis <url> {
//		username   <name>
//		password   <password>
//		tls
//		key_prefix <prefix>
//		sentinels  <address>...
//		sentinel_username <name>
//		sentinel_password <password>
//	}
func (s *Server) Parse(d *caddyfile.Dispenser, more ...options.Option) error {
	return (&options.Server{
		Of: "store redis", Kind: "server", Example: "redis://127.0.0.1:6379/0", URL: &s.URL, Check: s.Check,
		Options: append([]options.Option{
			{Name: "username", Parse: options.Value(&s.Username, "the name of a user", options.Text)},
			{Name: "password", Parse: options.Value(&s.Password, "a password, such as {env.REDIS_PASSWORD}", options.Text)},
			{Name: "tls", Parse: options.Presence(&s.TLS)},
			{Name: "key_prefix", Parse: options.Value(&s.KeyPrefix, "what keys in the store begin with", options.Text)},
			{Name: "sentinels", Parse: s.parseSentinels},
			{Name: "sentinel_username", Parse: options.Value(&s.SentinelUsername, "the name of a user", options.Text)},
			{Name: "sentinel_password", Parse: options.Value(&s.SentinelPassword, "a password, such as {env.SENTINEL_PASSWORD}", options.Text)},
		}, more...),
	}).Parse(d)
}
