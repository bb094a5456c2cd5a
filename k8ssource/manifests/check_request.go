package manifests

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/pflag"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-llm/gateway/internal/host"
	"github.com/caddy-llm/gateway/internal/options"
	"github.com/caddy-llm/gateway/k8ssource/authorization"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/authz"
	"github.com/caddy-llm/gateway/llmroute/listen"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// sampleRequest is a request that `caddy llm check` decides about.
type sampleRequest struct {
	line      string // method and URL, empty without one
	headers   []string
	from      string
	principal string
}

func (s *sampleRequest) flags(flags *pflag.FlagSet) {
	flags.StringVar(&s.line, "request", "", "A request to decide about, as in 'POST http://test.com/v1/chat/completions'")
	flags.StringArrayVar(&s.headers, "header", nil, "A header of the request, as in 'X-Team: a'; may be given several times")
	flags.StringVar(&s.from, "from", "127.0.0.1", "The address that the request comes from")
	flags.StringVar(&s.principal, "tls-principal", "", "The identity in the client's certificate, as in cluster.local/ns/default/sa/sleep")
}

// build makes the request, and the port that clients know the listener by.
func (s *sampleRequest) build() (r *http.Request, port int, err error) {
	method, target, found := strings.Cut(strings.TrimSpace(s.line), " ")
	if !found {
		method, target = http.MethodPost, method
	}
	target, sent := withoutBadHost(target)
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, 0, errors.New("--request has no URL; write a method and a URL, such as 'POST http://test.com/v1/chat/completions'")
	}
	if r, err = http.NewRequestWithContext(context.Background(), method, target, nil); err != nil {
		return nil, 0, errors.New("--request has no method that is one, or no URL; write them as in 'POST http://test.com/v1/chat/completions'")
	}
	r.RequestURI = r.URL.RequestURI()
	if sent != "" {
		r.Host = sent
	}
	port = map[string]int{"http": 80, "https": 443}[u.Scheme]
	if u.Port() != "" {
		if port, err = strconv.Atoi(u.Port()); err != nil {
			return nil, 0, errors.New("--request: the port is not a number; write one such as 8080")
		}
	}
	from, err := netip.ParseAddr(s.from)
	if err != nil {
		return nil, 0, fmt.Errorf("--from %s is not an IP address", options.Quoted(s.from))
	}
	r.RemoteAddr = net.JoinHostPort(from.String(), "49152")
	for _, header := range s.headers {
		name, value, ok := strings.Cut(header, ":")
		if !ok || name == "" {
			return nil, 0, errors.New("a --header has no colon; write name and value, such as 'X-Team: a'") // and no value, which may be a token
		}
		if value = strings.TrimSpace(value); strings.EqualFold(name, "host") {
			r.Host = value
			continue
		}
		r.Header.Add(name, value)
	}
	if s.principal != "" || u.Scheme == "https" {
		r.TLS = &tls.ConnectionState{HandshakeComplete: true, ServerName: u.Hostname()}
	}
	if s.principal != "" {
		id, err := url.Parse("spiffe://" + strings.TrimPrefix(s.principal, "spiffe://"))
		if err != nil {
			return nil, 0, errors.New("--tls-principal is no identity; write one such as cluster.local/ns/default/sa/sleep")
		}
		certificate := &x509.Certificate{URIs: []*url.URL{id}}
		r.TLS.PeerCertificates, r.TLS.VerifiedChains = []*x509.Certificate{certificate}, [][]*x509.Certificate{{certificate}}
	}
	return r, port, nil
}

// withoutBadHost takes a host that no URL can have, such as [test.com], out of a
// target, so that the response to a request with it can be told.
func withoutBadHost(target string) (rest, sent string) {
	scheme, after, ok := strings.Cut(target, "://")
	end := len(after)
	if i := strings.IndexAny(after, "/?#"); i >= 0 {
		end = i
	}
	authority := after[strings.LastIndexByte(after[:end], '@')+1 : end]
	if _, valid := host.Name(authority); !ok || valid {
		return target, ""
	}
	return scheme + "://host.invalid" + after[end:], authority
}

// explain writes what the policies decide about a request, and why. It makes
// no connections.
func (s *sampleRequest) explain(out io.Writer, objects *object.Set, state *spec.State) error {
	r, port, err := s.build()
	if err != nil {
		return err
	}
	e := &explanation{objects: objects, config: state.Authorization, providers: specs(state.Providers)}
	if e.config == nil {
		e.config = new(authz.Config)
	}
	for _, name := range dropHeaders(r.Header, expectedHeaders(state.Listeners, port)) {
		e.say("the header %s is dropped, as Caddy does with such names unless a server expects them; use one with dashes", object.ShownName(name))
	}
	if refused := llmprovider.Prepare(r); refused != nil {
		e.say("refused with %d: %s", refused.Status, refused.Message)
	} else {
		e.config = e.config.For(listen.GatewaysOf(state.Listeners, r.Host, port))
		e.decide(r, listen.PortsOf(state.Listeners, r.Host, port))
	}
	for _, line := range e.lines {
		if _, err := fmt.Fprintf(out, "request: %s\n", line); err != nil {
			return err
		}
	}
	return nil
}

// expectedHeaders returns the headers with underscores and dots that the listeners at a
// port expect, as clients know it or as it is.
func expectedHeaders(listeners []*listen.Listener, port int) (names []string) {
	for _, l := range listeners {
		_, own, _ := net.SplitHostPort(l.Address)
		if own == strconv.Itoa(port) || l.Port == port || slices.ContainsFunc(l.Servers, func(s *listen.Server) bool { return s.Port == port }) {
			for _, name := range l.Headers {
				names = append(names, http.CanonicalHeaderKey(name))
			}
		}
	}
	return names
}

