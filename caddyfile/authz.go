package caddyfile

import (
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-llm/gateway/llmroute/authz"
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
// jwt and ext_authz have the fields of authz.JWTRule and authz.ExtAuthz as their
// options. The others are policies, described at authzBlock.parsePolicy.
func authzDirective(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h.Next() // the directive's name
	at := here(h.Dispenser)
	if h.NextArg() {
		return nil, h.Errf("llm_authz takes a matcher (*, /path or @name), got %s; policies go into its block", quoted(h.Val()))
	}
	b := &authzBlock{handler: new(authz.Handler)}
	if err := parseBlock(h.Dispenser, "llm_authz", b.options()); err != nil {
		return nil, err
	}
	if len(b.handler.Policies)+len(b.handler.JWT) == 0 {
		return nil, at.Errf("llm_authz lets everything pass; write a policy or a jwt into its block")
	}
	for _, c := range b.customs {
		if b.handler.ExtAuthz[c.provider] == nil {
			return nil, c.at.Errf("there is no ext_authz %s in this llm_authz; define it beside the policy", quoted(c.provider))
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

func (b *authzBlock) options() []option {
	policy := func(action authz.Action) func(*caddyfile.Dispenser) error {
		return func(d *caddyfile.Dispenser) error { return b.parsePolicy(d, action) }
	}
	return []option{
		{name: "jwt", block: true, parse: b.parseJWT},
		{name: "ext_authz", block: true, parse: b.parseExtAuthz},
		{name: "deny", block: true, parse: policy(authz.Deny)},
		{name: "allow", block: true, parse: policy(authz.Allow)},
		{name: "audit", block: true, parse: policy(authz.Audit)},
		{name: "custom", block: true, parse: policy(authz.Custom)},
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
		b.customs = append(b.customs, customPolicy{p.Provider, here(d)})
	}
	switch len(args) {
	case 0:
		p.Name = name // as logs call it
	case 1:
		p.Name = args[0]
	default:
		return d.Errf("%s takes one name, got %s; write from, to and when into its block", name, count(args))
	}
	at := here(d)
	own := new(authz.Rule)
	stands := false // own has something
	options := []option{
		{name: "rule", block: true, parse: func(d *caddyfile.Dispenser) error {
			rule := new(authz.Rule)
			if d.NextArg() {
				return d.Errf("rule takes no argument, got %s; write from, to and when into its block", quoted(d.Val()))
			}
			p.Rules = append(p.Rules, rule)
			return parseBlock(d, "rule", ruleParts(rule, new(bool)))
		}},
		{name: "dry_run", parse: presence(&p.DryRun)},
	}
	if err := parseBlock(d, name, append(options, ruleParts(own, &stands)...)); err != nil {
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

// ruleParts are the options of a rule; stands tells whether one was read.
func ruleParts(rule *authz.Rule, stands *bool) []option {
	return []option{
		{name: "from", block: true, parse: func(d *caddyfile.Dispenser) error {
			source := new(authz.Source)
			rule.From, *stands = append(rule.From, source), true
			return parseFields(d, sourceFields(source))
		}},
		{name: "to", block: true, parse: func(d *caddyfile.Dispenser) error {
			operation := new(authz.Operation)
			rule.To, *stands = append(rule.To, operation), true
			return parseFields(d, operationFields(operation))
		}},
		{name: "when", parse: func(d *caddyfile.Dispenser) error {
			*stands = true
			key, values, err := parseCondition(d)
			rule.When = append(rule.When, &authz.Condition{Key: key, Values: values})
			return err
		}},
		{name: "when_not", parse: func(d *caddyfile.Dispenser) error {
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
func parseFields(d *caddyfile.Dispenser, fields []option) error {
	name := d.Val()
	if d.NextArg() {
		field := find(fields, d.Val())
		if field == nil {
			return d.Errf("unknown %s field %s; expected one of %s", name, quoted(d.Val()), strings.Join(names(fields), ", "))
		}
		if err := field.parse(d); err != nil {
			return err
		}
		if d.NextBlock(d.Nesting()) {
			return d.Errf("%s has a field on its line and a block; write all of them into the block", name)
		}
		return nil
	}
	at, nesting, any := here(d), d.Nesting(), false
	for d.NextBlock(nesting) {
		any = true
		field := find(fields, d.Val())
		if field == nil {
			return d.Errf("unknown %s field %s; expected one of %s", name, quoted(d.Val()), strings.Join(names(fields), ", "))
		}
		if err := field.parse(d); err != nil {
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

func sourceFields(s *authz.Source) []option {
	return []option{
		{name: "ip_blocks", parse: texts(&s.IPBlocks)},
		{name: "not_ip_blocks", parse: texts(&s.NotIPBlocks)},
		{name: "remote_ip_blocks", parse: texts(&s.RemoteIPBlocks)},
		{name: "not_remote_ip_blocks", parse: texts(&s.NotRemoteIPBlocks)},
		{name: "request_principals", parse: texts(&s.RequestPrincipals)},
		{name: "not_request_principals", parse: texts(&s.NotRequestPrincipals)},
		{name: "principals", parse: texts(&s.Principals)},
		{name: "not_principals", parse: texts(&s.NotPrincipals)},
		{name: "namespaces", parse: texts(&s.Namespaces)},
		{name: "not_namespaces", parse: texts(&s.NotNamespaces)},
		{name: "service_accounts", parse: texts(&s.ServiceAccounts)},
		{name: "not_service_accounts", parse: texts(&s.NotServiceAccounts)},
		{name: "trust_domains", parse: texts(&s.TrustDomains)},
		{name: "not_trust_domains", parse: texts(&s.NotTrustDomains)},
	}
}

func operationFields(o *authz.Operation) []option {
	return []option{
		{name: "hosts", parse: texts(&o.Hosts)},
		{name: "not_hosts", parse: texts(&o.NotHosts)},
		{name: "ports", parse: texts(&o.Ports)},
		{name: "not_ports", parse: texts(&o.NotPorts)},
		{name: "methods", parse: texts(&o.Methods)},
		{name: "not_methods", parse: texts(&o.NotMethods)},
		{name: "paths", parse: texts(&o.Paths)},
		{name: "not_paths", parse: texts(&o.NotPaths)},
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
	rule := new(authz.JWTRule)
	if err := value(&rule.Issuer, "the issuer of the tokens, as in their claim iss", parseText)(d); err != nil {
		return err
	}
	rule.Origin = "jwt " + rule.Issuer
	b.handler.JWT = append(b.handler.JWT, rule)
	return parseBlock(d, "jwt", []option{
		{name: "audiences", parse: texts(&rule.Audiences)},
		{name: "jwks", parse: value(&rule.JWKS, "a JSON Web Key Set, such as {file.jwks.json}", parseText)},
		{name: "jwks_uri", parse: value(&rule.JWKSURI, "the URL of a JSON Web Key Set", parseText)},
		{name: "jwks_ca", parse: value(&rule.JWKSCA, "a PEM file with the authorities of jwks_uri's server", parseText)},
		{name: "timeout", parse: value(&rule.Timeout, expectedDuration, parseDuration)},
		{name: "from_headers", parse: func(d *caddyfile.Dispenser) error {
			name, args := d.Val(), d.RemainingArgs()
			if len(args) < 1 || len(args) > 2 {
				return d.Errf("%s takes a header's name and what stands before the token in it, such as: %s X-Token \"Bearer \"; got %s", name, name, count(args))
			}
			header := &authz.JWTHeader{Name: args[0]}
			if len(args) == 2 {
				header.Prefix = args[1]
			}
			rule.FromHeaders = append(rule.FromHeaders, header)
			return nil
		}},
		{name: "from_params", parse: texts(&rule.FromParams)},
		{name: "from_cookies", parse: texts(&rule.FromCookies)},
		{name: "forward_original_token", parse: presence(&rule.ForwardOriginalToken)},
		{name: "output_payload_to_header", parse: value(&rule.OutputPayloadToHeader, "a header's name", parseText)},
		{name: "output_claim_to_headers", parse: func(d *caddyfile.Dispenser) error {
			name, args := d.Val(), d.RemainingArgs()
			if len(args) != 2 {
				return d.Errf("%s takes a header's name and a claim, such as: %s X-User sub; got %s", name, name, count(args))
			}
			rule.OutputClaimToHeaders = append(rule.OutputClaimToHeaders, &authz.ClaimToHeader{Header: args[0], Claim: args[1]})
			return nil
		}},
		{name: "space_delimited_claims", parse: texts(&rule.SpaceDelimitedClaims)},
		{name: "ignore_other_tokens", parse: presence(&rule.IgnoreOtherTokens)},
	})
}

func (b *authzBlock) parseExtAuthz(d *caddyfile.Dispenser) error {
	var name string
	if err := value(&name, "a name for the service", parseText)(d); err != nil {
		return err
	}
	if b.handler.ExtAuthz[name] != nil {
		return d.Errf("there are two ext_authz %s; rename one", quoted(name))
	}
	e := new(authz.ExtAuthz)
	if b.handler.ExtAuthz == nil {
		b.handler.ExtAuthz = make(map[string]*authz.ExtAuthz)
	}
	b.handler.ExtAuthz[name] = e
	at := here(d)
	err := parseBlock(d, "ext_authz", []option{
		{name: "service", parse: value(&e.Service, "the service's host or address", parseText)},
		{name: "port", parse: value(&e.Port, "the service's port, 1 to 65535", parseNumber(1, 65535))},
		{name: "timeout", parse: value(&e.Timeout, expectedDuration, parseDuration)},
		{name: "path_prefix", parse: value(&e.PathPrefix, "a path, such as /check", parseText)},
		{name: "fail_open", parse: presence(&e.FailOpen)},
		{name: "status_on_error", parse: value(&e.StatusOnError, "a status, 400 to 599", parseNumber(400, 599))},
		{name: "include_request_headers_in_check", parse: texts(&e.IncludeRequestHeadersInCheck)},
		{name: "include_additional_headers_in_check", parse: func(d *caddyfile.Dispenser) error {
			option, args := d.Val(), d.RemainingArgs()
			if len(args) != 2 {
				return d.Errf("%s takes a header's name and its value; got %s", option, count(args))
			}
			if e.IncludeAdditionalHeadersInCheck == nil {
				e.IncludeAdditionalHeadersInCheck = make(map[string]string)
			}
			e.IncludeAdditionalHeadersInCheck[args[0]] = args[1]
			return nil
		}},
		{name: "include_request_body_in_check", block: true, parse: func(d *caddyfile.Dispenser) error {
			body := new(authz.ExtAuthzBody)
			e.IncludeRequestBodyInCheck = body
			at := here(d)
			err := parseBlock(d, d.Val(), []option{
				{name: "max_request_bytes", parse: value(&body.MaxRequestBytes, "a number of bytes, 1 to 16777216", parseNumber(1, 16<<20))},
				{name: "allow_partial_message", parse: presence(&body.AllowPartialMessage)},
			})
			if err == nil && body.MaxRequestBytes == 0 {
				err = at.Err("include_request_body_in_check needs max_request_bytes; write how much of the body the service gets")
			}
			return err
		}},
		{name: "headers_to_upstream_on_allow", parse: texts(&e.HeadersToUpstreamOnAllow)},
		{name: "headers_to_downstream_on_allow", parse: texts(&e.HeadersToDownstreamOnAllow)},
		{name: "headers_to_downstream_on_deny", parse: texts(&e.HeadersToDownstreamOnDeny)},
	})
	if err == nil && (e.Service == "" || e.Port == 0) {
		err = at.Errf("ext_authz %s needs a service and a port; write both into its block", name)
	}
	return err
}
