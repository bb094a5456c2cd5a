package kind

import (
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-llm/gateway/internal/options"
)

// tlsOptions are those of reverse_proxy's HTTP transport that a provider takes
// without a transport block.
var tlsOptions = []string{
	"tls_client_auth", "tls_curves", "tls_except_ports", "tls_insecure_skip_verify", "tls_renegotiation", "tls_server_name", "tls_timeout",
	"tls_trust_pool", "tls_trusted_ca_certs",
}

// parseTransport reads: transport http { ... }
func (p *block) parseTransport(d *caddyfile.Dispenser) error {
	if p.transport {
		return d.Errf("transport is given twice; put its options into one block")
	}
	p.transport = true
	if !d.NextArg() || d.Val() != "http" || d.CountRemainingArgs() > 0 {
		return d.Errf("transport takes http and a block, as in reverse_proxy: transport http { ... }")
	}
	return p.unmarshalTransport(d, "transport http", d.NextSegment())
}

// parseTLS reads a TLS option of the HTTP transport.
func (p *block) parseTLS(d *caddyfile.Dispenser) error {
	name := d.Val()
	if p.tls[name] {
		return d.Errf("%s is given twice; keep one", name)
	}
	if p.tls == nil {
		p.tls = make(map[string]bool)
	}
	p.tls[name] = true
	segment := d.NextSegment()
	// The transport reads blocks alone, so the option is put into one. The made
	// up tokens stand on lines that make it a block.
	first, last := segment[0], segment[len(segment)-1]
	tokens := []caddyfile.Token{{File: first.File, Line: first.Line, Text: "http"}, {File: first.File, Line: first.Line, Text: "{"}}
	tokens = append(tokens, segment...)
	tokens = append(tokens, caddyfile.Token{File: last.File, Line: last.Line + last.NumLineBreaks() + 1, Text: "}"})
	return p.unmarshalTransport(d, name, tokens)
}

func (p *block) unmarshalTransport(d *caddyfile.Dispenser, name string, tokens []caddyfile.Token) error {
	if p.Transport == nil {
		p.Transport = new(reverseproxy.HTTPTransport)
	}
	if err := p.Transport.UnmarshalCaddyfile(caddyfile.NewDispenser(tokens)); err != nil {
		return fmt.Errorf("%s is read as in reverse_proxy: %w", name, options.Located(d, err))
	}
	return nil
}