// dropHeaders drops the headers that Caddy drops before anything else sees them, and
// returns their names: those with an underscore or a dot that are not expected or are
// repeated, and those that an expected one could be taken for.
func dropHeaders(h http.Header, expected []string) (dropped []string) {
	like := strings.NewReplacer("_", "-", ".", "-")
	for name, lines := range h {
		odd := strings.ContainsAny(name, "_.")
		if odd && (!slices.Contains(expected, name) || len(lines) > 1) ||
			!odd && slices.ContainsFunc(expected, func(e string) bool { return http.CanonicalHeaderKey(like.Replace(e)) == name }) {
			dropped = append(dropped, name)
			delete(h, name)
		}
	}
	slices.Sort(dropped)
	return dropped
}

// explanation is what becomes of a request.
type explanation struct {
	objects   *object.Set
	config    *authz.Config
	providers specs
	lines     []string
}

// specs are providers that are not in use.
type specs []*spec.Provider

// Has implements authz.Providers.
func (s specs) Has(e llmprovider.Endpoint) bool {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	return slices.ContainsFunc(s, func(spec *spec.Provider) bool {
		p := spec.Provider.Copy()
		if provisioner, ok := p.(caddy.Provisioner); ok && provisioner.Provision(ctx) != nil {
			return false // the gateway leaves it out as well
		}
		if cleaner, ok := p.(caddy.CleanerUpper); ok {
			defer func() { _ = cleaner.Cleanup() }()
		}
		return p.Has(e)
	})
}

func (e *explanation) say(format string, args ...any) {
	e.lines = append(e.lines, fmt.Sprintf(format, args...))
}

func (e *explanation) decide(r *http.Request, ports []int) {
	rest := *e.config
	rest.ExtAuthz, rest.Policies, rest.JWT = nil, nil, nil
	for _, p := range e.config.Policies {
		if p.Action != authz.Custom {
			rest.Policies = append(rest.Policies, p)
			continue
		}
		// Without the service, what a policy matches is refused.
		alone := *e.config
		alone.Policies, alone.JWT, alone.ExtAuthz = []*authz.Policy{p}, nil, nil
		if d, _ := authorize(&alone, r, e.providers, ports); d.Refusal == nil {
			continue
		} else if e.config.ExtAuthz[p.Provider] == nil {
			e.say("refused with %d, since there is no %q to ask: %s", d.Refusal.Status, p.Provider, e.policy(d.Policy, d.Rule))
			return
		} else {
			e.say("%s is asked, and if it agrees: %s", p.Provider, e.policy(d.Policy, d.Rule))
		}
	}
	var unfetched []string
	for _, rule := range e.config.JWT {
		if rule.JWKS == "" {
			unfetched = append(unfetched, object.Bounded(rule.Issuer))
			copied := *rule
			copied.JWKS, copied.JWKSURI = authorization.NoKeys, ""
			rule = &copied
		}
		rest.JWT = append(rest.JWT, rule)
	}
	d, logs := authorize(&rest, r, e.providers, ports)
	e.lines = append(e.lines, logs...)
	switch {
	case d.Refusal == nil && d.Policy == "":
		e.say("passes: %s", d.Reason)
	case d.Refusal == nil:
		e.say("passes: %s: %s", d.Reason, e.policy(d.Policy, d.Rule))
	case d.Policy != "":
		e.say("refused with %d %s: %s: %s", d.Refusal.Status, d.Refusal.Body, d.Reason, e.policy(d.Policy, d.Rule))
	case d.Reason != d.Refusal.Body:
		e.say("refused with %d %s: %s", d.Refusal.Status, d.Refusal.Body, d.Reason)
	default: // for its token
		e.say("refused with %d %s", d.Refusal.Status, d.Refusal.Body)
		if len(unfetched) > 0 {
			e.say("no keys are fetched here, so that tokens of %s are refused", strings.Join(unfetched, " and "))
		}
	}
}

// authorize decides, and returns what is logged meanwhile.
func authorize(config *authz.Config, r *http.Request, providers authz.Providers, ports []int) (authz.Decision, []string) {
	var log bytes.Buffer
	encoder := zapcore.NewConsoleEncoder(zapcore.EncoderConfig{MessageKey: "message", ConsoleSeparator: " "})
	logger := zap.New(zapcore.NewCore(encoder, zapcore.AddSync(&log), zapcore.InfoLevel))
	set, _ := authz.New(config, logger)
	d := set.Authorize(make(http.Header), r, providers, ports...)
	var lines []string
	for line := range strings.Lines(log.String()) {
		lines = append(lines, "logged: "+strings.TrimSpace(line))
	}
	return d, lines
}

// policy names a rule, and says what it matches.
func (e *explanation) policy(name string, rule int) string {
	text := object.KindAuthorizationPolicy + " " + name
	if i := slices.IndexFunc(e.objects.Policies, func(item *object.Item[object.AuthorizationPolicy]) bool { return object.Key(&item.Object) == name }); i >= 0 {
		text += " at " + e.objects.Policies[i].Place()
	}
	if rule < 0 {
		return text
	}
	text += fmt.Sprintf(", spec.rules[%d]", rule)
	i := slices.IndexFunc(e.config.Policies, func(p *authz.Policy) bool { return p.Name == name })
	if i >= 0 && rule < len(e.config.Policies[i].Rules) && e.config.Policies[i].Rules[rule] != nil {
		text += ": " + ruleText(e.config.Policies[i].Rules[rule])
	}
	return text
}
