package k8ssource

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-llm/gateway/internal/options"
	"github.com/caddy-llm/gateway/llmroute"
)

// SourceOptions are the settings that all sources of objects have: which
// workload the gateway acts for.
type SourceOptions struct {
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
	// for 80, which not everyone may listen on.
	PortMap map[int]int `json:"port_map,omitempty"`

	// Where to listen for the routes of sidecars, such as `:15001`, or
	// `localhost:15001` for what is in the same pod alone, over IPv4 and IPv6.
	// Default: nowhere, unless a site routes by the table `mesh`.
	MeshListen string `json:"mesh_listen,omitempty"`

	// What becomes of connections that were led to MeshListen, and of requests to
	// it as an HTTP proxy, if there is no route for their host: `ALLOW_ANY` passes
	// them on to where they were meant to go, `REGISTRY_ONLY` refuses them. Default:
	// `ALLOW_ANY`.
	Outbound string `json:"outbound_traffic_policy,omitempty"`

	// Whether providers may be at Caddy's admin endpoint, and at the addresses
	// where clouds serve credentials to their machines. Whoever may write objects
	// could then use the gateway to read there. Default: no.
	AllowAnyHost bool `json:"allow_any_host,omitempty"`

	// How the endpoint pickers of InferencePools are connected to. Default: with TLS,
	// without verifying their certificates.
	EndpointPicker *PickerOptions `json:"endpoint_picker,omitempty"`

	keysSecret string
}

// SourceOptionNames are the options that CaddyfileOption takes.
const SourceOptionNames = "namespace, labels, labels_file, workload, root_namespace, selectors_from, ambient_credentials, port_map, mesh_listen, outbound_traffic_policy, allow_any_host, endpoint_picker"

// Defaults fills in what is not set.
func (o *SourceOptions) Defaults() {
	if o.RootNamespace == "" {
		o.RootNamespace = DefaultRootNamespace
	}
}

// Validate checks what is set.
func (o *SourceOptions) Validate() error {
	if o.Outbound != "" {
		if err := llmroute.CheckOutbound(o.Outbound); err != nil {
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
	if o.EndpointPicker != nil {
		if err := o.EndpointPicker.validate(); err != nil {
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

// known reports whether it is known which workload the gateway acts for.
func (o *SourceOptions) known() bool { return o.Namespace != "" || len(o.Labels) > 0 }

// Identity is the workload as Translate takes it.
func (o *SourceOptions) Identity() llmroute.Identity {
	return llmroute.Identity{Namespace: o.Namespace, Workload: o.Workload, Labels: o.Labels}
}

// UseKeys implements llmroute.KeysSource.
func (o *SourceOptions) UseKeys(secret string) { o.keysSecret = secret }

// Listeners implements llmroute.EarlyListener.
func (o *SourceOptions) Listeners() []*llmroute.Listener {
	if o.MeshListen == "" {
		return nil
	}
	var out []*llmroute.Listener
	for _, address := range loopbacks(o.MeshListen) {
		out = append(out, &llmroute.Listener{Address: address, Outbound: cmp.Or(o.Outbound, llmroute.OutboundAllowAny), Servers: []*llmroute.Server{
			{Hosts: []string{"*"}, Table: MeshTable, Gateway: MeshTable, Origin: "mesh_listen"},
		}})
	}
	return out
}

// loopbacks are the addresses that localhost stands for: captured connections of
// both families come in. Any other address is itself.
func loopbacks(address string) []string {
	_, host, port, err := caddy.SplitNetworkAddress(address)
	if err != nil || host != "localhost" {
		return []string{address}
	}
	out := []string{net.JoinHostPort("127.0.0.1", port)}
	if own, err := net.InterfaceAddrs(); err == nil && slices.ContainsFunc(own, func(a net.Addr) bool { return a.String() == "::1/128" }) {
		out = append(out, net.JoinHostPort("::1", port))
	}
	return out
}

// Options are the settings of Translate.
func (o *SourceOptions) Options() Options {
	return Options{RootNamespace: o.RootNamespace, SelectorsFrom: o.SelectorsFrom, AmbientCredentials: o.AmbientCredentials, PortMap: o.PortMap, MeshListen: o.MeshListen, Outbound: o.Outbound, AllowAnyHost: o.AllowAnyHost, EndpointPicker: o.EndpointPicker, KeysSecret: o.keysSecret}
}

// CaddyfileOption takes an option of a Caddyfile, if it is one of these.
func (o *SourceOptions) CaddyfileOption(d *caddyfile.Dispenser, option string, args []string) (known bool, err error) {
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
	case option == "port_map":
		o.PortMap, err = parsePortMap(args)
		if err != nil {
			return true, d.WrapErr(fmt.Errorf("port_map: %w", err))
		}
		return true, nil
	case option == "endpoint_picker":
		if len(args) > 0 {
			return true, d.Err("endpoint_picker takes no value; write its options in a block")
		}
		o.EndpointPicker = new(PickerOptions)
		return true, o.EndpointPicker.unmarshalCaddyfile(d)
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
