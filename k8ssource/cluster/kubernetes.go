// Package cluster is the source that follows Kubernetes objects at the API
// server. It is the only package that needs client-go.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/internal/placeholder"
	"github.com/caddy-llm/gateway/k8ssource/cluster/webhook"
	"github.com/caddy-llm/gateway/k8ssource/source"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

func init() {
	caddy.RegisterModule(new(Kubernetes))
}

// defaultLabelsFile is where examples mount the pod's labels.
const defaultLabelsFile = "/etc/podinfo/labels"

// The values of options that turn something on or off.
const on, off = "on", "off"

// readyWait is how long the first state waits for the webhook of the injection.
const readyWait = 30 * time.Second

// Kubernetes takes providers and routes from the LLMProvider and LLMRoute objects
// of a cluster, and who may call from Istio's AuthorizationPolicy and
// RequestAuthentication objects, and follows them as they change. Services and Istio
// Gateways are honored, and only those Secrets are read that the objects refer to.
//
// A change takes effect within a second. While the API server cannot be reached, what
// was read last stays in use; before anything was read, requests get a 503. An object
// that is wrong is left out and reported; requests for its host get a 503.
type Kubernetes struct {
	// The kubeconfig file with the address of the API server and the credentials.
	// Default: those of the pod.
	Kubeconfig string `json:"kubeconfig,omitempty"`

	// The context of the kubeconfig file. Default: its current context.
	Context string `json:"context,omitempty"`

	// Which workload the gateway acts for. What is not set is taken from
	// `LLM_NAMESPACE`, `LLM_LABELS` (`a=b,c=d`) and `LLM_WORKLOAD`, and then from
	// the pod: its namespace from the ServiceAccount, its labels from
	// `/etc/podinfo/labels` unless labels_file says otherwise, its workload's name from the labels `service.istio.io/canonical-name`,
	// `app.kubernetes.io/name` or `app`. Namespace and labels are required.
	source.Settings

	// The namespaces whose objects are followed, of which `.` is the workload's own.
	// In each of them a Role is enough then. What is elsewhere, in the root namespace
	// too, is as if it were not there. Default: all namespaces, which takes a
	// ClusterRole.
	Namespaces []string `json:"namespaces,omitempty"`

	// Whether Istio Gateways are followed, and the policies that hold at them: `on` or
	// `off`. A sidecar needs neither. Default: `on`.
	Gateways string `json:"gateways,omitempty"`

	// Whether the outcome is written into the objects' status, with events about what is
	// wrong with them: `on` or `off`. One gateway of the workload does it. Default: `on`.
	Status string `json:"status,omitempty"`

	// Where clients reach the Gateways of Gateway API that are served here: IP addresses or
	// host names, such as those of the load balancer in front. They are written into
	// `status.addresses` of each. Default: nothing is written there.
	GatewayAddresses []string `json:"gateway_addresses,omitempty"`

	// The Lease in the workload's namespace by which its gateways decide which of
	// them writes. Default: `llm-gateway-` and the workload's name.
	Lease string `json:"lease,omitempty"`

	// Makes the gateway add the sidecar to new pods that opt in, as a webhook that
	// API servers ask. Default: it does not.
	Injection *webhook.Config `json:"injection,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Kubernetes) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "llm.sources.kubernetes",
		New: func() caddy.Module { return new(Kubernetes) },
	}
}

// Provision fills in the defaults. It reads no file and contacts nobody.
func (k *Kubernetes) Provision(ctx caddy.Context) error {
	k.Defaults()
	if k.LabelsFile == "" {
		k.LabelsFile = defaultLabelsFile
	}
	if k.Injection == nil {
		return nil
	}
	k.Injection.Provision()
	return webhook.Register(ctx.GetMetricsRegistry())
}

// Validate checks the settings.
func (k *Kubernetes) Validate() error {
	if err := placeholder.RefuseIn(k); err != nil {
		return err
	}
	if k.Context != "" && k.Kubeconfig == "" {
		return errors.New("there is a context, but no kubeconfig file that it could be in; write kubeconfig too")
	}
	for option, value := range map[string]string{"status": k.Status, "gateways": k.Gateways} {
		if value != "" && value != on && value != off {
			return fmt.Errorf("%s %q is neither on nor off", option, value)
		}
	}
	if err := source.CheckNamespaces(k.Namespaces); err != nil {
		return err
	}
	if len(k.GatewayAddresses) > 0 && len(k.GatewayNetworks) > 0 {
		return errors.New("gateway_addresses and gateway_networks cannot both be set; leave out gateway_addresses: each Gateway's status has its own address")
	}
	if _, err := gatewayAddresses(k.GatewayAddresses); err != nil {
		return err
	}
	if k.Injection != nil {
		if err := k.Injection.Validate(); err != nil {
			return err
		}
	}
	return k.Settings.Validate()
}

// Start implements spec.Source. The error is a workload that is not known, or
// settings without which the API server cannot be found. An API server that does
// not answer is none.
func (k *Kubernetes) Start(ctx context.Context, report func(*spec.State)) error {
	options, err := k.workload()
	if err != nil {
		return err
	}
	lease := k.Lease
	if lease == "" && options.Workload != "" {
		lease = leaseName(options.Workload)
	}
	if lease == "" && k.Injection != nil {
		return fmt.Errorf("injection: the workload's name is not known, so its gateways cannot decide which of them keeps the certificates; write the option workload or lease, or set %s", source.EnvWorkload)
	}
	config, err := k.restConfig()
	if err != nil {
		return err
	}
	logToZap()
	clients, err := newClients(config)
	if err != nil {
		return fmt.Errorf("setting up the connection to the API server: %w", err)
	}
	logger().Info("following the cluster's objects", zap.String("server", config.Host), zap.String("namespace", options.Namespace),
		zap.Any("labels", options.Labels), zap.String("workload", options.Workload), zap.Strings("namespaces", k.Namespaces))
	var writers []func(context.Context)
	if k.Injection != nil {
		hook, err := k.Injection.Start(ctx, webhook.Options{REST: config, Namespace: options.Namespace, Logger: logger})
		if err != nil {
			return fmt.Errorf("injection: %w", err)
		}
		// A gateway that is ready is sent API servers' requests, too.
		report = holdBack(ctx, hook.Ready(), readyWait, report)
		writers = append(writers, hook.Lead)
	}
	c := newController(options, newScope(k.Namespaces, options.Namespace, k.Gateways != off), clients, report)
	switch {
	case k.Status == off:
	case options.Workload == "": // a status says whose it is
		logger().Warn("object status disabled: workload name unknown; set the option workload or " + source.EnvWorkload)
	default:
		c.status = newStatusWriter(options, lease, clients, c.follower)
		c.status.addresses, _ = gatewayAddresses(k.GatewayAddresses) // as Validate has seen
		writers = append(writers, c.status.run)
	}
	if len(writers) > 0 {
		e := &election{client: clients.leases, namespace: options.Namespace, name: lease, required: k.Injection != nil}
		go e.run(ctx, func(ctx context.Context) { together(ctx, writers) })
	}
	go c.run(ctx)
	return nil
}

// together runs the writers, and returns when all have ended.
func together(ctx context.Context, writers []func(context.Context)) {
	var all sync.WaitGroup
	for _, write := range writers {
		all.Go(func() { write(ctx) })
	}
	all.Wait()
}

// holdBack passes states on once ready is closed, or the time is over.
func holdBack(ctx context.Context, ready <-chan struct{}, most time.Duration, report func(*spec.State)) func(*spec.State) {
	var mu sync.Mutex // also held while reporting, so that the order stays
	var held *spec.State
	open := false
	go func() {
		select {
		case <-ctx.Done():
			return
		case <-ready:
		case <-time.After(most):
			logger().Warn("injection webhook not ready; serving without it until it is")
		}
		mu.Lock()
		defer mu.Unlock()
		open = true
		if held != nil {
			report(held)
		}
	}()
	return func(s *spec.State) {
		mu.Lock()
		defer mu.Unlock()
		if !open {
			held = s
			return
		}
		report(s)
	}
}

// logger is the process's logger as it is now: the source outlives the
// configuration it came with, and the logs of that.
func logger() *zap.Logger { return caddy.Log().Named("llm.sources.kubernetes") }

// Interface guards
var (
	_ spec.Source       = (*Kubernetes)(nil)
	_ caddy.Provisioner = (*Kubernetes)(nil)
	_ caddy.Validator   = (*Kubernetes)(nil)
)
