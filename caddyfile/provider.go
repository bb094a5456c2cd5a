package caddyfile

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"golang.org/x/net/http/httpguts"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/openai"
	"github.com/caddy-llm/gateway/llmroute"
)

// providerBlock is a provider while its block is read.
type providerBlock struct {
	openai.Provider
	kind      string
	url       bool // scheme, host and port come from a URL
	transport bool // a transport block was read
	tls       map[string]bool
}

// parseProvider reads one provider. The name is its host as well, unless host or
// a URL says otherwise; a URL sets scheme, host, port and path in one go:
//
//	provider <name> [<url>] {
//		kind                openai
//		host                <host>
//		scheme              http|https
//		port                <number>
//		path                <path>
//		model               <name>
//		stream              on|off
//		api_key             {env.<name>}|{file.<path>}
//		for <rule> {
//			model   <name>
//			stream  on|off
//			api_key {env.<name>}|{file.<path>}
//		}
//		header              <name> <value>
//		forward_headers     <names...>
//		keep_stream_options
//		dial_timeout        <duration>
//		first_byte_timeout  <duration>
//		idle_timeout        <duration>
//		tls_...             <as in reverse_proxy's transport http>
//		transport http {
//			...
//		}
//	}
//
// The options stand for the fields of the same names in openai.Provider.
func parseProvider(d *caddyfile.Dispenser, app *llmroute.App) error {
	at := here(d)
	args := d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return d.Errf("provider takes a name and, if you like, a URL; got %s", count(args))
	}
	name := args[0]
	switch {
	case strings.Contains(name, "://"):
		return d.Errf("a provider needs a name before its URL, such as: provider local http://127.0.0.1:11434")
	case name == "" || strings.ContainsAny(name, "/ \t\n{}"):
		return d.Errf("%s is not a provider's name; write one without spaces, slashes and braces", quoted(name))
	case app.ProvidersRaw[name] != nil:
		return d.Errf("there are two providers %s; give each a name of its own, and their common host as the option host", quoted(name))
	}
	var p providerBlock
	if len(args) == 2 {
		if err := p.setURL(args[1]); err != nil {
			return d.WrapErr(err)
		}
	}
	if err := parseBlock(d, "provider", p.options()); err != nil {
		return err
	}
	if p.Host == "" {
		if err := llmprovider.CheckHost(name); err != nil {
			return at.Errf("the provider's name is its host as well unless the option host gives one: %w", err)
		}
		p.Host = name
	}
	if p.Scheme == "http" && p.Transport != nil && p.Transport.TLS != nil {
		return at.Errf("provider %s has TLS options, but its scheme is http; write https, or leave them out", name)
	}
	if app.ProvidersRaw == nil {
		app.ProvidersRaw = make(map[string]json.RawMessage)
	}
	app.ProvidersRaw[name] = caddyconfig.JSONModuleObject(&p.Provider, "kind", "openai", nil)
	return nil
}

func (p *providerBlock) options() []option {
	options := []option{
		{name: "kind", parse: value(&p.kind, "openai", oneOf("openai"))},
		{name: "host", parse: p.unlessURL(value(&p.Host, "the provider's DNS name", parseHost))},
		{name: "scheme", parse: p.unlessURL(value(&p.Scheme, "http or https", oneOf("http", "https")))},
		{name: "port", parse: p.unlessURL(value(&p.Port, "a number from 1 to 65535", parseNumber(1, 65535)))},
		{name: "path", parse: value(&p.Path, "the path of the chat completions endpoint, such as "+llmprovider.DefaultPath, parsePath)},
	}
	options = append(options, modelOptions(&p.Config, parseText)...)
	options = append(options,
		option{name: "for", block: true, parse: p.parseFor},
		option{name: "header", parse: p.parseHeader},
		option{name: "forward_headers", parse: p.parseForwardHeaders},
		option{name: "keep_stream_options", parse: presence(&p.KeepStreamOptions)},
		option{name: "dial_timeout", parse: value(&p.DialTimeout, expectedDuration, parseDuration)},
		option{name: "first_byte_timeout", parse: value(&p.FirstByteTimeout, expectedDuration, parseDuration)},
		option{name: "idle_timeout", parse: value(&p.IdleTimeout, expectedDuration, parseDuration)},
		option{name: "transport", block: true, parse: p.parseTransport},
	)
	for _, name := range tlsOptions {
		options = append(options, option{name: name, block: true, parse: p.parseTLS})
	}
	return options
}

