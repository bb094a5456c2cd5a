package llmprovider

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.opentelemetry.io/otel/propagation"
	"go.uber.org/zap"
	"golang.org/x/net/http/httpguts"
)

// openAIReady is what Provision makes of the configuration.
type openAIReady struct {
	base      *filled
	rules     map[string]*filled
	urls      map[string]*url.URL // by endpoint suffix; "" is chat completions
	hostport  string              // for the Host header
	forward   map[string]bool
	trace     propagation.TextMapPropagator // of the headers to forward, or nil
	headers   []fixedHeader
	secrets   []secretHeader
	keyed     bool // one of the headers is a credential
	timeouts  Timeouts
	transport *transport

	// plainGuarded is a guarded provider without TLS, which could be an admin endpoint.
	plainGuarded bool
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
	ready.logSecrets(ctx.Logger().With(zap.String("host", p.Host)))
	for _, d := range []caddy.Duration{p.DialTimeout, p.FirstByteTimeout, p.IdleTimeout} {
		if d < 0 {
			return fmt.Errorf("a timeout of %s is negative; leave it out for the default", time.Duration(d))
		}
	}
	ready.timeouts = Timeouts{FirstByte: orDefault(p.FirstByteTimeout, defaultFirstByte), Idle: orDefault(p.IdleTimeout, defaultIdle)}
	if ready.transport, err = acquireTransport(ctx, p.Transport, useTLS, p.Guarded, p.DialTimeout); err != nil {
		return err
	}
	ready.plainGuarded = p.Guarded && !useTLS
	p.ready = ready
	return nil
}

// logSecrets has it logged when a secret cannot be read any more, since requests
// go on with its last good value and show nothing.
func (r *openAIReady) logSecrets(logger *zap.Logger) {
	watch := func(s *Secret, reference string) {
		s.report = func(err error) {
			if err != nil {
				logger.Error("a secret cannot be read any more; its last good value stays in force", zap.String("secret", reference), zap.Error(err))
			} else {
				logger.Info("a secret can be read again", zap.String("secret", reference))
			}
		}
	}
	if r.base.key != nil {
		watch(r.base.key, r.base.keyRef)
	}
	for _, f := range r.rules {
		if f.key != nil {
			watch(f.key, f.keyRef)
		}
	}
	for _, h := range r.secrets {
		watch(h.value, h.value.String())
	}
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
		return false, errors.New("the scheme is not supported; write https or http")
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
		for _, e := range append(endpoints[1:len(endpoints):len(endpoints)], Endpoint{Operation: ListModels, Suffix: modelsSuffix}) {
			u := *chat
			u.Path = base + e.Suffix
			if u.RawPath != "" { // how the base path was escaped
				u.RawPath = strings.TrimSuffix(u.RawPath, chatSuffix) + e.Suffix
			}
			r.urls[e.Suffix] = &u
		}
		return useTLS, nil
	}
	for _, e := range endpoints[1:] { // a provider with nothing else, such as embeddings alone
		if strings.HasSuffix(chat.Path, e.Suffix) {
			r.urls[e.Suffix] = chat
		}
	}
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
		r.keyed = r.keyed || IsCredentialHeader(name)
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
			r.keyed = true
		case IsCredentialHeader(name):
			return err
		case strings.ContainsAny(value, "{}"):
			return fmt.Errorf("the value of header %q has a placeholder other than {env.NAME} and {file.PATH}; only these two are known here", name)
		default:
			r.headers = append(r.headers, fixedHeader{canonical, []string{value}})
		}
	}
	for _, name := range p.ForwardHeaders {
		if !httpguts.ValidHeaderFieldName(name) || strings.Contains(name, "*") {
			return errors.New("forward_headers: this is not a header name; write each name to forward in full")
		}
		canonical := http.CanonicalHeaderKey(name)
		if IsOwnHeader(canonical) {
			return fmt.Errorf("header %q is written by the gateway itself, or belongs to one connection, and cannot be forwarded", name)
		}
		if r.forward == nil {
			r.forward = make(map[string]bool, len(p.ForwardHeaders))
		}
		r.forward[canonical] = true
	}
	r.trace = tracePropagator(r.forward)
	return nil
}
