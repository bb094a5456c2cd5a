package llmprovider

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"golang.org/x/net/http/httpguts"
)

func init() {
	caddy.RegisterModule(OpenAI{})
}

const (
	// DefaultPath is the chat completions endpoint unless configured.
	DefaultPath = "/v1/chat/completions"

	defaultFirstByte = 10 * time.Minute
	defaultIdle      = 5 * time.Minute
)

// OpenAI is a provider with an OpenAI-compatible API. It fills in the path, the
// model and the key of a request, and leaves everything else as the client sent
// it.
type OpenAI struct {
	// The provider's DNS name or IP address, without port. It is also a name
	// that clients may call. Required.
	Host string `json:"host,omitempty"`

	// How the provider is reached: `https` or `http`. Default: `https`.
	Scheme string `json:"scheme,omitempty"`

	// The provider's TCP port. Default: 443 with https, 80 with http.
	Port int `json:"port,omitempty"`

	// The path of the provider's chat completions endpoint. A query in it is
	// kept; the client's path and query are not sent. The other OpenAI endpoints
	// are reached at the same path with `/chat/completions` replaced. Default:
	// `/v1/chat/completions`.
	Path string `json:"path,omitempty"`

	// What is filled into each request.
	Config ModelConfig `json:"config,omitzero"`

	// What is filled in instead for requests that matched the rule of that
	// name. What an entry leaves unset is taken from `config`.
	Rules map[string]ModelConfig `json:"rules,omitempty"`

	// Headers that are added to each request, or replace the client's. A value
	// may hold `{env.NAME}` and `{file.PATH}`; one whose name tells of a
	// credential must be such a reference.
	Headers map[string]string `json:"headers,omitempty"`

	// Client headers to send to the provider that would otherwise be withheld:
	// credentials (`Authorization`, `Cookie`, `X-Api-Key`…), `X-Forwarded-*` and
	// the like, and `Traceparent`. `Authorization` is replaced all the same when
	// there is a key.
	ForwardHeaders []string `json:"forward_headers,omitempty"`

	// Whether to leave `stream_options` as the client sent it. By default the
	// gateway asks for the usage of every stream, and hides the chunk that
	// carries it from a client that did not ask.
	KeepStreamOptions bool `json:"keep_stream_options,omitempty"`

	// How long a connection may take, for its TCP part and its TLS part each.
	// Default: 3s.
	DialTimeout caddy.Duration `json:"dial_timeout,omitempty"`

	// How long the provider may take to begin its answer. Answers that are not
	// streamed begin when they are complete. Default: 10m.
	FirstByteTimeout caddy.Duration `json:"first_byte_timeout,omitempty"`

	// How long the provider may be silent inside an answer. Default: 5m.
	IdleTimeout caddy.Duration `json:"idle_timeout,omitempty"`

	// TLS and connection settings, those of Caddy's
	// [HTTP transport](/docs/json/apps/http/servers/routes/handle/reverse_proxy/transport/http/).
	// Connections are shared by providers with the same settings, and survive a
	// reload.
	Transport *reverseproxy.HTTPTransport `json:"transport,omitempty"`

	// FixedHeaders are headers whose values are taken as they are. Sources that
	// read values themselves set it instead of Headers.
	FixedHeaders map[string]string `json:"-"`

	ready *openAIReady
}

// ModelConfig is what a provider fills into a request. What is unset leaves the
// client's value; an empty model or key takes back one that is set above it.
type ModelConfig struct {
	// The model to ask for, whatever the client asked for.
	Model *string `json:"model,omitempty"`

	// Whether to stream the answer, whatever the client asked for.
	Stream *bool `json:"stream,omitempty"`

	// The API key, sent as `Authorization: Bearer`. It must be a reference:
	// `{env.NAME}` or `{file.PATH}`. A file is read again when it changes.
	APIKey *string `json:"api_key,omitempty"`

	// Key is the API key, set instead of APIKey by sources that hold it.
	Key *Secret `json:"-"`
}

// openAIReady is what Provision makes of the configuration.
type openAIReady struct {
	base      *filled
	rules     map[string]*filled
	urls      map[string]*url.URL // by endpoint suffix; "" is chat completions
	hostport  string              // for the Host header
	forward   map[string]bool
	headers   []fixedHeader
	secrets   []secretHeader
	timeouts  Timeouts
	transport *transport
}

// filled is one ModelConfig laid over its default, in the forms that requests
// need.
type filled struct {
	model      string
	modelJSON  []byte
	stream     *bool
	streamJSON []byte
	key        *Secret // with "Bearer " before it
	keyRef     string
}

