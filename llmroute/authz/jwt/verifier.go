package jwt

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
)

// Verifier verifies tokens by rules. It is made by New and safe for concurrent use.
type Verifier struct {
	rules   []*tokenRule
	places  []*place
	outputs []string // the headers that only rules may set
	cache   tokenCache
	now     func() time.Time
	logger  *zap.Logger
}

// tokenRule is a Rule in use. Without keys and source it accepts nothing.
type tokenRule struct {
	*Rule
	audiences     []string
	inline        *keySet
	source        *keySource
	payloadHeader string // in canonical form, empty for none
	outputs       []claimHeader
}

// Verify looks for a token. Both results are nil if there is none. The error says why the
// request may not pass, in Envoy's words; see Challenge. All tokens of a request must be
// good, for a later handler could use another than this one. The first, in the order of
// the rules and of the places they name, is who is calling.
func (t *Verifier) Verify(r *http.Request) (*Token, error) {
	if len(t.rules) == 0 || IsPreflight(r) {
		return nil, nil
	}
	var first *Token
	var others []*Token
	for _, p := range t.places {
		for value := range p.values(r) {
			token, err := t.look(r.Context(), p, value)
			switch {
			case err != nil:
				return nil, err
			case token == nil || token == first:
			case first == nil:
				first = token
			default:
				others = append(others, token)
			}
		}
	}
	if len(others) > 0 {
		one := *first // which other requests share
		one.others = others
		first = &one
	}
	return first, nil
}

// look verifies what is in a place. Both results are nil if that is no token. One
// form is enough: rules may expect tokens of different forms in the same place.
func (t *Verifier) look(ctx context.Context, p *place, value string) (*Token, error) {
	var failure error
	for _, f := range p.forms {
		text, ok := f.token(value)
		if !ok {
			continue
		}
		token, err := t.accept(ctx, f.rules, text)
		if err == nil {
			return token, nil
		}
		failure = err
	}
	return nil, failure
}

// accept verifies a text for the rules that look for it.
func (t *Verifier) accept(ctx context.Context, rules []*tokenRule, text string) (*Token, error) {
	now := float64(t.now().Unix())
	if len(text) > maxToken { // nor look it up
		_, err := parse(text)
		return nil, err
	}
	sum := sha256.Sum256([]byte(text))
	if token := t.cache.find(sum); token != nil && slices.Contains(rules, token.rule) {
		if err := checkTime(token.notBefore, token.expires, now); err != nil {
			t.cache.remove(sum)
			return nil, err
		}
		if token.keys == token.rule.keys(ctx, t.logger) {
			return token, nil
		}
	}
	parsed, err := parse(text)
	if err != nil {
		return nil, err
	}
	err = errUnknownIssuer
	for _, rule := range rules {
		if rule.Issuer == "" || rule.Issuer != parsed.issuer {
			continue
		}
		var keys *keySet
		if keys, err = rule.accept(ctx, parsed, now, t.logger); err == nil {
			token := newToken(parsed, text, rule, keys)
			t.cache.add(sum, token)
			return token, nil
		}
	}
	return nil, err
}

func newToken(p *parsed, text string, rule *tokenRule, keys *keySet) *Token {
	presenter, _ := p.claims["azp"].(string)
	return &Token{
		Issuer: p.issuer, Subject: p.subject, Audiences: p.audiences, Presenter: presenter, Claims: p.claims,
		text: text, payload: p.rawPayload, joined: p.issuer + "/" + p.subject, rule: rule, keys: keys, notBefore: p.notBefore, expires: p.expires,
	}
}

// accept reports whether the rule accepts the token, and by which keys.
func (r *tokenRule) accept(ctx context.Context, p *parsed, now float64, logger *zap.Logger) (*keySet, error) {
	if err := checkTime(p.notBefore, p.expires, now); err != nil {
		return nil, err
	}
	if len(r.audiences) > 0 && !slices.ContainsFunc(p.audiences, func(a string) bool { return slices.Contains(r.audiences, bareAudience(a)) }) {
		return nil, errAudience
	}
	keys := r.keys(ctx, logger)
	switch {
	case keys == nil && r.source != nil:
		return nil, errFetch
	case keys == nil:
		return nil, errNoKeys
	}
	err := keys.verify(p)
	if err != nil && r.source != nil {
		var demanded error
		if keys, demanded = r.source.demand(ctx, logger, keys, func(newer *keySet) error { return newer.verify(p) }); demanded == nil || ctx.Err() == nil {
			err = demanded
		}
	}
	return keys, err
}

// keys are the issuer's public keys, nil if there are none.
func (r *tokenRule) keys(ctx context.Context, logger *zap.Logger) *keySet {
	if r.source != nil {
		return r.source.keys(ctx, logger)
	}
	return r.inline
}

// bareAudience is an audience without scheme and slash at the end, which mean
// nothing to Envoy
// (https://github.com/google/jwt_verify_lib/blob/master/src/check_audience.cc).
func bareAudience(audience string) string {
	bare, found := strings.CutPrefix(audience, "http://")
	if !found {
		bare = strings.TrimPrefix(audience, "https://")
	}
	return strings.TrimSuffix(bare, "/")
}

// IsPreflight reports whether a browser asks whether a page may send a request
// (https://fetch.spec.whatwg.org/#cors-preflight-request), which it does without a token
// or a key. Istio lets that pass.
func IsPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// maxRealm bounds the path that a refusal repeats, as Envoy does.
const maxRealm = 256

// Challenge returns the status of the response to a request whose token is not accepted,
// and its header WWW-Authenticate (RFC 6750, section 3). The body is the error.
func Challenge(r *http.Request, err error) (status int, authenticate string) {
	status = http.StatusUnauthorized
	if errors.Is(err, errAudience) {
		status = http.StatusForbidden
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	// Without the query, which may hold a token.
	path := r.URL.EscapedPath()
	realm := scheme + "://" + r.Host + path[:min(len(path), maxRealm)]
	realm = strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return -1
		}
		return c
	}, realm)
	return status, `Bearer realm="` + realm + `", error="invalid_token"`
}
