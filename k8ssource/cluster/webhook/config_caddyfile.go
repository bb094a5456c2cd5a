package webhook

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-llm/gateway/internal/options"
	"github.com/caddy-llm/gateway/internal/placeholder"
)

// UnmarshalCaddyfile sets up the webhook from Caddyfile tokens. Syntax:
//
//	injection <webhook> {
//		options     <file>
//		listen      <address>
//		secret      <name>
//		ca_lifetime <duration>
//	}
func (c *Config) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.Err("injection takes the name of the MutatingWebhookConfiguration")
	}
	c.Webhook = d.Val()
	if err := placeholder.Refuse("injection", c.Webhook); err != nil {
		return d.WrapErr(err)
	}
	if d.NextArg() {
		return d.Errf("injection takes one name; %s is one too many", options.Quoted(d.Val()))
	}
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option, args := d.Val(), d.RemainingArgs()
		for _, arg := range args {
			if err := placeholder.Refuse(options.Unquoted(option), arg); err != nil {
				return d.WrapErr(err)
			}
		}
		to := map[string]*string{"options": &c.Options, "listen": &c.Listen, "secret": &c.Secret}[option]
		switch {
		case to == nil && option != "ca_lifetime":
			return d.Errf("injection has no option %s; its options are options, listen, secret and ca_lifetime", options.Quoted(option))
		case seen[option]:
			return d.Errf("%s is given twice; keep one of them", option)
		case len(args) != 1 || args[0] == "":
			return d.Errf("%s takes one value", option)
		case to != nil:
			*to = args[0]
		default:
			lifetime, err := caddy.ParseDuration(args[0])
			if err != nil || lifetime < leastLifetime {
				return d.Errf("ca_lifetime is %s; expected a duration of at least %v, such as 8760h", options.Quoted(args[0]), leastLifetime)
			}
			c.CALifetime = caddy.Duration(lifetime)
		}
		seen[option] = true
	}
	return nil
}

// Interface guards
var _ caddyfile.Unmarshaler = (*Config)(nil)
