package files

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-llm/gateway/internal/options"
	"github.com/caddy-llm/gateway/internal/placeholder"
	"github.com/caddy-llm/gateway/k8ssource/source"
)

// UnmarshalCaddyfile sets up the source from Caddyfile tokens. Syntax:
//
//	source files <path...> {
//		namespace      <namespace>
//		labels         <name>=<value> ...
//		labels_file    <file>
//		workload       <name>
//		root_namespace <namespace>
//		selectors_from <namespace> ...
//		ambient_credentials <namespace> ...
//		port_map       <port>:<port> ...
//		gateway_networks <network> ...
//		mesh_listen    <address>
//		outbound_traffic_policy ALLOW_ANY|REGISTRY_ONLY
//		allow_any_host
//		endpoint_picker {
//			plaintext
//			trust_pool  <module> { ... }
//			server_name <name>
//			timeout     <duration>
//		}
//		interval       <duration>
//	}
func (f *Source) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	f.Paths = append(f.Paths, d.RemainingArgs()...)
	if len(f.Paths) == 0 {
		return d.Err("source files needs at least one path: a file, a folder, or a pattern such as /etc/llm/*.yaml")
	}
	for _, path := range f.Paths {
		if err := placeholder.Refuse("source files", path); err != nil {
			return d.WrapErr(err)
		}
	}
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if seen[option] {
			return d.Errf("%s is given twice; keep one of them", option)
		}
		seen[option] = true
		args := d.RemainingArgs()
		for _, arg := range args {
			if err := placeholder.Refuse(options.Unquoted(option), arg); err != nil {
				return d.WrapErr(err)
			}
		}
		if err := f.option(d, option, args); err != nil {
			return err
		}
	}
	return nil
}

func (f *Source) option(d *caddyfile.Dispenser, option string, args []string) error {
	known, err := f.CaddyfileOption(d, option, args)
	switch {
	case known:
		return err
	case option == "interval":
		if len(args) != 1 {
			return d.Err("interval takes one duration, such as 250ms")
		}
		interval, err := caddy.ParseDuration(args[0])
		if err != nil || interval < minInterval {
			return d.Errf("interval %s is not a duration of at least %s; write one such as 250ms", options.Quoted(args[0]), minInterval)
		}
		f.Interval = caddy.Duration(interval)
	default:
		return d.Errf("source files has no option %s; its options are %s and interval", options.Quoted(option), source.OptionNames)
	}
	return nil
}

// Interface guards
var _ caddyfile.Unmarshaler = (*Source)(nil)
