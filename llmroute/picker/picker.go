// Package picker asks the endpoint pickers of the Gateway API Inference Extension which
// endpoint of a pool a request goes to: Envoy's external processing protocol over gRPC, one
// stream for each request, as the extension's Endpoint Picker Protocol 1.0.0 has it.
//
// It imports llmprovider, gRPC and Envoy's messages, and nothing else imports gRPC. Begin
// with Picker, then session.go; response.go has what follows the choice.
package picker

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddytls"

	"github.com/caddy-llm/gateway/llmprovider"
)

// DefaultTimeout is how long a picker may take for its choice. Pickers with flow control
// queue requests.
const DefaultTimeout = 30 * time.Second

// The failure modes, as InferencePools name them.
const (
	FailOpen  = "FailOpen"
	FailClose = "FailClose"
)

func init() { caddy.RegisterModule(Picker{}) }

// Picker asks an endpoint picker of the Gateway API Inference Extension which server of
// the pool a request goes to.
type Picker struct {
	// The picker's host and port. Required.
	Address string `json:"address,omitempty"`

	// What happens to requests while the picker cannot be reached, fails, or picks
	// nothing of the pool: with `FailOpen` the gateway chooses itself, with `FailClose`
	// they get a 503. Default: `FailClose`.
	FailureMode string `json:"failure_mode,omitempty"`

	// Connects without TLS. Default: with TLS.
	Plaintext bool `json:"plaintext,omitempty"`

	// Who must have signed the picker's certificate. Default: it is not verified, since
	// pickers sign their own.
	CARaw json.RawMessage `json:"ca,omitempty" caddy:"namespace=tls.ca_pool.source inline_key=provider"`

	// The name in the picker's certificate. Default: the host of the address.
	ServerName string `json:"server_name,omitempty"`

	// How long the picker may take for its choice. Default: 30s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	key  string
	conn *connection
}

// CaddyModule returns the Caddy module information.
func (Picker) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "llm.endpoint_pickers.ext_proc", New: func() caddy.Module { return new(Picker) }}
}

// connections are shared by all pools with the same picker, and survive configurations.
var connections = caddy.NewUsagePool()

// Provision checks the configuration. It makes no connections.
func (p *Picker) Provision(ctx caddy.Context) error {
	host, _, err := net.SplitHostPort(p.Address)
	if err != nil || host == "" || strings.ContainsAny(p.Address, "/ ") {
		return errors.New("the endpoint picker's address is no host with a port; write one such as 10.0.0.1:9002")
	}
	switch p.FailureMode {
	case "":
		p.FailureMode = FailClose
	case FailOpen, FailClose:
	default:
		return errors.New("the endpoint picker's failure_mode is not known; write FailOpen or FailClose")
	}
	switch {
	case p.Timeout < 0:
		return fmt.Errorf("the endpoint picker's timeout of %s is negative; leave it out for the default", time.Duration(p.Timeout))
	case p.Plaintext && (p.CARaw != nil || p.ServerName != ""):
		return errors.New("the endpoint picker's connection is plaintext, and has settings of TLS; keep one of the two")
	}
	if p.Timeout == 0 {
		p.Timeout = caddy.Duration(DefaultTimeout)
	}
	key, err := json.Marshal([]any{p.Address, p.Plaintext, p.CARaw, p.ServerName})
	if err != nil {
		return err
	}
	roots, err := p.roots(ctx)
	if err != nil {
		return err
	}
	conn, _, err := connections.LoadOrNew(string(key), func() (caddy.Destructor, error) {
		return newConnection(p.Address, p.tls(host)), nil
	})
	if err != nil {
		return err
	}
	p.key, p.conn = string(key), conn.(*connection)
	p.conn.roots.Store(roots)
	return nil
}

// tls is how the picker is connected to; nil for plaintext. The connection verifies its
// certificate.
func (p *Picker) tls(host string) *tls.Config {
	if p.Plaintext {
		return nil
	}
	config := &tls.Config{ServerName: host, InsecureSkipVerify: true} //nolint:gosec // see connection.verify
	if p.ServerName != "" {
		config.ServerName = p.ServerName
	}
	return config
}

// roots are whom the picker's certificate must be signed by, nil for anyone: pickers sign their
// own.
func (p *Picker) roots(ctx caddy.Context) (*x509.CertPool, error) {
	if p.CARaw == nil {
		return nil, nil
	}
	module, err := ctx.LoadModule(p, "CARaw")
	if err != nil {
		return nil, fmt.Errorf("loading whom the endpoint picker's certificate must be signed by: %w", err)
	}
	ca, ok := module.(caddytls.CA)
	if !ok {
		return nil, fmt.Errorf("%T is no trust pool", module)
	}
	return ca.CertPool(), nil
}

// Close implements llmprovider.EndpointPicker.
func (p *Picker) Close() error {
	_, err := connections.Delete(p.key)
	return err
}

// FailOpen implements llmprovider.EndpointPicker.
func (p *Picker) FailOpen() bool { return p.FailureMode == FailOpen }

// Interface guards
var (
	_ caddy.Provisioner          = (*Picker)(nil)
	_ llmprovider.EndpointPicker = (*Picker)(nil)
)