// modelOptions are those of a provider and of its for blocks.
func modelOptions(c *openai.ModelConfig, parseModel func(string) (string, error)) []option {
	return []option{
		{name: "model", parse: value(&c.Model, expectedText, pointer(parseModel))},
		{name: "stream", parse: value(&c.Stream, "on or off", pointer(parseOnOff))},
		{name: "api_key", parse: value(&c.APIKey, "a reference such as {env.NAME} or {file./path/to/secret}", pointer(parseKey))},
	}
}

// parseFor reads the overrides for one rule. An empty model gives the client's
// model back.
func (p *providerBlock) parseFor(d *caddyfile.Dispenser) error {
	at := here(d)
	rule, err := argument(d, "the name of a rule, and a block with model, stream or api_key", parseText)
	if err != nil {
		return err
	}
	if _, ok := p.Rules[rule]; ok {
		return d.Errf("for %s is given twice; put its options into one block", unquoted(rule))
	}
	var c openai.ModelConfig
	if err := parseBlock(d, "for", modelOptions(&c, func(s string) (string, error) { return s, nil })); err != nil {
		return err
	}
	if c == (openai.ModelConfig{}) {
		return at.Errf("for %s sets nothing; write model, stream or api_key into its block", unquoted(rule))
	}
	if p.Rules == nil {
		p.Rules = make(map[string]openai.ModelConfig)
	}
	p.Rules[rule] = c
	return nil
}

// parseHeader reads: header <name> <value>
func (p *providerBlock) parseHeader(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 {
		return d.Errf("header takes a name and a value, in quotes if it has spaces; got %s", count(args))
	}
	name, text := args[0], args[1]
	if err := checkHeaderName(name); err != nil {
		return d.WrapErr(err)
	}
	for other := range p.Headers {
		if http.CanonicalHeaderKey(other) == http.CanonicalHeaderKey(name) {
			return d.Errf("header %s is given twice; keep one", unquoted(name))
		}
	}
	if !httpguts.ValidHeaderFieldValue(text) {
		return d.Errf("the value of header %s has characters that a header cannot hold", unquoted(name))
	}
	if llmprovider.IsCredentialHeader(name) {
		if _, err := llmprovider.ParseSecret("header "+unquoted(name), text); err != nil {
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
func (p *providerBlock) parseForwardHeaders(d *caddyfile.Dispenser) error {
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

func checkHeaderName(name string) error {
	if !httpguts.ValidHeaderFieldName(name) {
		return fmt.Errorf("%s is not a header name; expected one such as X-Team", quoted(name))
	}
	return nil
}

func parseHost(s string) (string, error) { return s, llmprovider.CheckHost(s) }

func parsePath(s string) (string, error) {
	_, err := llmprovider.ParsePath(s)
	return s, err
}

func parseKey(s string) (string, error) {
	_, err := llmprovider.ParseSecret("api_key", s)
	return s, err
}

func parseOnOff(s string) (bool, error) {
	if s != "on" && s != "off" {
		return false, errUnexpected
	}
	return s == "on", nil
}

// oneOf returns a parse function that takes these words alone.
func oneOf(words ...string) func(string) (string, error) {
	return func(s string) (string, error) {
		for _, word := range words {
			if s == word {
				return s, nil
			}
		}
		return "", errUnexpected
	}
}

// pointer makes a parse function return a pointer, nil with an error.
func pointer[T any](parse func(string) (T, error)) func(string) (*T, error) {
	return func(s string) (*T, error) {
		v, err := parse(s)
		if err != nil {
			return nil, err
		}
		return &v, nil
	}
}
