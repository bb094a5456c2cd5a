package caddyfile

import (
	"math"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/dustin/go-humanize"

	"github.com/caddy-llm/gateway/internal/options"
	"github.com/caddy-llm/gateway/llmroute"
	"github.com/caddy-llm/gateway/llmroute/crosssite"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("llm_route", routeDirective)
	httpcaddyfile.RegisterDirectiveOrder("llm_route", httpcaddyfile.Before, "reverse_proxy")
}

// routeBlock is an llm_route while it is read.
type routeBlock struct {
	llmroute.Handler
	helper    httpcaddyfile.Helper
	providers *providerNames

	// own is the rule made of the options that stand outside of any, and ownAt
	// where the first of them is, nil without any.
	own   *ruleBlock
	ownAt *caddyfile.Dispenser
}

func newRouteBlock(h httpcaddyfile.Helper, providers *providerNames) *routeBlock {
	r := &routeBlock{helper: h, providers: providers}
	r.own = newRule(r)
	return r
}

// routeDirective reads the directive llm_route. Without rules and table it
// routes by the request's host over all providers:
//
//	llm_route [<matcher>] [table <name>] {
//		rule [<name>] {
//			match    <matcher> ...
//			to       <provider> [weight <number>] [priority <number>]
//			policy   <module> ...
//			attempts <number>
//			retry_on <status...>
//		}
//		table    <name>
//		max_body <size>
//		allowed_origins <origins...>
//	}
//
// A single rule for all requests needs no rule block: to, policy, attempts and
// retry_on may be in llm_route itself. The options of a rule are described at
// ruleBlock.options; the others are the fields of llmroute.Handler.
func routeDirective(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h.Next() // the directive's name
	at := options.Here(h.Dispenser)
	providers, err := newProviderNames(h.Option("llm"))
	if err != nil {
		return nil, err
	}
	r := newRouteBlock(h, providers)
	if err := r.arguments(h.Dispenser); err != nil {
		return nil, err
	}
	if err := options.Parse(h.Dispenser, "llm_route", r.options()); err != nil {
		return nil, err
	}
	return r.handler(at)
}

// arguments reads what may stand on the directive's own line.
func (r *routeBlock) arguments(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return nil
	}
	if d.Val() != "table" {
		return d.Errf("llm_route takes a matcher (*, /path or @name) and table NAME, got %s; rules go into its block", options.Quoted(d.Val()))
	}
	return r.parseTable(d)
}

func (r *routeBlock) options() []options.Option {
	list := []options.Option{
		{Name: "rule", Block: true, Parse: r.parseRule},
		{Name: "table", Parse: r.parseTable},
		{Name: "allowed_origins", Parse: origins(&r.AllowedOrigins)},
		{Name: "max_body", Parse: options.Value(&r.MaxBody, "a size above 0, such as 32MiB", parseSize)},
	}
	for _, o := range r.own.options() {
		if o.Name == "match" {
			continue // the directive has a matcher of its own
		}
		parse := o.Parse
		o.Parse = func(d *caddyfile.Dispenser) error {
			if r.ownAt == nil {
				r.ownAt = options.Here(d)
			}
			return parse(d)
		}
		list = append(list, o)
	}
	return list
}

func (r *routeBlock) parseTable(d *caddyfile.Dispenser) error {
	at := options.Here(d)
	if err := options.Value(&r.Table, "the name of a table, such as mesh", options.Text)(d); err != nil {
		return err
	}
	if !r.providers.source {
		return at.Errf("there is no table %s: tables come from a source, and the global option llm has none", options.Quoted(r.Table))
	}
	return nil
}

// parseRule reads: rule [<name>] { ... }
func (r *routeBlock) parseRule(d *caddyfile.Dispenser) error {
	at := options.Here(d)
	args := d.RemainingArgs()
	if len(args) > 1 {
		return d.Errf("rule takes one name, or none; got %s", options.Count(args))
	}
	rule := newRule(r)
	if len(args) == 1 {
		rule.Name = args[0]
		for _, other := range r.Rules {
			if other.Name == rule.Name {
				return d.Errf("two rules are named %s; give each rule a different name", options.Quoted(rule.Name))
			}
		}
	}
	if err := options.Parse(d, "rule", rule.options()); err != nil {
		return err
	}
	if err := rule.check(at); err != nil {
		return err
	}
	r.Rules = append(r.Rules, &rule.Rule)
	return nil
}

// handler puts together what was read; at is where the directive stands.
func (r *routeBlock) handler(at *caddyfile.Dispenser) (*llmroute.Handler, error) {
	switch {
	case r.ownAt != nil && len(r.Rules) > 0:
		return nil, r.ownAt.Errf("%s cannot be combined with rule blocks; put it into one of them, or into a last one without match if it is for all other requests", r.ownAt.Val())
	case r.ownAt != nil:
		if err := r.own.check(r.ownAt); err != nil {
			return nil, err
		}
		r.Rules = append(r.Rules, &r.own.Rule)
	}
	switch {
	case r.Table != "" && len(r.Rules) > 0:
		return nil, at.Errf("llm_route has a table and rules; write one of them")
	case r.Table == "" && len(r.Rules) == 0 && r.providers.none():
		return nil, at.Errf("llm_route has nothing to route to; %s", defineProvider)
	}
	return &r.Handler, nil
}

// origins returns the parser of the origins of web pages. Further lines add to them.
func origins(dst *[]string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		entries := d.RemainingArgs()
		if len(entries) == 0 {
			return d.Errf("allowed_origins takes the origins of web pages, such as https://app.example.com; got nothing")
		}
		for _, entry := range entries {
			if err := crosssite.CheckOrigin(entry); err != nil {
				return d.WrapErr(err)
			}
		}
		*dst = append(*dst, entries...)
		return nil
	}
}

func parseSize(s string) (int64, error) {
	n, err := humanize.ParseBytes(s)
	if err != nil || n == 0 || n > math.MaxInt64 {
		return 0, options.ErrUnexpected
	}
	return int64(n), nil
}
