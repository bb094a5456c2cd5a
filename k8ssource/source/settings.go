package source

import (
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-llm/gateway/internal/options"
	"github.com/caddy-llm/gateway/k8ssource"
	"github.com/caddy-llm/gateway/k8ssource/provider"
	"github.com/caddy-llm/gateway/llmroute/capture"
	"github.com/caddy-llm/gateway/llmroute/listen"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// Settings are the settings that all sources of objects have: which
// workload the gateway acts for.
type Settings struct {
	// The namespace of the workload that the gateway acts for.
	Namespace string `json:"namespace,omitempty"`

	// The workload's labels, which objects select by.
	Labels map[string]string `json:"labels,omitempty"`

	// The file with the pod's labels, which a volume of the type `downwardAPI`
	// makes, for when Labels are not set. It is read at the start.
	LabelsFile string `json:"labels_file,omitempty"`

	// The workload's name, for metrics.
	Workload string `json:"workload,omitempty"`

	// The namespace whose objects apply to the workloads of all namespaces.
	// Default: `istio-system`.
	RootNamespace string `json:"root_namespace,omitempty"`

	// The namespaces, beside the root namespace, whose LLMProviders may select
	// workloads of all namespaces by their workloadSelector. Who may create objects
	// there can give any workload's hosts to a provider of theirs, and read its prompts.
	// Default: none; a selector selects workloads of its own namespace.
	SelectorsFrom []string `json:"selectors_from,omitempty"`

	// The namespaces whose LLMProviders may be sent the gateway's own credentials of a
	// cloud, where they have none of their own: those of its machine, its service account
	// or its environment. Who may create objects there can use all models of that account,
	// at its cost. Default: none.
	AmbientCredentials []string `json:"ambient_credentials,omitempty"`

	// The ports to listen on in place of those that Gateways name, such as 8080
	// for 80, which takes privileges to listen on.
	PortMap map[int]int `json:"port_map,omitempty"`

	// The networks that each Gateway of Gateway API gets an address of its own from, such as
	// `192.0.2.8/29`: it listens there, and its status says so. The addresses must be the
	// machine's. Default: all Gateways listen on all addresses, and share their ports.
	GatewayNetworks []string `json:"gateway_networks,omitempty"`

	// Where to listen for the routes of sidecars, such as `:15001`, or
	// `localhost:15001` for what is in the same pod only, over IPv4 and IPv6. Default:
	// nowhere, unless a site routes by the table `mesh`.
	MeshListen string `json:"mesh_listen,omitempty"`

	// What happens to connections that were redirected to MeshListen, and to requests to it
	// as an HTTP proxy, if there is no route for their host: `ALLOW_ANY` passes them on to
	// where they were meant to go, `REGISTRY_ONLY` refuses them. Default: `ALLOW_ANY`.
	Outbound string `json:"outbound_traffic_policy,omitempty"`

	// Whether providers may be at Caddy's admin endpoint, and at the addresses
	// where clouds serve credentials to their machines. Anyone with permission to write
	// objects could then use the gateway to read there. Default: no.
	AllowAnyHost bool `json:"allow_any_host,omitempty"`

	// How the endpoint pickers of InferencePools are connected to. Default: with TLS,
	// without verifying their certificates.
	EndpointPicker *provider.PickerOptions `json:"endpoint_picker,omitempty"`

	keysSecret string
	configured *spec.LimitsConfig
}

// OptionNames are the options that CaddyfileOption takes.
const OptionNames = "namespace, labels, labels_file, workload, root_namespace, selectors_from, ambient_credentials, port_map, gateway_networks, mesh_listen, outbound_traffic_policy, allow_any_host, endpoint_picker"

// Defaults fills in what is not set.
func (o *Settings) Defaults() {
	if o.RootNamespace == "" {
		o.RootNamespace = k8ssource.DefaultRootNamespace
	}
}

// Validate checks what is set.
func (o *Settings) Validate() error {
	if o.Outbound != "" {
		if err := capture.CheckOutbound(o.Outbound); err != nil {
			return err
		}
	}
	for _, n := range o.SelectorsFrom {
		if !namespaceName.MatchString(n) {
			return fmt.Errorf("selectors_from: %s is not the name of a namespace; write one such as platform", options.Quoted(n))
		}
	}
	for _, n := range o.AmbientCredentials {
		if !namespaceName.MatchString(n) {
			return fmt.Errorf("ambient_credentials: %s is not the name of a namespace; write one such as platform", options.Quoted(n))
		}
	}
	if o.GatewayNetworks != nil {
		if _, err := parseNetworks(o.GatewayNetworks); err != nil {
			return fmt.Errorf("gateway_networks: %w", err)
		}
	}
	if o.EndpointPicker != nil {
		if err := o.EndpointPicker.Validate(); err != nil {
			return err
		}
	}
	if o.MeshListen == "" {
		return nil
	}
	if _, _, port, err := caddy.SplitNetworkAddress(o.MeshListen); err != nil || port == "" {
		return fmt.Errorf("mesh_listen %s is not an address with a port; write one such as :15001", options.Quoted(o.MeshListen))
	}
	return nil
}

// Known reports whether it is known which workload the gateway acts for.
func (o *Settings) Known() bool { return o.Namespace != "" || len(o.Labels) > 0 }

// Identity is the workload as Translate takes it.
func (o *Settings) Identity() spec.Identity {
	return spec.Identity{Namespace: o.Namespace, Workload: o.Workload, Labels: o.Labels}
}

// UseKeys implements spec.KeysSource.
func (o *Settings) UseKeys(secret string) { o.keysSecret = secret }

// UseLimits implements spec.LimitsSource.
func (o *Settings) UseLimits(c *spec.LimitsConfig) { o.configured = c }

// Listeners implements spec.EarlyListener.
func (o *Settings) Listeners() []*listen.Listener {
	options := o.Options()
	return options.Listeners()
}

// Options are the settings of Translate.
func (o *Settings) Options() k8ssource.Options {
	networks, _ := parseNetworks(o.GatewayNetworks) // as Validate has seen
	return k8ssource.Options{RootNamespace: o.RootNamespace, SelectorsFrom: o.SelectorsFrom, AmbientCredentials: o.AmbientCredentials, PortMap: o.PortMap, GatewayNetworks: networks, MeshListen: o.MeshListen, Outbound: o.Outbound, AllowAnyHost: o.AllowAnyHost, EndpointPicker: o.EndpointPicker, KeysSecret: o.keysSecret, Configured: o.configured}
}

// CaddyfileOption takes an option of a Caddyfile, if it is one of these.
func (o *Settings) CaddyfileOption(d *caddyfile.Dispenser, option string, args []string) (known bool, err error) {
	one := map[string]*string{"namespace": &o.Namespace, "labels_file": &o.LabelsFile, "workload": &o.Workload, "root_namespace": &o.RootNamespace, "mesh_listen": &o.MeshListen,
		"outbound_traffic_policy": &o.Outbound}
	switch to := one[option]; {
	case to != nil && (len(args) != 1 || args[0] == ""):
		return true, d.Errf("%s takes one value", option)
	case to != nil:
		*to = args[0]
		if err := o.Validate(); err != nil {
			return true, d.WrapErr(err)
		}
		return true, nil
	case option == "labels":
		if len(args) == 0 {
			return true, d.Err("labels needs at least one label, such as app=sleep")
		}
		o.Labels, err = parseLabels(args)
		if err != nil {
			return true, d.WrapErr(err)
		}
		return true, nil
	case option == "selectors_from" || option == "ambient_credentials":
		if len(args) == 0 {
			return true, d.Errf("%s needs at least one namespace, such as platform", option)
		}
		if option == "selectors_from" {
			o.SelectorsFrom = args
		} else {
			o.AmbientCredentials = args
		}
		if err := o.Validate(); err != nil {
			return true, d.WrapErr(err)
		}
		return true, nil
	case option == "gateway_networks":
		o.GatewayNetworks = append([]string{}, args...)
		if err := o.Validate(); err != nil {
			return true, d.WrapErr(err)
		}
		return true, nil
	case option == "port_map":
		o.PortMap, err = ParsePortMap(args)
		if err != nil {
			return true, d.WrapErr(fmt.Errorf("port_map: %w", err))
		}
		return true, nil
	case option == "endpoint_picker":
		if len(args) > 0 {
			return true, d.Err("endpoint_picker takes no value; write its options in a block")
		}
		o.EndpointPicker = new(provider.PickerOptions)
		return true, o.EndpointPicker.UnmarshalCaddyfile(d)
	case option == "allow_any_host":
		if len(args) > 0 {
			return true, d.Err("allow_any_host takes no value; its presence turns it on")
		}
		o.AllowAnyHost = true
		return true, nil
	}
	return false, nil
}

// parseLabels reads labels that are written as name=value.
func parseLabels(list []string) (map[string]string, error) {
	labels := make(map[string]string, len(list))
	for _, label := range list {
		name, value, ok := strings.Cut(label, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("%s is not a label; write name=value, such as app=sleep", options.Quoted(label))
		}
		labels[name] = value
	}
	return labels, nil
}
