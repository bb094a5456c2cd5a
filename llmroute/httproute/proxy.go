package httproute

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// retries is how many further endpoints are tried where one cannot be connected to.
const retries = 2

// proxies are the reverse proxies in use. All matches and rules with the same endpoints
// share one, and so do the snapshots that follow each other: each has a goroutine, and
// setting one up resets Caddy's gauge of healthy upstreams.
var proxies = caddy.NewUsagePool()

// proxyKey is a key in proxies.
type proxyKey struct {
	events    any // those of the configuration in which it was set up, which it emits to
	protocol  string
	endpoints string
}

// proxy is a value of proxies.
type proxy struct {
	*reverseproxy.Handler
	key    proxyKey
	cancel context.CancelFunc
}

// acquireProxy returns the proxy to endpoints, to be given back with release.
func acquireProxy(ctx caddy.Context, h2c bool, endpoints []string) (*proxy, error) {
	events, err := ctx.App("events")
	if err != nil {
		return nil, err
	}
	key := proxyKey{events, protocolOf(h2c), strings.Join(endpoints, ",")}
	value, _, err := proxies.LoadOrNew(key, func() (caddy.Destructor, error) { return newProxy(ctx, key, endpoints) })
	if err != nil {
		return nil, err
	}
	return value.(*proxy), nil
}

func newProxy(ctx caddy.Context, key proxyKey, endpoints []string) (caddy.Destructor, error) {
	p := &proxy{key: key, Handler: &reverseproxy.Handler{
		LoadBalancing: &reverseproxy.LoadBalancing{SelectionPolicy: new(reverseproxy.RoundRobinSelection), Retries: min(retries, len(endpoints)-1)},
	}}
	for _, address := range endpoints {
		p.Upstreams = append(p.Upstreams, &reverseproxy.Upstream{Dial: address})
	}
	connections, err := acquireTransport(key.protocol)
	if err != nil {
		return nil, err
	}
	p.Transport = connections.HTTPTransport
	// It may outlive the snapshot in which it was set up. No child of Caddy's context: to
	// cancel one also runs what its parent has to clean up.
	ctx.Context, p.cancel = context.WithCancel(context.WithoutCancel(ctx.Context))
	if err := p.Provision(ctx); err != nil {
		return nil, errors.Join(err, p.Destruct())
	}
	return p, nil
}

// release gives back what acquireProxy returned.
func (p *proxy) release() error {
	_, err := proxies.Delete(p.key)
	return err
}

// Destruct implements caddy.Destructor. Requests in flight go on.
func (p *proxy) Destruct() error {
	p.cancel()
	_, err := transports.Delete(p.key.protocol)
	return errors.Join(p.Cleanup(), err)
}

// transports are the connections to services, by their protocol: those that no change of a
// route has to make anew.
var transports = caddy.NewUsagePool()

// transport is a value of transports.
type transport struct {
	*reverseproxy.HTTPTransport
	cancel context.CancelFunc
}

// Destruct implements caddy.Destructor. Requests in flight go on.
func (t *transport) Destruct() error {
	t.cancel()
	return t.Cleanup()
}

// noProxy has pods reached directly, whatever proxy the environment names for the way out.
var noProxy = json.RawMessage(`{"from":"none"}`)

// protocolOf is the key in transports.
func protocolOf(h2c bool) string {
	if h2c {
		return "h2c"
	}
	return "1.1"
}

// acquireTransport returns the connections for a protocol, to be deleted from transports.
func acquireTransport(protocol string) (*transport, error) {
	value, _, err := transports.LoadOrNew(protocol, func() (caddy.Destructor, error) {
		// The pool outlives the route, so its context must as well.
		ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
		off := false
		t := &reverseproxy.HTTPTransport{Versions: []string{protocol}, Compression: &off, NetworkProxyRaw: noProxy} // bodies are passed as they are
		if err := t.Provision(ctx); err != nil {
			cancel()
			return nil, fmt.Errorf("setting up connections: %w", err)
		}
		return &transport{t, cancel}, nil
	})
	if err != nil {
		return nil, err
	}
	return value.(*transport), nil
}
