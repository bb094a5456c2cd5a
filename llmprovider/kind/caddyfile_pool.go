package kind

import (
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"golang.org/x/net/http/httpguts"

	"github.com/caddy-llm/gateway/internal/options"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
)

const upstreamSources = "http.reverse_proxy.upstreams"

// poolOptions are those of a provider with several servers.
func (p *block) poolOptions() []Option {
	return []Option{
		{Name: "endpoints", Block: true, Parse: p.parseEndpoints},
		{Name: "affinity", Parse: p.parseAffinity},
		{Name: "metrics", Parse: options.Value(&p.pool.Metrics, "a path, a port and a path such as :8002/metrics, or off", parseMetrics)},
	}
}

// setURLs takes the endpoints of a pool from URLs, which differ in host and port alone.
func (p *block) setURLs(urls []string) error {
	for i, s := range urls {
		one := block{Base: new(Base), traits: p.traits}
		if err := one.setURL(s); err != nil {
			return err
		}
		if i > 0 && (one.Scheme != p.Scheme || one.Path != p.Path) {
			return errors.New("the provider's URLs differ in more than host and port; use the same scheme and path in all of them, or define separate providers")
		}
		p.Scheme, p.Path = one.Scheme, one.Path
		port := one.Port
		if port == 0 {
			port = map[string]int{"http": 80, "https": 443}[one.Scheme]
		}
		p.pool.Endpoints = append(p.pool.Endpoints, net.JoinHostPort(one.Host, strconv.Itoa(port)))
	}
	p.url, p.many = true, true
	return nil
}

// parseEndpoints reads: endpoints <source> [<arguments...>] { ... }
func (p *block) parseEndpoints(d *caddyfile.Dispenser) error {
	at := options.Here(d)
	switch {
	case p.url:
		return d.Errf("endpoints is given twice: the URL after the provider's name says where the provider is; keep one of them")
	case p.pool.FromRaw != nil:
		return d.Errf("endpoints is given twice; combine sources in: endpoints multi { ... }")
	case !d.NextArg():
		return d.Errf("endpoints takes the name of a source and what to look up, such as: endpoints a models.internal:8000; the sources are %s", options.ModuleNames(upstreamSources))
	}
	name := d.Val()
	info, err := caddy.GetModule(upstreamSources + "." + name)
	if err != nil {
		return at.Errf("unknown source of endpoints %s; expected one of %s", options.Quoted(name), options.ModuleNames(upstreamSources))
	}
	module := info.New()
	unmarshaler, ok := module.(caddyfile.Unmarshaler)
	if _, source := module.(reverseproxy.UpstreamSource); !ok || !source {
		return at.Errf("the source of endpoints %s cannot be configured in a Caddyfile; use JSON", options.Quoted(name))
	}
	segment := d.NextSegment()
	if name == "a" {
		segment = withPort(segment)
	}
	if err := unmarshaler.UnmarshalCaddyfile(caddyfile.NewDispenser(segment)); err != nil {
		return options.Located(at, err)
	}
	if a, ok := module.(*reverseproxy.AUpstreams); ok && a.Name == "" {
		return at.Errf("endpoints a needs the name to look up, such as: endpoints a models.internal:8000")
	}
	if srv, ok := module.(*reverseproxy.SRVUpstreams); ok && srv.Name == "" {
		return at.Errf("endpoints srv needs the name to look up, such as: endpoints srv _http._tcp.models.internal")
	}
	p.pool.FromRaw = caddyconfig.JSONModuleObject(module, "source", name, nil)
	return nil
}

// withPort writes host:port as the two arguments that the source takes.
func withPort(segment caddyfile.Segment) caddyfile.Segment {
	if len(segment) < 2 || segment[1].Line != segment[0].Line || len(segment) > 2 && segment[2].Line == segment[1].Line && segment[2].Text != "{" {
		return segment
	}
	host, port, err := net.SplitHostPort(segment[1].Text)
	if err != nil {
		return segment
	}
	name, number := segment[1], segment[1]
	name.Text, number.Text = host, port
	return append(append(caddyfile.Segment{segment[0]}, name, number), segment[2:]...)
}

// parseAffinity reads: affinity prefix|client|off|header <name>
func (p *block) parseAffinity(d *caddyfile.Dispenser) error {
	if p.pool.Affinity != "" {
		return d.Errf("affinity is given twice; keep one")
	}
	args := d.RemainingArgs()
	switch {
	case len(args) == 2 && args[0] == upstream.AffinityHeader:
		if !httpguts.ValidHeaderFieldName(args[1]) {
			return d.WrapErr(checkHeaderName(args[1]))
		}
		p.pool.AffinityHeader = args[1]
	case len(args) == 1 && (args[0] == upstream.AffinityPrefix || args[0] == upstream.AffinityClient || args[0] == upstream.AffinityOff):
	default:
		return d.Errf("affinity takes prefix, client, off, or header and the name of one; got %s", options.Count(args))
	}
	p.pool.Affinity = args[0]
	return nil
}

func parseMetrics(s string) (string, error) {
	if s == "off" {
		return s, nil
	}
	_, _, err := upstream.ParseMetrics(s)
	return s, err
}

// setPool makes the pool part of the provider, if there is one.
func (p *block) setPool() error {
	pool := p.pool
	switch {
	case len(pool.Endpoints) > 0 || pool.FromRaw != nil:
		if p.Port != 0 {
			return errors.New("a pool's endpoints have their own ports; leave the option port out")
		}
		p.Pool = &pool
	case pool.Affinity != "":
		return fmt.Errorf("affinity is for a provider with several servers; write their URLs after its name, or the option endpoints")
	case pool.Metrics != "":
		return fmt.Errorf("metrics is for a provider with several servers; write their URLs after its name, or the option endpoints")
	}
	return nil
}
