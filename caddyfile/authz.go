package caddyfile

import (
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-llm/gateway/internal/options"
	"github.com/caddy-llm/gateway/llmroute/authz"
	"github.com/caddy-llm/gateway/llmroute/authz/jwt"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("llm_authz", authzDirective)
	// Beside the other ways to authenticate, and before llm_keys.
	httpcaddyfile.RegisterDirectiveOrder("llm_authz", httpcaddyfile.After, "forward_auth")
}

// authzDirective reads the directive llm_authz, which lets only those requests
// pass that policies allow:
//
//	llm_authz [<matcher>] {
//		jwt       <issuer> { ... }
//		ext_authz <name> { ... }
//		deny      [<name>] { ... }
//		allow     [<name>] { ... }
//		audit     [<name>] { ... }
//		custom    <ext_authz> [<name>] { ... }
//	}
//
// jwt and ext_authz have the fields of jwt.Rule and authz.ExtAuthz as their
// options. The others are policies, described at authzBlock.parsePolicy.
func authzDirective(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h.Next() // the directive's name
	at := options.Here(h.Dispenser)
	if h.NextArg() {
		return nil, h.Errf("llm_authz takes a matcher (*, /path or @name), got %s; policies go into its block", options.Quoted(h.Val()))
	}
	b := &authzBlock{handler: new(authz.Handler)}
	if err := options.Parse(h.Dispenser, "llm_authz", b.options()); err != nil {
		return nil, err
	}
	if len(b.handler.Policies)+len(b.handler.JWT) == 0 {
		return nil, at.Errf("llm_authz lets everything pass; write a policy or a jwt into its block")
	}
	for _, c := range b.customs {
		if b.handler.ExtAuthz[c.provider] == nil {
			return nil, c.at.Errf("there is no ext_authz %s in this llm_authz; define it beside the policy", options.Quoted(c.provider))
		}
	}
	return b.handler, nil
}

// authzBlock is an llm_authz while it is read.
type authzBlock struct {
	handler *authz.Handler
	customs []customPolicy
}

type customPolicy struct {
	provider string
	at       *caddyfile.Dispenser
}

func (b *authzBlock) options() []options.Option {
	policy := func(action authz.Action) func(*caddyfile.Dispenser) error {
		return func(d *caddyfile.Dispenser) error { return b.parsePolicy(d, action) }
	}
	return []options.Option{
		{Name: "jwt", Block: true, Parse: b.parseJWT},
		{Name: "ext_authz", Block: true, Parse: b.parseExtAuthz},
		{Name: "deny", Block: true, Parse: policy(authz.Deny)},
		{Name: "allow", Block: true, Parse: policy(authz.Allow)},
		{Name: "audit", Block: true, Parse: policy(authz.Audit)},
		{Name: "custom", Block: true, Parse: policy(authz.Custom)},
	}
}

// parsePolicy reads a policy:
//
//	<action> [<name>] {
//		from     { <field> <values...> }
//		to       { <field> <values...> }
//		when     <key> <values...>
//		when_not <key> <values...>
//		rule     { ... }
//		dry_run
//	}
//
// A policy with one rule needs no rule block: from, to, when and when_not may
// stand in the policy itself. from and to have the fields of authz.Source and
// authz.Operation, and need no block for a single field. Each from and to is one
// more that may match; all when and when_not must. A rule without anything
// matches every request, a policy without a rule none.
func (b *authzBlock) parsePolicy(d *caddyfile.Dispenser, action authz.Action) error {
	p := &authz.Policy{Action: action}
	name, args := d.Val(), d.RemainingArgs()
	if action == authz.Custom {
		if len(args) == 0 {
			return d.Err("custom needs the name of the ext_authz to ask; expected: custom EXT_AUTHZ [NAME]")
		}
		p.Provider, args = args[0], args[1:]
		b.customs = append(b.customs, customPolicy{p.Provider, options.Here(d)})
	}
	switch len(args) {
	case 0:
		p.Name = name // as logs call it
	case 1:
		p.Name = args[0]
	default:
		return d.Errf("%s takes one name, got %s; write from, to and when into its block", name, options.Count(args))
	}
	at := options.Here(d)
	own := new(authz.Rule)
	stands := false // own has something
	list := []options.Option{
		{Name: "rule", Block: true, Parse: func(d *caddyfile.Dispenser) error {
			rule := new(authz.Rule)
			if d.NextArg() {
				return d.Errf("rule takes no argument, got %s; write from, to and when into its block", options.Quoted(d.Val()))
			}
			p.Rules = append(p.Rules, rule)
			return options.Parse(d, "rule", ruleParts(rule, new(bool)))
		}},
		{Name: "dry_run", Parse: options.Presence(&p.DryRun)},
	}
	if err := options.Parse(d, name, append(list, ruleParts(own, &stands)...)); err != nil {
		return err
	}
	if stands {
		if len(p.Rules) > 0 {
			return at.Errf("%s %s has rules, and parts of a rule outside of them; write these into a rule as well", name, p.Name)
		}
		p.Rules = []*authz.Rule{own}
	}
	b.handler.Policies = append(b.handler.Policies, p)
	return nil
}

