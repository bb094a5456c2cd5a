package kind

import (
	"fmt"
	"math"
	"net/http"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"golang.org/x/net/http/httpguts"

	"github.com/caddy-llm/gateway/internal/options"
	"github.com/caddy-llm/gateway/llmprovider/headername"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
)

// block is a provider while its block is read.
type block struct {
	*Base
	traits    Traits
	kind      string
	url       bool // scheme, host and port come from a URL
	many      bool // or from several, whose hosts are not the provider's
	pool      upstream.Pool
	transport bool // a transport block was read
	tls       map[string]bool
}

// UnmarshalBlock reads a provider's block, for the kind's UnmarshalCaddyfile. Where the
// kind implies no host, the name is the host unless host or a URL says otherwise; a URL
// sets scheme, host, port and path in one go:
//
//	provider <name> [<urls...>] {
//		kind                <kind>
//		host                <host>
//		scheme              http|https
//		port                <number>
//		path                <path>
//		model               <name>
//		stream              on|off
//		api_key             {env.<name>}|{file.<path>}
//		max_tokens          <number>, with kinds that have it
//		for <rule> {
//			model   <name>
//			stream  on|off
//			api_key {env.<name>}|{file.<path>}
//		}
//		api                 <name> [<path>] [x-api-key], with kinds that have it
//		header              <name> <value>
//		forward_headers     <names...>
//		guards              <names...>
//		prompt              <names...>
//		profile             <name>|none
//		fetch_media         [<size>], with kinds that have it
//		endpoints           <source> [<arguments...>] {
//			...
//		}
//		affinity            prefix|client|off|header <name>
//		metrics             <path>|:<port><path>|off
//		dial_timeout        <duration>
//		first_byte_timeout  <duration>
//		idle_timeout        <duration>
//		tls_...             <as in reverse_proxy's transport http>
//		transport http {
//			...
//		}
//	}
//
// The kind's own options come in addition. All set the fields of the same names.
func (b *Base) UnmarshalBlock(d *caddyfile.Dispenser, t Traits) error {
	d.Next() // provider
	at := options.Here(d)
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.Errf("provider takes a name and, if you like, the URLs of its servers; got nothing")
	}
	p := &block{Base: b, traits: t}
	setURL := func() error { return p.setURLs(args[1:]) }
	if len(args) == 2 {
		setURL = func() error { return p.setURL(args[1]) }
	}
	if len(args) > 1 {
		if err := setURL(); err != nil {
			return d.WrapErr(err)
		}
	}
	if err := options.Parse(d, "provider", p.options()); err != nil {
		return err
	}
	if err := p.setPool(); err != nil {
		return at.WrapErr(err)
	}
	if name := args[0]; b.Host == "" && (t.Host == "" || b.Pool != nil) {
		if err := upstream.CheckHost(name); err != nil {
			return at.Errf("the provider's name is its host as well unless the option host gives one: %w", err)
		}
		b.Host = name
	}
	if t.Check != nil {
		if err := t.Check(); err != nil {
			return at.WrapErr(err)
		}
	}
	if b.Scheme == "http" && b.Transport != nil && b.Transport.TLS != nil {
		return at.Errf("provider %s has TLS options, but its scheme is http; write https, or leave them out", args[0])
	}
	return nil
}

func (p *block) options() []Option {
	list := []Option{
		{Name: "kind", Parse: options.Value(&p.kind, "the name of a kind", options.Text)},
		{Name: "host", Parse: p.unlessHost(options.Value(&p.Host, "the provider's DNS name", parseHost))},
		{Name: "scheme", Parse: p.unlessURL(options.Value(&p.Scheme, "http or https", options.OneOf("http", "https")))},
		{Name: "port", Parse: p.unlessURL(options.Value(&p.Port, "a number from 1 to 65535", options.Number(1, 65535)))},
		{Name: "path", Parse: options.Value(&p.Path, "the path of the "+p.traits.Endpoint+" endpoint, such as "+p.traits.DefaultPath, parsePath)},
	}
	list = append(list, p.configOptions(&p.Config, options.Text)...)
	list = append(list,
		Option{Name: "for", Block: true, Parse: p.parseFor},
		Option{Name: "header", Parse: p.parseHeader},
		Option{Name: "forward_headers", Parse: p.parseForwardHeaders},
		Option{Name: "guards", Parse: parseNames("guards", &p.Guards)},
		Option{Name: "prompt", Parse: parseNames("prompt", &p.Prompts)},
	)
	if len(p.traits.APIs) > 0 {
		list = append(list, Option{Name: "api", Parse: p.parseAPI})
	}
	list = append(list, Option{Name: "profile", Parse: options.Value(&p.Profile, "the name of a vendor's profile, or none", options.Text)})
	if p.traits.FetchesMedia {
		list = append(list, Option{Name: "fetch_media", Parse: p.parseFetchMedia})
	}
	list = append(list, p.traits.Options...)
	list = append(list, p.poolOptions()...)
	list = append(list,
		Option{Name: "dial_timeout", Parse: options.Value(&p.DialTimeout, options.ExpectedDuration, options.Duration)},
		Option{Name: "first_byte_timeout", Parse: options.Value(&p.FirstByteTimeout, options.ExpectedDuration, options.Duration)},
		Option{Name: "idle_timeout", Parse: options.Value(&p.IdleTimeout, options.ExpectedDuration, options.Duration)},
		Option{Name: "transport", Block: true, Parse: p.parseTransport},
	)
	for _, name := range tlsOptions {
		list = append(list, Option{Name: name, Block: true, Parse: p.parseTLS})
	}
	return list
}

