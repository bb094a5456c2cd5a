// Package webhook lets API servers ask the gateway for the sidecar that a new pod
// gets: a mutating admission webhook. The gateways of a workload share one
// certificate authority, and keep its certificates in the webhook's configuration.
package webhook

import (
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/internal/options"
)

const (
	defaultListen   = ":15017"
	defaultLifetime = 365 * 24 * time.Hour
	// leastLifetime is the shortest in which a change can be told to everyone.
	leastLifetime = time.Minute
)

// Config makes the gateway serve a mutating admission webhook that injects the
// sidecar into new pods, for a MutatingWebhookConfiguration that is in the cluster.
// All of the workload's gateways serve it, each with its own certificate from a
// certificate authority that they share in a Secret. One of them makes it, renews it,
// and keeps `caBundle` in the MutatingWebhookConfiguration up to date.
type Config struct {
	// The name of the MutatingWebhookConfiguration. The `caBundle` of all its
	// webhooks is the gateway's. Required.
	Webhook string `json:"webhook,omitempty"`

	// The file with what the sidecars are like, as `caddy llm inject` takes it: YAML,
	// of which `image` is required. It is read again when it changes; a mistake in a
	// new version is logged, and the last valid one stays in use. Required.
	Options string `json:"options,omitempty"`

	// Where to listen, over TLS. Default: `:15017`.
	Listen string `json:"listen,omitempty"`

	// The Secret with the certificate authority, in the workload's namespace.
	// Default: the name of the MutatingWebhookConfiguration and `-ca`.
	Secret string `json:"secret,omitempty"`

	// How long a certificate authority is good for, at least a minute. Another one is
	// made when a third of it is left; both are trusted then. Default: a year.
	CALifetime caddy.Duration `json:"ca_lifetime,omitempty"`
}

// Provision fills in the defaults.
func (c *Config) Provision() {
	if c.Listen == "" {
		c.Listen = defaultListen
	}
	if c.Secret == "" {
		c.Secret = c.Webhook + "-ca"
	}
	if c.CALifetime == 0 {
		c.CALifetime = caddy.Duration(defaultLifetime)
	}
}

// Validate checks the settings.
func (c *Config) Validate() error {
	if c.Webhook == "" {
		return errors.New("the injection does not know its MutatingWebhookConfiguration; write its name as webhook")
	}
	if c.Options == "" {
		return errors.New("the injection does not know what sidecars are like; write options with the path of a YAML file that has at least an image")
	}
	address, err := caddy.ParseNetworkAddress(c.Listen)
	if err != nil || address.IsUnixNetwork() || address.PortRangeSize() != 1 || address.StartPort == 0 {
		return fmt.Errorf("listen %s is not an address that API servers can reach; write one such as :15017", options.Quoted(c.Listen))
	}
	if time.Duration(c.CALifetime) < leastLifetime {
		return fmt.Errorf("ca_lifetime %v is too short; write at least %v", time.Duration(c.CALifetime), leastLifetime)
	}
	return nil
}
