package redisstore

import "github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

// UnmarshalCaddyfile reads what redisclient.Server.Parse says.
func (s *Store) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return s.Parse(d) }

// Interface guards
var _ caddyfile.Unmarshaler = (*Store)(nil)