// ruleParts are the options of a rule; stands reports whether one was read.
func ruleParts(rule *authz.Rule, stands *bool) []options.Option {
	return []options.Option{
		{Name: "from", Block: true, Parse: func(d *caddyfile.Dispenser) error {
			source := new(authz.Source)
			rule.From, *stands = append(rule.From, source), true
			return parseFields(d, sourceFields(source))
		}},
		{Name: "to", Block: true, Parse: func(d *caddyfile.Dispenser) error {
			operation := new(authz.Operation)
			rule.To, *stands = append(rule.To, operation), true
			return parseFields(d, operationFields(operation))
		}},
		{Name: "when", Parse: func(d *caddyfile.Dispenser) error {
			*stands = true
			key, values, err := parseCondition(d)
			rule.When = append(rule.When, &authz.Condition{Key: key, Values: values})
			return err
		}},
		{Name: "when_not", Parse: func(d *caddyfile.Dispenser) error {
			*stands = true
			key, values, err := parseCondition(d)
			rule.When = append(rule.When, &authz.Condition{Key: key, NotValues: values})
			return err
		}},
	}
}

func parseCondition(d *caddyfile.Dispenser) (key string, values []string, err error) {
	name, args := d.Val(), d.RemainingArgs()
	if len(args) < 2 {
		return "", nil, d.Errf("%s takes an attribute and its values; expected for example: %s request.headers[X-Team] blue", name, name)
	}
	return args[0], args[1:], nil
}

// parseFields reads a single field on the option's line, or several in its block.
func parseFields(d *caddyfile.Dispenser, fields []options.Option) error {
	name := d.Val()
	if d.NextArg() {
		field := options.Find(fields, d.Val())
		if field == nil {
			return d.Errf("unknown %s field %s; expected one of %s", name, options.Quoted(d.Val()), strings.Join(options.Names(fields), ", "))
		}
		if err := field.Parse(d); err != nil {
			return err
		}
		if d.NextBlock(d.Nesting()) {
			return d.Errf("%s has a field on its line and a block; write all of them into the block", name)
		}
		return nil
	}
	at, nesting, any := options.Here(d), d.Nesting(), false
	for d.NextBlock(nesting) {
		any = true
		field := options.Find(fields, d.Val())
		if field == nil {
			return d.Errf("unknown %s field %s; expected one of %s", name, options.Quoted(d.Val()), strings.Join(options.Names(fields), ", "))
		}
		if err := field.Parse(d); err != nil {
			return err
		}
	}
	if !any {
		return at.Errf("%s is empty; write a field and its values, such as %s, or leave it out to match everything", name, example(name))
	}
	return nil
}

func example(part string) string {
	if part == "from" {
		return "from ip_blocks 10.0.0.0/8"
	}
	return "to hosts api.example.com"
}

