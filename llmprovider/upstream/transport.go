package upstream

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

const (
	// defaultDialTimeout bounds connecting, TLS included.
	defaultDialTimeout = 3 * time.Second
	// idlePerHost is how many idle connections are kept to a provider. Caddy's
	// default of 32 means a handshake for each request above it.
	idlePerHost = 1024
	// connBuffer is each of the two buffers that an HTTP/1.1 connection holds as
	// long as it is open, in bytes. What is larger goes past them.
	connBuffer = 2 << 10
	// maxResponseHeader bounds a provider's response headers, in bytes.
	maxResponseHeader = 256 << 10
	// pingAfter is how long an HTTP/2 connection may be silent before it is
	// probed. Without it, requests on a connection that the network has dropped
	// wait for their own timeouts.
	pingAfter = 15 * time.Second
)

// transports holds the connection pools, by settings. Providers with the same
// settings share one, and it lives on through a reload.
var transports = caddy.NewUsagePool()

// transport is a provider's way out. Its connections are pooled unless a
// setting belongs to one configuration.
type transport struct {
	*connections
	key      string // in transports; empty when not pooled
	released bool
}

// connections are the connections of one set of settings.
type connections struct {
	*reverseproxy.HTTPTransport
	busy atomic.Int32 // requests whose response has not begun
}

// RoundTrip implements http.RoundTripper.
func (c *connections) RoundTrip(r *http.Request) (*http.Response, error) {
	c.busy.Add(1)
	defer c.busy.Add(-1)
	return c.HTTPTransport.RoundTrip(r)
}

// pooled is the value kept in transports.
type pooled struct {
	*connections
	cancel context.CancelFunc
}

// Destruct implements caddy.Destructor. Requests in flight go on.
func (p *pooled) Destruct() error {
	p.cancel()
	return p.Cleanup()
}

// acquireTransport returns the transport for the settings, which may be nil.
// They are not changed. guard is OpenAI's Guarded.
func acquireTransport(ctx caddy.Context, settings *reverseproxy.HTTPTransport, useTLS, guard bool, dialTimeout caddy.Duration) (*transport, error) {
	own, err := withDefaults(settings, useTLS, dialTimeout)
	if err != nil {
		return nil, err
	}
	if belongsToConfig(own) {
		// Guest modules were provisioned, or are to be, in this configuration's
		// context and end with it.
		c, err := connect(ctx, own, guard)
		if err != nil {
			return nil, err
		}
		return &transport{connections: c}, nil
	}
	key, err := transportKey(own)
	if err != nil {
		return nil, err
	}
	if guard {
		key = "guarded " + key
	}
	value, _, err := transports.LoadOrNew(key, func() (caddy.Destructor, error) {
		// The pool outlives this configuration, so its context must as well.
		poolCtx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
		c, err := connect(poolCtx, own, guard)
		if err != nil {
			cancel()
			return nil, err
		}
		return &pooled{connections: c, cancel: cancel}, nil
	})
	if err != nil {
		return nil, err
	}
	return &transport{connections: value.(*pooled).connections, key: key}, nil
}

// release gives the connections back. It is safe to call more than once.
func (t *transport) release() error {
	if t.released {
		return nil
	}
	t.released = true
	if t.key == "" {
		return t.Cleanup()
	}
	_, err := transports.Delete(t.key)
	return err
}

