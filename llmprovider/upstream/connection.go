// Package upstream is what providers of every kind have: an address, headers, secrets,
// connections that are shared and survive a reload, and servers, if there are several.
// Kinds embed its Connection. It may import llmprovider, and knows nothing of kinds and
// routes. Begin with Connection, and with attempt.go for what a provider gets of a client's
// headers.
package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.opentelemetry.io/otel/propagation"
	"go.uber.org/zap"
	"golang.org/x/net/http/httpguts"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/headername"
)

const (
	// DefaultPath is the chat completions endpoint of providers unless configured.
	DefaultPath = "/v1/chat/completions"

	defaultFirstByte = 10 * time.Minute
	defaultIdle      = 5 * time.Minute
)

// Connection is what providers of every kind have: where the provider is, how it is
// reached, and which headers it gets. Kinds embed it, and call its Provision and
// Cleanup from their own.
type Connection struct {
	// The provider's DNS name or IP address, without port. It is also a name
	// that clients may call. Required.
	Host string `json:"host,omitempty"`

	// How the provider is reached: `https` or `http`. Default: `https`.
	Scheme string `json:"scheme,omitempty"`

	// The provider's TCP port. Default: 443 with https, 80 with http.
	Port int `json:"port,omitempty"`

	// Headers that are added to each request, or replace the client's. A value
	// may hold `{env.NAME}` and `{file.PATH}`; a header whose name indicates a credential
	// must be such a reference.
	Headers map[string]string `json:"headers,omitempty"`

	// Client headers to send to the provider that would otherwise be withheld:
	// credentials (`Authorization`, `Cookie`, `X-Api-Key`…), `X-Forwarded-*` and
	// the like, and those of traces such as `Traceparent`. `Authorization` is
	// replaced all the same when there is a key, and the headers of traces by the
	// attempt's own when the request is traced.
	ForwardHeaders []string `json:"forward_headers,omitempty"`

	// How long connecting may take, TLS included.
	// Default: 3s.
	DialTimeout caddy.Duration `json:"dial_timeout,omitempty"`

	// How long the provider may take to begin its response. Responses that are not
	// streamed begin when they are complete. Default: 10m.
	FirstByteTimeout caddy.Duration `json:"first_byte_timeout,omitempty"`

	// How long the provider may be silent inside a response. Default: 5m.
	IdleTimeout caddy.Duration `json:"idle_timeout,omitempty"`

	// TLS and connection settings, those of Caddy's
	// [HTTP transport](/docs/json/apps/http/servers/routes/handle/reverse_proxy/transport/http/).
	// Connections are shared by providers with the same settings, and survive a
	// reload.
	Transport *reverseproxy.HTTPTransport `json:"transport,omitempty"`

	// The provider's servers, if it has several. `host` is then a name for all of them,
	// and `port` is not set.
	Pool *Pool `json:"pool,omitempty"`

	// FixedHeaders are headers whose values are taken as they are. Sources that
	// read values themselves set it instead of Headers.
	FixedHeaders map[string]string `json:"-"`

	// Guarded refuses connections to what Internal knows, whatever the host's name
	// stands for, and has Caddy's admin endpoint refuse what it is sent, wherever it is.
	// Sources set it, whose writers may not read the gateway's secrets or configure it.
	Guarded bool `json:"-"`

	to *connected
}

// connected is what Provision makes of a Connection.
type connected struct {
	base      url.URL // scheme and host
	forward   map[string]bool
	trace     propagation.TextMapPropagator // of the headers to forward, or nil
	headers   []fixedHeader
	secrets   []secretHeader
	keyed     bool // one of the headers is a credential
	timeouts  llmprovider.Timeouts
	transport *transport
	servers   *Servers // nil if there is one

	// plainGuarded is a guarded provider without TLS, which could be an admin endpoint.
	plainGuarded bool
}

type fixedHeader struct {
	name  string
	value []string
}

type secretHeader struct {
	name  string
	value *Secret
}