func sourceFields(s *authz.Source) []options.Option {
	return []options.Option{
		{Name: "ip_blocks", Parse: texts(&s.IPBlocks)},
		{Name: "not_ip_blocks", Parse: texts(&s.NotIPBlocks)},
		{Name: "remote_ip_blocks", Parse: texts(&s.RemoteIPBlocks)},
		{Name: "not_remote_ip_blocks", Parse: texts(&s.NotRemoteIPBlocks)},
		{Name: "request_principals", Parse: texts(&s.RequestPrincipals)},
		{Name: "not_request_principals", Parse: texts(&s.NotRequestPrincipals)},
		{Name: "principals", Parse: texts(&s.Principals)},
		{Name: "not_principals", Parse: texts(&s.NotPrincipals)},
		{Name: "namespaces", Parse: texts(&s.Namespaces)},
		{Name: "not_namespaces", Parse: texts(&s.NotNamespaces)},
		{Name: "service_accounts", Parse: texts(&s.ServiceAccounts)},
		{Name: "not_service_accounts", Parse: texts(&s.NotServiceAccounts)},
		{Name: "trust_domains", Parse: texts(&s.TrustDomains)},
		{Name: "not_trust_domains", Parse: texts(&s.NotTrustDomains)},
	}
}

func operationFields(o *authz.Operation) []options.Option {
	return []options.Option{
		{Name: "hosts", Parse: texts(&o.Hosts)},
		{Name: "not_hosts", Parse: texts(&o.NotHosts)},
		{Name: "ports", Parse: texts(&o.Ports)},
		{Name: "not_ports", Parse: texts(&o.NotPorts)},
		{Name: "methods", Parse: texts(&o.Methods)},
		{Name: "not_methods", Parse: texts(&o.NotMethods)},
		{Name: "paths", Parse: texts(&o.Paths)},
		{Name: "not_paths", Parse: texts(&o.NotPaths)},
	}
}

// texts returns the parser of an option with any number of values. Given again,
// it adds to them.
func texts(dst *[]string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		name, args := d.Val(), d.RemainingArgs()
		if len(args) == 0 {
			return d.Errf("%s takes one value or more; got nothing", name)
		}
		*dst = append(*dst, args...)
		return nil
	}
}

func (b *authzBlock) parseJWT(d *caddyfile.Dispenser) error {
	rule := new(jwt.Rule)
	if err := options.Value(&rule.Issuer, "the issuer of the tokens, as in their claim iss", options.Text)(d); err != nil {
		return err
	}
	rule.Origin = "jwt " + rule.Issuer
	b.handler.JWT = append(b.handler.JWT, rule)
	return options.Parse(d, "jwt", []options.Option{
		{Name: "audiences", Parse: texts(&rule.Audiences)},
		{Name: "jwks", Parse: options.Value(&rule.JWKS, "a JSON Web Key Set, such as {file.jwks.json}", options.Text)},
		{Name: "jwks_uri", Parse: options.Value(&rule.JWKSURI, "the URL of a JSON Web Key Set", options.Text)},
		{Name: "jwks_ca", Parse: options.Value(&rule.JWKSCA, "a PEM file with the authorities of jwks_uri's server", options.Text)},
		{Name: "timeout", Parse: options.Value(&rule.Timeout, options.ExpectedDuration, options.Duration)},
		{Name: "from_headers", Parse: func(d *caddyfile.Dispenser) error {
			name, args := d.Val(), d.RemainingArgs()
			if len(args) < 1 || len(args) > 2 {
				return d.Errf("%s takes a header's name and the prefix before the token, such as: %s X-Token \"Bearer \"; got %s", name, name, options.Count(args))
			}
			header := &jwt.Header{Name: args[0]}
			if len(args) == 2 {
				header.Prefix = args[1]
			}
			rule.FromHeaders = append(rule.FromHeaders, header)
			return nil
		}},
		{Name: "from_params", Parse: texts(&rule.FromParams)},
		{Name: "from_cookies", Parse: texts(&rule.FromCookies)},
		{Name: "forward_original_token", Parse: options.Presence(&rule.ForwardOriginalToken)},
		{Name: "output_payload_to_header", Parse: options.Value(&rule.OutputPayloadToHeader, "a header's name", options.Text)},
		{Name: "output_claim_to_headers", Parse: func(d *caddyfile.Dispenser) error {
			name, args := d.Val(), d.RemainingArgs()
			if len(args) != 2 {
				return d.Errf("%s takes a header's name and a claim, such as: %s X-User sub; got %s", name, name, options.Count(args))
			}
			rule.OutputClaimToHeaders = append(rule.OutputClaimToHeaders, &jwt.ClaimToHeader{Header: args[0], Claim: args[1]})
			return nil
		}},
		{Name: "space_delimited_claims", Parse: texts(&rule.SpaceDelimitedClaims)},
		{Name: "ignore_other_tokens", Parse: options.Presence(&rule.IgnoreOtherTokens)},
	})
}

