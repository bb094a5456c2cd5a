package authorization

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/k8ssource/header"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
	"github.com/caddy-llm/gateway/llmroute/authz"
	"github.com/caddy-llm/gateway/llmroute/authz/jwt"
)

// NoKeys is a key set that accepts no token.
const NoKeys = `{"keys":[]}`

// authenticationBuilder turns one RequestAuthentication into token rules, and
// collects what is wrong with it. Tokens of a rule with a fault are refused: what
// was meant to narrow down which are accepted may be what is wrong.
type authenticationBuilder struct {
	object *object.RequestAuthentication
	faults []object.Fault

	guarded bool
}

// builtAuthentication is what was made of a RequestAuthentication.
type builtAuthentication struct {
	rules   []*jwt.Rule
	faults  []object.Fault
	headers []header.Matched // that may carry a token
}

// guarded is for objects whose writers may not have the gateway ask every address.
func buildAuthentication(item *object.Item[object.RequestAuthentication], guarded bool) *builtAuthentication {
	b := &authenticationBuilder{object: &item.Object, guarded: guarded}
	out := new(builtAuthentication)
	all := len(item.Faults) >= object.MaxFaults
	wrong := make(map[int]bool)
	for _, f := range item.Faults {
		rule := object.EntryOf(f, "spec.jwtRules")
		if rule < 0 {
			all = true
			f.Message += ". Until then its tokens are refused"
		} else {
			wrong[rule] = true
			f.Message += ". Until then the issuer's tokens are refused"
		}
		b.faults = append(b.faults, f)
	}
	for i, in := range item.Object.Spec.JWTRules {
		path := fmt.Sprintf("spec.jwtRules[%d]", i)
		if in == nil {
			in = new(object.JWTRule)
		}
		if in.JWKSURIAlias != "" && in.JWKSURI != "" && !wrong[i] {
			b.fault(path+".jwks_uri", "this is jwksUri under another name, and both are set; keep jwksUri. Until then the issuer's tokens are refused")
			wrong[i] = true
		}
		rule := b.rule(path, in)
		if wrong[i] || all || !b.check(path, rule) {
			rule.JWKS, rule.JWKSURI = NoKeys, ""
		}
		out.rules = append(out.rules, rule)
		for j, h := range in.FromHeaders {
			out.headers = append(out.headers, header.Matched{Path: fmt.Sprintf("%s.fromHeaders[%d].name", path, j), Name: strings.ToLower(h.Name)})
		}
	}
	for i := range b.faults {
		b.faults[i].Used = true
	}
	out.faults = b.faults
	return out
}

func (b *authenticationBuilder) fault(path, format string, args ...any) {
	b.faults = append(b.faults, *object.Faultf(object.ReasonInvalidField, path+": "+format, args...))
}

// check adds what package authz finds wrong with a rule, and reports whether its keys
// can be used.
func (b *authenticationBuilder) check(path string, rule *jwt.Rule) bool {
	usable := true
	_, problems := authz.New(&authz.Config{JWT: []*jwt.Rule{rule}}, zap.NewNop())
	for _, p := range problems {
		field := camel(strings.TrimPrefix(p.Path, "jwt[0]."))
		b.fault(path+"."+field, "%s", p.Message)
		usable = usable && field != "issuer" && field != "jwks" && field != "jwksUri"
	}
	if u, err := url.Parse(rule.JWKSURI); b.guarded && err == nil && usable {
		port, _ := strconv.Atoi(u.Port())
		if what := upstream.InternalHost(u.Hostname(), port); what != "" {
			b.faults = append(b.faults, *object.Faultf(object.ReasonHostNotAllowed, "%s.jwksUri: this is %s, which manifests may not name; write the issuer's own address. Until then the issuer's tokens are refused", path, what))
			usable = false
		}
	}
	return usable
}

func (b *authenticationBuilder) rule(path string, in *object.JWTRule) *jwt.Rule {
	out := &jwt.Rule{
		Issuer: in.Issuer, Audiences: values(in.Audiences), JWKS: in.JWKS, JWKSURI: in.JWKSURI,
		FromParams: values(in.FromParams), FromCookies: values(in.FromCookies), ForwardOriginalToken: in.ForwardOriginalToken, Guarded: b.guarded,
		OutputPayloadToHeader: in.OutputPayloadToHeader, SpaceDelimitedClaims: values(in.SpaceDelimitedClaims), Origin: object.Key(b.object),
	}
	for _, h := range in.FromHeaders {
		out.FromHeaders = append(out.FromHeaders, &jwt.Header{Name: h.Name, Prefix: h.Prefix})
	}
	for _, c := range in.OutputClaimToHeaders {
		out.OutputClaimToHeaders = append(out.OutputClaimToHeaders, &jwt.ClaimToHeader{Header: c.Header, Claim: c.Claim})
	}
	if in.JWKSURIAlias != "" {
		out.JWKSURI = in.JWKSURIAlias
	}
	timeout, err := parseDuration(in.Timeout)
	if err != nil {
		b.fault(path+".timeout", "%s. Until then it is 5s", err)
	}
	out.Timeout = timeout
	return out
}