type fixedHeader struct {
	name  string
	value []string
}

type secretHeader struct {
	name  string
	value *Secret
}

// CaddyModule returns the Caddy module information.
func (OpenAI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "llm.providers.openai",
		New: func() caddy.Module { return new(OpenAI) },
	}
}

// Provision checks the configuration and acquires connections. It contacts
// nobody.
func (p *OpenAI) Provision(ctx caddy.Context) error {
	ready := new(openAIReady)
	useTLS, err := ready.address(p)
	if err != nil {
		return err
	}
	if ready.base, err = fill(&filled{}, p.Config); err != nil {
		return err
	}
	ready.rules = make(map[string]*filled, len(p.Rules))
	for name, config := range p.Rules {
		if ready.rules[name], err = fill(ready.base, config); err != nil {
			return fmt.Errorf("for %s: %w", name, err)
		}
	}
	if err := ready.setHeaders(p); err != nil {
		return err
	}
	for _, d := range []caddy.Duration{p.DialTimeout, p.FirstByteTimeout, p.IdleTimeout} {
		if d < 0 {
			return fmt.Errorf("a timeout of %s is negative; leave it out for the default", time.Duration(d))
		}
	}
	ready.timeouts = Timeouts{FirstByte: orDefault(p.FirstByteTimeout, defaultFirstByte), Idle: orDefault(p.IdleTimeout, defaultIdle)}
	if ready.transport, err = acquireTransport(ctx, p.Transport, useTLS, p.DialTimeout); err != nil {
		return err
	}
	p.ready = ready
	return nil
}

// Cleanup gives the connections back. Requests in flight go on.
func (p *OpenAI) Cleanup() error {
	if p.ready == nil {
		return nil
	}
	return p.ready.transport.release()
}

func orDefault(d caddy.Duration, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return time.Duration(d)
}

// address works out where the provider is.
func (r *openAIReady) address(p *OpenAI) (useTLS bool, err error) {
	if err := CheckHost(p.Host); err != nil {
		return false, err
	}
	scheme := p.Scheme
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
		return false, fmt.Errorf("scheme %q is not supported; write https or http", scheme)
	}
	if p.Port < 0 || p.Port > 65535 {
		return false, fmt.Errorf("port %d is out of range; write 1 to 65535", p.Port)
	}
	host := strings.ToLower(p.Host)
	r.hostport = host
	if strings.Contains(host, ":") {
		r.hostport = "[" + host + "]"
	}
	if p.Port != 0 && p.Port != defaultPort {
		r.hostport = net.JoinHostPort(host, strconv.Itoa(p.Port))
	}
	path := p.Path
	if path == "" {
		path = DefaultPath
	}
	chat, err := ParsePath(path)
	if err != nil {
		return false, err
	}
	chat.Scheme, chat.Host = scheme, r.hostport
	r.urls = map[string]*url.URL{"": chat}
	if base, ok := strings.CutSuffix(chat.Path, chatSuffix); ok {
		for _, e := range append(suffixes[1:len(suffixes):len(suffixes)], Endpoint{ListModels, "/models"}) {
			u := *chat
			u.Path = base + e.Suffix
			if u.RawPath != "" { // how the base path was escaped
				u.RawPath = strings.TrimSuffix(u.RawPath, chatSuffix) + e.Suffix
			}
			r.urls[e.Suffix] = &u
		}
	}
	return useTLS, nil
}

// CheckHost tells what is wrong with a provider's host, if anything.
func CheckHost(host string) error {
	switch {
	case host == "":
		return fmt.Errorf("a host is required; write the provider's DNS name, such as api.example.com")
	case strings.Contains(host, "://"):
		return fmt.Errorf("host %q has a scheme; write the DNS name alone", host)
	case strings.Contains(host, "/"):
		return fmt.Errorf("host %q has a path; write the DNS name alone, and the path as path", host)
	case net.ParseIP(host) != nil:
		return nil
	case strings.Contains(host, ":"):
		return fmt.Errorf("host %q has a port; write the DNS name alone, and the port as port", host)
	case strings.HasPrefix(host, ".") || strings.HasPrefix(host, "-") || len(host) > 253:
		return fmt.Errorf("host %q is not a DNS name", host)
	}
	for _, c := range []byte(host) {
		if c != '.' && c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return fmt.Errorf("host %q is not a DNS name: %q is not allowed in one", host, c)
		}
	}
	return nil
}

