package provider

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-llm/gateway/internal/options"
)

// PickerOptions is how the endpoint pickers of InferencePools are connected to. They are
// connected to with TLS, as the Inference Extension has them, and their certificates are not
// verified: pickers make them for themselves.
type PickerOptions struct {
	// Whether pickers are connected to without TLS. Default: no.
	Plaintext bool `json:"plaintext,omitempty"`

	// Who must have signed the certificates of pickers. Default: anyone.
	TrustPoolRaw json.RawMessage `json:"trust_pool,omitempty" caddy:"namespace=tls.ca_pool.source inline_key=provider"`

	// The name in the certificates of pickers. Default: `NAME.NAMESPACE.svc`, of the
	// picker's Service.
	ServerName string `json:"server_name,omitempty"`

	// How long a picker may take for its choice. Default: 30s.
	Timeout caddy.Duration `json:"timeout,omitempty"`
}

// Validate reports what is wrong with the options, if anything.
func (o *PickerOptions) Validate() error {
	switch {
	case o.Timeout < 0:
		return fmt.Errorf("endpoint_picker: the timeout %s is negative; leave it out for the default", time.Duration(o.Timeout))
	case o.Plaintext && (o.TrustPoolRaw != nil || o.ServerName != ""):
		return errors.New("endpoint_picker: plaintext goes without trust_pool and server_name; keep one of the two")
	}
	return nil
}

// UnmarshalCaddyfile reads the block of endpoint_picker:
//
//	endpoint_picker {
//		plaintext
//		trust_pool  <module> { ... }
//		server_name <name>
//		timeout     <duration>
//	}
func (o *PickerOptions) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if seen[option] {
			return d.Errf("%s is given twice; keep one of them", option)
		}
		seen[option] = true
		if option == "trust_pool" {
			if err := o.trustPool(d); err != nil {
				return err
			}
			continue
		}
		args := d.RemainingArgs()
		switch option {
		case "plaintext":
			if len(args) > 0 {
				return d.Err("plaintext takes no value; its presence turns TLS off")
			}
			o.Plaintext = true
		case "server_name":
			if len(args) != 1 || args[0] == "" {
				return d.Err("server_name takes one value")
			}
			o.ServerName = args[0]
		case "timeout":
			if len(args) != 1 {
				return d.Err("timeout takes one duration, such as 30s")
			}
			timeout, err := caddy.ParseDuration(args[0])
			if err != nil || timeout <= 0 {
				return d.Errf("timeout %s is no duration; write one such as 30s", options.Quoted(args[0]))
			}
			o.Timeout = caddy.Duration(timeout)
		default:
			return d.Errf("endpoint_picker has no option %s; its options are plaintext, trust_pool, server_name and timeout", options.Quoted(option))
		}
	}
	if err := o.Validate(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (o *PickerOptions) trustPool(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.Err("trust_pool takes the name of a module, such as file")
	}
	name := d.Val()
	module, err := caddyfile.UnmarshalModule(d, "tls.ca_pool.source."+name)
	if err != nil {
		return err
	}
	o.TrustPoolRaw = caddyconfig.JSONModuleObject(module, "provider", name, nil)
	return nil
}