func (b *authzBlock) parseExtAuthz(d *caddyfile.Dispenser) error {
	var name string
	if err := options.Value(&name, "a name for the service", options.Text)(d); err != nil {
		return err
	}
	if b.handler.ExtAuthz[name] != nil {
		return d.Errf("ext_authz %s is defined twice; rename one", options.Quoted(name))
	}
	e := new(authz.ExtAuthz)
	if b.handler.ExtAuthz == nil {
		b.handler.ExtAuthz = make(map[string]*authz.ExtAuthz)
	}
	b.handler.ExtAuthz[name] = e
	at := options.Here(d)
	err := options.Parse(d, "ext_authz", []options.Option{
		{Name: "service", Parse: options.Value(&e.Service, "the service's host or address", options.Text)},
		{Name: "port", Parse: options.Value(&e.Port, "the service's port, 1 to 65535", options.Number(1, 65535))},
		{Name: "timeout", Parse: options.Value(&e.Timeout, options.ExpectedDuration, options.Duration)},
		{Name: "path_prefix", Parse: options.Value(&e.PathPrefix, "a path, such as /check", options.Text)},
		{Name: "fail_open", Parse: options.Presence(&e.FailOpen)},
		{Name: "status_on_error", Parse: options.Value(&e.StatusOnError, "a status, 400 to 599", options.Number(400, 599))},
		{Name: "include_request_headers_in_check", Parse: texts(&e.IncludeRequestHeadersInCheck)},
		{Name: "include_additional_headers_in_check", Parse: func(d *caddyfile.Dispenser) error {
			option, args := d.Val(), d.RemainingArgs()
			if len(args) != 2 {
				return d.Errf("%s takes a header's name and its value; got %s", option, options.Count(args))
			}
			if e.IncludeAdditionalHeadersInCheck == nil {
				e.IncludeAdditionalHeadersInCheck = make(map[string]string)
			}
			e.IncludeAdditionalHeadersInCheck[args[0]] = args[1]
			return nil
		}},
		{Name: "include_request_body_in_check", Block: true, Parse: func(d *caddyfile.Dispenser) error {
			body := new(authz.ExtAuthzBody)
			e.IncludeRequestBodyInCheck = body
			at := options.Here(d)
			err := options.Parse(d, d.Val(), []options.Option{
				{Name: "max_request_bytes", Parse: options.Value(&body.MaxRequestBytes, "a number of bytes, 1 to 16777216", options.Number(1, 16<<20))},
				{Name: "allow_partial_message", Parse: options.Presence(&body.AllowPartialMessage)},
			})
			if err == nil && body.MaxRequestBytes == 0 {
				err = at.Err("include_request_body_in_check needs max_request_bytes; write how much of the body the service gets")
			}
			return err
		}},
		{Name: "headers_to_upstream_on_allow", Parse: texts(&e.HeadersToUpstreamOnAllow)},
		{Name: "headers_to_downstream_on_allow", Parse: texts(&e.HeadersToDownstreamOnAllow)},
		{Name: "headers_to_downstream_on_deny", Parse: texts(&e.HeadersToDownstreamOnDeny)},
	})
	if err == nil && (e.Service == "" || e.Port == 0) {
		err = at.Errf("ext_authz %s needs a service and a port; write both into its block", name)
	}
	return err
}