// ParsePath reads a provider's path, which may have a query.
func ParsePath(path string) (*url.URL, error) {
	if !strings.HasPrefix(path, "/") {
		return nil, fmt.Errorf("path %q does not begin with a slash", path)
	}
	if strings.ContainsAny(path, "#") {
		return nil, fmt.Errorf("path %q has a fragment, which is never sent; leave it out", path)
	}
	u, err := url.ParseRequestURI("http://h" + path)
	if err != nil || strings.ContainsFunc(path, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		return nil, fmt.Errorf("path %q is not a URL path", path)
	}
	return u, nil
}

// fill lays config over base.
func fill(base *filled, config ModelConfig) (*filled, error) {
	out := *base
	if config.Model != nil {
		out.model, out.modelJSON = *config.Model, nil
		if out.model != "" {
			data, err := json.Marshal(out.model)
			if err != nil {
				return nil, fmt.Errorf("model: %w", err)
			}
			out.modelJSON = data
		}
	}
	if config.Stream != nil {
		out.stream = config.Stream
		out.streamJSON = strconv.AppendBool(nil, *config.Stream)
	}
	switch {
	case config.Key != nil && config.Key.empty(), config.Key == nil && config.APIKey != nil && *config.APIKey == "":
		out.key, out.keyRef = nil, ""
	case config.Key != nil:
		out.key, out.keyRef = config.Key.WithPrefix("Bearer "), config.Key.String()
	case config.APIKey != nil:
		key, err := ParseSecret("api_key", *config.APIKey)
		if err != nil {
			return nil, err
		}
		out.key, out.keyRef = key.WithPrefix("Bearer "), key.String()
	}
	return &out, nil
}

func (r *openAIReady) setHeaders(p *OpenAI) error {
	for name, value := range p.FixedHeaders {
		if err := checkHeader(name, value); err != nil {
			return err
		}
		r.headers = append(r.headers, fixedHeader{http.CanonicalHeaderKey(name), []string{value}})
	}
	for name, value := range p.Headers {
		if err := checkHeader(name, value); err != nil {
			return err
		}
		canonical := http.CanonicalHeaderKey(name)
		secret, err := ParseSecret("header "+name, value)
		switch {
		case err == nil:
			r.secrets = append(r.secrets, secretHeader{canonical, secret})
		case IsCredentialHeader(name):
			return err
		default:
			r.headers = append(r.headers, fixedHeader{canonical, []string{value}})
		}
	}
	for _, name := range p.ForwardHeaders {
		if !httpguts.ValidHeaderFieldName(name) || strings.Contains(name, "*") {
			return fmt.Errorf("%q is not a header name; write each name to forward in full", name)
		}
		canonical := http.CanonicalHeaderKey(name)
		if neverForwarded[canonical] {
			return fmt.Errorf("header %q belongs to one connection and cannot be forwarded", name)
		}
		if r.forward == nil {
			r.forward = make(map[string]bool, len(p.ForwardHeaders))
		}
		r.forward[canonical] = true
	}
	return nil
}

// ServerAddress implements Provider.
func (p *OpenAI) ServerAddress() string { return strings.ToLower(p.Host) }

// Timeouts implements Provider.
func (p *OpenAI) Timeouts() Timeouts { return p.ready.timeouts }

// RoundTrip implements Provider.
func (p *OpenAI) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := p.ready.transport.RoundTrip(r)
	if err == nil && res.StatusCode < http.StatusOK {
		// net/http lets a 101 through, and three digits that are no status. Written
		// to the client, the one takes over its connection and the other panics.
		_ = res.Body.Close()
		return nil, fmt.Errorf("the provider answered with status %03d, which is not a final one", res.StatusCode)
	}
	return res, err
}

// ConfiguredModels implements Provider.
func (p *OpenAI) ConfiguredModels() []string {
	var models []string
	if p.ready.base.model != "" {
		models = append(models, p.ready.base.model)
	}
	for _, f := range p.ready.rules {
		if f.model != "" {
			models = append(models, f.model)
		}
	}
	slices.Sort(models)
	return slices.Compact(models)
}

// CredentialRef implements Provider.
func (p *OpenAI) CredentialRef(rule string) string { return p.ready.forRule(rule).keyRef }

// Copy implements Provider.
func (p *OpenAI) Copy() Provider {
	out := *p
	out.ready = nil
	return &out
}

func (r *openAIReady) forRule(rule string) *filled {
	if f := r.rules[rule]; f != nil {
		return f
	}
	return r.base
}

// Interface guards
var (
	_ Provider           = (*OpenAI)(nil)
	_ caddy.Provisioner  = (*OpenAI)(nil)
	_ caddy.CleanerUpper = (*OpenAI)(nil)
)
