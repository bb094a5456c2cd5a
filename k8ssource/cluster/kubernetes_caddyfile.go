package cluster

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-llm/gateway/internal/options"
	"github.com/caddy-llm/gateway/internal/placeholder"
	"github.com/caddy-llm/gateway/k8ssource/cluster/webhook"
	"github.com/caddy-llm/gateway/k8ssource/source"
)

// UnmarshalCaddyfile sets up the source from Caddyfile tokens. Syntax:
//
//	source kubernetes {
//		namespaces     <namespace> ...
//		gateways       on|off
//		kubeconfig     <file>
//		context        <name>
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
//		status         on|off
//		gateway_addresses <address> ...
//		lease          <name>
//		injection      <webhook> { ... }
//	}
//
// injection has the block of webhook.Config.
func (k *Kubernetes) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	if d.NextArg() {
		return d.Errf("source kubernetes takes no argument such as %s; write its options in a block", options.Quoted(d.Val()))
	}
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if seen[option] {
			return d.Errf("%s is given twice; keep one of them", option)
		}
		seen[option] = true
		if option == "injection" {
			k.Injection = new(webhook.Config)
			if err := k.Injection.UnmarshalCaddyfile(d); err != nil {
				return err
			}
			continue
		}
		if err := k.option(d, option, d.RemainingArgs()); err != nil {
			return err
		}
	}
	return nil
}

func (k *Kubernetes) option(d *caddyfile.Dispenser, option string, args []string) error {
	for _, arg := range args {
		if err := placeholder.Refuse(options.Unquoted(option), arg); err != nil {
			return d.WrapErr(err)
		}
	}
	if known, err := k.CaddyfileOption(d, option, args); known {
		return err
	}
	if option == "namespaces" {
		if len(args) == 0 {
			return d.Err("namespaces needs at least one, such as . for the workload's own")
		}
		k.Namespaces = args
		if err := source.CheckNamespaces(args); err != nil {
			return d.WrapErr(err)
		}
		return nil
	}
	if option == "gateway_addresses" {
		if len(args) == 0 {
			return d.Err("gateway_addresses needs at least one, such as 203.0.113.7 or llm.example.com")
		}
		k.GatewayAddresses = args
		if _, err := gatewayAddresses(args); err != nil {
			return d.WrapErr(err)
		}
		return nil
	}
	to := map[string]*string{
		"kubeconfig": &k.Kubeconfig, "context": &k.Context, "status": &k.Status, "lease": &k.Lease, "gateways": &k.Gateways,
	}[option]
	switch {
	case to == nil:
		return d.Errf("source kubernetes has no option %s; its options are %s, namespaces, gateways, kubeconfig, context, status, gateway_addresses, lease and injection", options.Quoted(option), source.OptionNames)
	case len(args) != 1 || args[0] == "":
		return d.Errf("%s takes one value", option)
	}
	*to = args[0]
	if (option == "status" || option == "gateways") && *to != on && *to != off {
		return d.Errf("%s %s is neither on nor off", option, options.Quoted(*to))
	}
	return nil
}

// Interface guards
var _ caddyfile.Unmarshaler = (*Kubernetes)(nil)