// Provision checks the configuration and sets up the
// transport. It does not connect.
func (c *Connection) Provision(ctx caddy.Context) error {
	to := new(connected)
	useTLS, err := to.address(c)
	if err != nil {
		return err
	}
	if err := to.setHeaders(c); err != nil {
		return err
	}
	for _, h := range to.secrets {
		c.watch(ctx, h.value, h.value.String())
	}
	for _, d := range []caddy.Duration{c.DialTimeout, c.FirstByteTimeout, c.IdleTimeout} {
		if d < 0 {
			return fmt.Errorf("the timeout %s is negative; leave it out for the default", time.Duration(d))
		}
	}
	to.timeouts = llmprovider.Timeouts{FirstByte: orDefault(c.FirstByteTimeout, defaultFirstByte), Idle: orDefault(c.IdleTimeout, defaultIdle)}
	if to.transport, err = acquireTransport(ctx, c.Transport, useTLS, c.Guarded, c.DialTimeout); err != nil {
		return err
	}
	to.plainGuarded = c.Guarded && !useTLS
	c.to = to
	to.servers, err = c.provisionPool(ctx, useTLS)
	return err
}

// Cleanup gives the connections back. Requests in flight go on.
func (c *Connection) Cleanup() error {
	if c.to == nil {
		return nil
	}
	err := c.to.transport.release()
	if s := c.to.servers; s != nil && s.Picker != nil {
		err = errors.Join(err, s.Picker.Close())
	}
	return err
}

// Unprovisioned returns the configuration alone.
func (c *Connection) Unprovisioned() Connection {
	out := *c
	out.to = nil
	return out
}

// HiddenConfig returns what of the configuration changes requests and is not in its JSON.
func (c *Connection) HiddenConfig() any { return c.FixedHeaders }

// watch has it logged when a secret cannot be read any more, since requests go on
// with its last valid value and show nothing.
func (c *Connection) watch(ctx caddy.Context, s *Secret, ref string) {
	logger := ctx.Logger().With(zap.String("host", c.Host), zap.String("secret", ref))
	s.report = func(err error) {
		if err != nil {
			logger.Error("secret cannot be read; keeping its last value", zap.Error(err))
		} else {
			logger.Info("secret can be read again")
		}
	}
}

// ServerAddress implements Provider.
func (c *Connection) ServerAddress() string { return strings.ToLower(c.Host) }

// Timeouts implements Provider.
func (c *Connection) Timeouts() llmprovider.Timeouts { return c.to.timeouts }

// RoundTrip implements Provider.
func (c *Connection) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := c.to.transport.RoundTrip(r)
	if err == nil && res.StatusCode < http.StatusOK {
		// net/http lets a 101 through, and three digits that are no status. Written
		// to the client, the one takes over its connection and the other panics.
		_ = res.Body.Close()
		return nil, fmt.Errorf("the provider returned status %03d, which is not a final status", res.StatusCode)
	}
	return res, err
}

// URL returns the address of a path at the provider.
func (c *Connection) URL(path *url.URL) *url.URL {
	u := *path
	u.Scheme, u.Host = c.to.base.Scheme, c.to.base.Host
	return &u
}