// configOptions are those of a provider and of its for blocks.
func (p *block) configOptions(c *Config, parseModel func(string) (string, error)) []Option {
	list := []Option{
		{Name: "model", Parse: options.Value(&c.Model, options.ExpectedText, options.Pointer(parseModel))},
		{Name: "stream", Parse: options.Value(&c.Stream, "on or off", options.Pointer(options.OnOff))},
		{Name: "api_key", Parse: options.Value(&c.APIKey, "a reference such as {env.NAME} or {file./path/to/secret}", options.Pointer(parseKey))},
	}
	if p.traits.TakesMaxTokens {
		list = append(list, Option{Name: "max_tokens", Parse: options.Value(&c.MaxTokens, "a number of tokens, 1 or more", options.Pointer(options.Number(1, math.MaxInt32)))})
	}
	return list
}

// parseFor reads the overrides for one rule. An empty model gives the client's
// model back.
func (p *block) parseFor(d *caddyfile.Dispenser) error {
	at := options.Here(d)
	rule, err := options.Argument(d, "the name of a rule, and a block with model, stream or api_key", options.Text)
	if err != nil {
		return err
	}
	if _, ok := p.Rules[rule]; ok {
		return d.Errf("for %s is given twice; put its options into one block", options.Unquoted(rule))
	}
	var c Config
	if err := options.Parse(d, "for", p.configOptions(&c, func(s string) (string, error) { return s, nil })); err != nil {
		return err
	}
	if c == (Config{}) {
		return at.Errf("for %s sets nothing; write model, stream or api_key into its block", options.Unquoted(rule))
	}
	if p.Rules == nil {
		p.Rules = make(map[string]Config)
	}
	p.Rules[rule] = c
	return nil
}

// parseHeader reads: header <name> <value>
func (p *block) parseHeader(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 {
		return d.Errf("header takes a name and a value, in quotes if it has spaces; got %s", options.Count(args))
	}
	name, text := args[0], args[1]
	if err := checkHeaderName(name); err != nil {
		return d.WrapErr(err)
	}
	for other := range p.Headers {
		if http.CanonicalHeaderKey(other) == http.CanonicalHeaderKey(name) {
			return d.Errf("header %s is given twice; keep one", options.Unquoted(name))
		}
	}
	if !httpguts.ValidHeaderFieldValue(text) {
		return d.Errf("the value of header %s has characters that a header cannot hold", options.Unquoted(name))
	}
	if headername.IsCredential(name) {
		if _, err := upstream.ParseSecret("header "+options.Unquoted(name), text); err != nil {
			return d.WrapErr(err)
		}
	}
	if p.Headers == nil {
		p.Headers = make(map[string]string)
	}
	p.Headers[name] = text
	return nil
}

// parseForwardHeaders reads: forward_headers <names...>
func (p *block) parseForwardHeaders(d *caddyfile.Dispenser) error {
	names := d.RemainingArgs()
	if len(names) == 0 {
		return d.Errf("forward_headers takes the names of client headers, such as X-Forwarded-For")
	}
	for _, name := range names {
		if err := checkHeaderName(name); err != nil {
			return d.WrapErr(err)
		}
	}
	p.ForwardHeaders = append(p.ForwardHeaders, names...)
	return nil
}

// parseNames reads the names of what the llm app defines.
func parseNames(option string, names *[]string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		args := d.RemainingArgs()
		if len(args) == 0 {
			return d.Errf("%s takes one name or more; got nothing", option)
		}
		*names = append(*names, args...)
		return nil
	}
}

func checkHeaderName(name string) error {
	if !httpguts.ValidHeaderFieldName(name) {
		return fmt.Errorf("%s is not a header name; expected one such as X-Team", options.Quoted(name))
	}
	return nil
}

func parseHost(s string) (string, error) { return s, upstream.CheckHost(s) }

func parsePath(s string) (string, error) {
	_, err := upstream.ParsePath(s)
	return s, err
}

func parseKey(s string) (string, error) {
	_, err := upstream.ParseSecret("api_key", s)
	return s, err
}
