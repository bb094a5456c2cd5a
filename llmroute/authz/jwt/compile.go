package jwt

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"go.uber.org/zap"
	"golang.org/x/net/http/httpguts"

	"github.com/caddy-llm/gateway/llmprovider/headername"
)

// New makes rules ready for use. A rule that cannot be used accepts no
// token, but is there: tokens of its issuer are refused, and not passed on as if
// nobody had asked for them to be looked at.
//
// report is called with what is wrong in a rule, which is not used as it stands: the
// rule's Origin, the field, such as jwt[0].jwks, and what is wrong, what to write instead,
// and what becomes of requests meanwhile.
func New(config []*Rule, logger *zap.Logger, report func(origin, field, message string)) *Verifier {
	t := &Verifier{now: time.Now, logger: logger}
	for i, rule := range config {
		if rule == nil {
			rule = &Rule{}
		}
		c := &ruleCompiler{tokens: t, path: fmt.Sprintf("jwt[%d].", i), rule: &tokenRule{Rule: rule}, report: report}
		c.compile()
		t.rules = append(t.rules, c.rule)
	}
	return t
}

// ruleCompiler makes one rule ready for use.
type ruleCompiler struct {
	tokens *Verifier
	rule   *tokenRule
	path   string
	report func(origin, field, message string)
}

func (c *ruleCompiler) problem(field, format string, args ...any) {
	c.report(c.rule.Origin, c.path+field, fmt.Sprintf(format, args...))
}

func (c *ruleCompiler) compile() {
	r := c.rule
	for _, audience := range r.Audiences {
		r.audiences = append(r.audiences, bareAudience(audience))
	}
	if r.Issuer == "" {
		c.problem("issuer", "there is no issuer; write the iss claim of the tokens to accept; meanwhile the rule accepts none")
	} else {
		c.keys()
	}
	c.places()
	c.outputs()
}

// keys finds out where the keys are. Without any, the rule accepts no token.
func (c *ruleCompiler) keys() {
	r := c.rule
	address := keyAddress{uri: r.JWKSURI, ca: r.JWKSCA, guarded: r.Guarded, timeout: time.Duration(r.Timeout)}
	switch {
	case r.JWKS != "" && r.JWKSURI != "":
		c.problem("jwks_uri", "there are jwks as well; write one of them; meanwhile tokens of this issuer are refused")
		return
	case r.JWKS != "":
		set, err := parseKeySet([]byte(r.JWKS))
		if err != nil {
			c.problem("jwks", "%v; meanwhile tokens of this issuer are refused", err)
			return
		}
		if set.unused > 0 {
			// Issuers serve keys for encryption beside those for signatures.
			c.tokens.logger.Info("some keys of a token issuer cannot verify tokens", zap.String("issuer", r.Issuer), zap.Int("keys", len(set.keys)), zap.Int("unused", set.unused))
		}
		r.inline = set
		return
	case r.JWKSURI != "" && !isURL(r.JWKSURI):
		c.problem("jwks_uri", "it is not an http or https URL; meanwhile tokens of this issuer are refused")
		return
	case r.JWKSURI == "":
		if !isURL(r.Issuer) {
			c.problem("jwks_uri", "there are no keys, and the issuer is not a URL that could name them; write jwks or jwks_uri; "+
				"meanwhile tokens of this issuer are refused")
			return
		}
		address.issuer = r.Issuer
	}
	if address.timeout < 0 {
		c.problem("timeout", "it is below zero; %s is used", keysTimeout)
	}
	if address.timeout <= 0 {
		address.timeout = keysTimeout
	}
	if address.ca != "" {
		if _, err := readCA(address.ca); err != nil {
			c.problem("jwks_ca", "%v; tokens of this issuer are refused until it can be read", err)
		}
	}
	r.source = sourceOf(address)
}

func isURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// places notes where tokens of the rule may be.
func (c *ruleCompiler) places() {
	r := c.rule
	if len(r.FromHeaders)+len(r.FromParams)+len(r.FromCookies) == 0 {
		c.place("header", "Authorization", form{prefix: "Bearer ", anyCase: true})
		c.place("query", "access_token", form{})
		return
	}
	for i, from := range r.FromHeaders {
		field := fmt.Sprintf("from_headers[%d]", i)
		switch {
		case from == nil || !httpguts.ValidHeaderFieldName(from.Name):
			c.problem(field, "its name is not that of a header; meanwhile no token is looked for there")
		case headername.IsMessage(http.CanonicalHeaderKey(from.Name)):
			c.problem(field, "%s says how a message is sent, or what its body is, and cannot be a token; meanwhile no token is looked for there", http.CanonicalHeaderKey(from.Name))
		default:
			c.place("header", http.CanonicalHeaderKey(from.Name), form{prefix: from.Prefix})
		}
	}
	for i, name := range r.FromParams {
		if name == "" {
			c.problem(fmt.Sprintf("from_params[%d]", i), "the name is empty; meanwhile no token is looked for there")
			continue
		}
		c.place("query", name, form{})
	}
	for i, name := range r.FromCookies {
		if !httpguts.ValidHeaderFieldName(name) { // the same characters, RFC 6265, 4.1.1
			c.problem(fmt.Sprintf("from_cookies[%d]", i), "it is not the name of a cookie; meanwhile no token is looked for there")
			continue
		}
		c.place("cookie", name, form{})
	}
}

// place adds the rule to a place.
func (c *ruleCompiler) place(in, name string, wanted form) {
	t := c.tokens
	i := slices.IndexFunc(t.places, func(p *place) bool { return p.in == in && p.name == name })
	if i < 0 {
		i = len(t.places)
		t.places = append(t.places, &place{in: in, name: name})
	}
	p := t.places[i]
	i = slices.IndexFunc(p.forms, func(f *form) bool { return f.prefix == wanted.prefix && f.anyCase == wanted.anyCase })
	if i < 0 {
		i = len(p.forms)
		p.forms = append(p.forms, &wanted)
	}
	f := p.forms[i]
	f.rules = append(f.rules, c.rule)
	f.ignoreOthers = f.ignoreOthers || c.rule.IgnoreOtherTokens
}

// outputs notes which headers the rule sets.
func (c *ruleCompiler) outputs() {
	r := c.rule
	if r.OutputPayloadToHeader != "" {
		r.payloadHeader = c.output("output_payload_to_header", r.OutputPayloadToHeader)
	}
	for i, output := range r.OutputClaimToHeaders {
		field := fmt.Sprintf("output_claim_to_headers[%d]", i)
		if output == nil || output.Claim == "" {
			c.problem(field, "there is no claim; write the name of the claim to hand on; meanwhile nothing is")
			continue
		}
		if name := c.output(field, output.Header); name != "" {
			r.outputs = append(r.outputs, claimHeader{name: name, claim: output.Claim})
		}
	}
}

// output is the header's name in canonical form, empty if there can be no such
// header.
func (c *ruleCompiler) output(field, name string) string {
	if !httpguts.ValidHeaderFieldName(name) {
		c.problem(field, "this is not the name of a header; meanwhile nothing is handed on in it")
		return ""
	}
	name = http.CanonicalHeaderKey(name)
	if headername.IsMessage(name) || headername.IsConnection(name) {
		c.problem(field, "%s says how a message is sent, or what its body is; choose another header; meanwhile nothing is handed on in it", name)
		return ""
	}
	if !slices.Contains(c.tokens.outputs, name) {
		c.tokens.outputs = append(c.tokens.outputs, name)
	}
	return name
}