// CheckHeaders reports which of the credentials among the headers are unavailable now,
// and why.
func (c *Connection) CheckHeaders() error {
	var errs []error
	for _, h := range c.to.secrets {
		if _, err := h.value.Value(); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// authorize sets the provider's own headers. No credential of another provider can
// be in header: it is made from the client's alone.
func (c *Connection) authorize(header http.Header) *llmprovider.Error {
	for _, h := range c.to.headers {
		header[h.name] = h.value
	}
	for _, h := range c.to.secrets {
		value, err := h.value.headerValue()
		if err != nil {
			return missingKey(err)
		}
		header[h.name] = value
	}
	if c.to.plainGuarded {
		RefuseAdmin(header)
	}
	return nil
}

// Key returns the Authorizer that sends the secret in the header, after the prefix. It
// is nil for no secret. Its loss is logged from then on.
func (c *Connection) Key(ctx caddy.Context, header, prefix string, secret *Secret) llmprovider.Authorizer {
	auth, ok := NewKey(header, prefix, secret).(*key)
	if !ok {
		return nil
	}
	c.watch(ctx, auth.secret, auth.ref)
	return auth
}

// Get builds a request of the gateway's own, such as the one for a provider's list of
// models. loop is the value of LoopHeader.
func (c *Connection) Get(ctx context.Context, u *url.URL, auth llmprovider.Authorizer, loop []string) (*http.Request, *llmprovider.Error) {
	header := http.Header{"Accept": {"application/json"}, "Accept-Encoding": identityEncoding, headername.Loop: loop, "User-Agent": noUserAgent}
	if err := c.authorize(header); err != nil {
		return nil, err
	}
	// The transport notes in these variables which proxy it uses. Several
	// providers may be asked at once on behalf of one client, and a map is not
	// safe for that.
	ctx = context.WithValue(ctx, caddyhttp.VarsCtxKey, make(map[string]any))
	r := (&http.Request{
		Method: http.MethodGet, URL: u, Host: u.Host, Header: header, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	if auth != nil {
		if err := auth.Authorize(r, llmprovider.Body{}); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func orDefault(d caddy.Duration, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return time.Duration(d)
}

// address works out where the provider is.
func (t *connected) address(c *Connection) (useTLS bool, err error) {
	if err := CheckHost(c.Host); err != nil {
		return false, err
	}
	scheme := c.Scheme
	if scheme == "" {
		scheme = "https"
	}
	defaultPort := 443
	switch scheme {
	case "https":
		useTLS = true
	case "http":
		defaultPort = 80
	default:
		return false, errors.New("the scheme is not supported; write https or http")
	}
	if c.Port < 0 || c.Port > 65535 {
		return false, fmt.Errorf("port %d is out of range; write 1 to 65535", c.Port)
	}
	host := strings.ToLower(c.Host)
	hostport := host
	if strings.Contains(host, ":") {
		hostport = "[" + host + "]"
	}
	if c.Port != 0 && c.Port != defaultPort {
		hostport = net.JoinHostPort(host, strconv.Itoa(c.Port))
	}
	t.base = url.URL{Scheme: scheme, Host: hostport}
	return useTLS, nil
}

// CheckHost reports what is wrong with a provider's host, if anything. The error does
// not repeat it: it may hold a password, or be a key at the wrong place.
func CheckHost(host string) error {
	switch {
	case host == "":
		return errors.New("a host is required; write the provider's DNS name, such as api.example.com")
	case strings.Contains(host, "://"):
		return errors.New("the host has a scheme; write the DNS name alone")
	case strings.Contains(host, "/"):
		return errors.New("the host has a path; write the DNS name alone, and the path as path")
	case net.ParseIP(host) != nil:
		return nil
	case strings.Contains(host, ":"):
		return errors.New("the host has a port; write the DNS name alone, and the port as port")
	case strings.HasPrefix(host, ".") || strings.HasPrefix(host, "-") || len(host) > 253:
		return errors.New("the host is not a DNS name")
	}
	for _, c := range host {
		if c != '.' && c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return fmt.Errorf("the host is not a DNS name: %q is not allowed in one", c)
		}
	}
	return nil
}

// ParsePath reads a provider's path, which may have a query. The error does not repeat
// it: a query may hold a key.
func ParsePath(path string) (*url.URL, error) {
	if !strings.HasPrefix(path, "/") {
		return nil, errors.New("the path does not begin with a slash")
	}
	if strings.ContainsAny(path, "#") {
		return nil, errors.New("the path has a fragment, which is never sent; leave it out")
	}
	u, err := url.ParseRequestURI("http://h" + path)
	if err != nil || strings.ContainsFunc(path, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		return nil, errors.New("the path is not a URL path")
	}
	return u, nil
}

func (t *connected) setHeaders(c *Connection) error {
	for name, value := range c.FixedHeaders {
		if err := checkHeader(name, value); err != nil {
			return err
		}
		t.headers = append(t.headers, fixedHeader{http.CanonicalHeaderKey(name), []string{value}})
		t.keyed = t.keyed || headername.IsCredential(name)
	}
	for name, value := range c.Headers {
		if err := checkHeader(name, value); err != nil {
			return err
		}
		canonical := http.CanonicalHeaderKey(name)
		secret, err := ParseSecret("header "+name, value)
		switch {
		case err == nil:
			t.secrets = append(t.secrets, secretHeader{canonical, secret})
			t.keyed = true
		case headername.IsCredential(name):
			return err
		case strings.ContainsAny(value, "{}"):
			return fmt.Errorf("the value of header %q has a placeholder other than {env.NAME} and {file.PATH}; only these two can be used here", name)
		default:
			t.headers = append(t.headers, fixedHeader{canonical, []string{value}})
		}
	}
	for _, name := range c.ForwardHeaders {
		if !httpguts.ValidHeaderFieldName(name) || strings.Contains(name, "*") {
			return errors.New("forward_headers: this is not a header name; write each name to forward in full")
		}
		canonical := http.CanonicalHeaderKey(name)
		if headername.IsOwn(canonical) {
			return fmt.Errorf("header %q is set by the gateway itself, or is specific to one connection, and cannot be forwarded", name)
		}
		if t.forward == nil {
			t.forward = make(map[string]bool, len(c.ForwardHeaders))
		}
		t.forward[canonical] = true
	}
	t.trace = tracePropagator(t.forward)
	return nil
}