func withDefaults(settings *reverseproxy.HTTPTransport, useTLS bool, dialTimeout caddy.Duration) (*reverseproxy.HTTPTransport, error) {
	own := new(reverseproxy.HTTPTransport)
	if settings != nil {
		data, err := json.Marshal(settings) // a deep copy: provisioning writes into it
		if err != nil {
			return nil, fmt.Errorf("copying transport settings: %w", err)
		}
		if err := json.Unmarshal(data, own); err != nil {
			return nil, fmt.Errorf("copying transport settings: %w", err)
		}
	}
	if own.ProxyProtocol != "" {
		return nil, fmt.Errorf("proxy_protocol is not supported, because connections to a provider are shared by all clients; remove it")
	}
	if slices.Contains(own.Versions, "3") {
		return nil, fmt.Errorf("HTTP/3 to a provider is not supported; leave versions out, or write 1.1, 2 or h2c")
	}
	if dialTimeout != 0 {
		own.DialTimeout = dialTimeout
	}
	if own.DialTimeout == 0 {
		own.DialTimeout = caddy.Duration(defaultDialTimeout)
	}
	if !useTLS {
		if own.TLS != nil {
			return nil, fmt.Errorf("TLS options are set, but the scheme is http; write https")
		}
	} else {
		if own.TLS == nil {
			own.TLS = new(reverseproxy.TLSConfig)
		}
		if own.TLS.HandshakeTimeout == 0 {
			own.TLS.HandshakeTimeout = own.DialTimeout
		}
	}
	if own.KeepAlive == nil {
		own.KeepAlive = new(reverseproxy.KeepAlive)
	}
	if own.KeepAlive.MaxIdleConnsPerHost == 0 {
		own.KeepAlive.MaxIdleConnsPerHost = idlePerHost
	}
	if own.ReadBufferSize == 0 {
		own.ReadBufferSize = connBuffer
	}
	if own.WriteBufferSize == 0 {
		own.WriteBufferSize = connBuffer
	}
	if own.MaxResponseHeaderSize == 0 {
		own.MaxResponseHeaderSize = maxResponseHeader
	}
	if own.Compression == nil {
		// Usage is read from the response, so it is asked for as it is.
		off := false
		own.Compression = &off
	}
	return own, nil
}

// connect sets up the connections, and makes none yet.
func connect(ctx caddy.Context, own *reverseproxy.HTTPTransport, guard bool) (*connections, error) {
	if err := own.Provision(ctx); err != nil {
		return nil, fmt.Errorf("setting up the transport: %w", err)
	}
	c := &connections{HTTPTransport: own}
	own.Transport.HTTP2 = &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingAfter}
	if guard {
		own.Transport.DialContext = GuardDial(own.Transport.DialContext)
	}
	own.Transport.DialContext = earlyAnswers(own.Transport.DialContext)
	if own.TLS != nil && own.Transport.DialTLSContext == nil {
		own.Transport.DialTLSContext = c.dialTLS
	}
	return c, nil
}

// dialTLS connects, TLS included, within the limit; net/http by itself would
// bound the two parts one by one.
func (c *connections) dialTLS(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(c.DialTimeout))
	defer cancel()
	conn, err := c.Transport.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	config := c.Transport.TLSClientConfig.Clone()
	if config.ServerName == "" {
		if config.ServerName, _, err = net.SplitHostPort(addr); err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
	batched := newBatchConn(conn, &c.busy)
	secured := tls.Client(batched, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, errConnect{err}
	}
	batched.shared = secured.ConnectionState().NegotiatedProtocol == "h2"
	return secured, nil
}

// belongsToConfig reports whether a guest module ties the settings to the
// configuration they were loaded with.
func belongsToConfig(t *reverseproxy.HTTPTransport) bool {
	if len(t.NetworkProxyRaw) > 0 {
		return true
	}
	if t.TLS == nil {
		return false
	}
	if t.TLS.ClientCertificateAutomate != "" {
		return true
	}
	switch trustPool(t).Provider {
	case "", "file", "inline", "system":
		return false
	}
	return true
}

// trustPool is the part of a tls.ca_pool.source module that decides whether,
// and by what, a transport may be shared.
func trustPool(t *reverseproxy.HTTPTransport) (source struct {
	Provider string   `json:"provider"`
	PEMFiles []string `json:"pem_files"`
}) {
	if len(t.TLS.CARaw) > 0 {
		_ = json.Unmarshal(t.TLS.CARaw, &source) // provisioning reports what is wrong with it
	}
	return source
}

// transportKey is the pool key: the settings and the content of the files they
// name, so that a replaced certificate gives a new pool. It holds no secret.
func transportKey(t *reverseproxy.HTTPTransport) (string, error) {
	h := sha256.New()
	if err := json.NewEncoder(h).Encode(t); err != nil {
		return "", fmt.Errorf("transport settings: %w", err)
	}
	if t.TLS != nil {
		files := append([]string{t.TLS.ClientCertificateFile, t.TLS.ClientCertificateKeyFile}, t.TLS.RootCAPEMFiles...) //nolint:staticcheck // deprecated, but still taken
		files = append(files, trustPool(t).PEMFiles...)
		for _, name := range files {
			if name == "" {
				continue
			}
			data, err := os.ReadFile(name)
			if err != nil {
				return "", fmt.Errorf("transport settings: %w", err)
			}
			sum := sha256.Sum256(data)
			h.Write(sum[:])
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Interface guards
var _ caddy.Destructor = (*pooled)(nil)
