package caddyfile

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-llm/gateway/llmroute/status"
)

// hostNames returns the parser of an option with the names of hosts.
func hostNames(dst *[]string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		name, args := d.Val(), d.RemainingArgs()
		if len(args) == 0 {
			return d.Errf("%s takes the names of hosts, such as status.example.com", name)
		}
		for _, host := range args {
			if err := status.CheckHostName(host); err != nil {
				return d.Errf("%s: %w", name, err)
			}
		}
		*dst = append(*dst, args...)
		return nil
	}
}
