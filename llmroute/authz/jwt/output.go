package jwt

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// claimHeader is a ClaimToHeader in use.
type claimHeader struct {
	name  string // in canonical form
	claim string
}

// Clear removes the headers that only rules may set, but for those in which a token is
// looked for: what looks at the request before the token is verified is not to see them.
func (t *Verifier) Clear(r *http.Request) {
	for _, name := range t.outputs {
		if !slices.ContainsFunc(t.places, func(p *place) bool { return p.in == "header" && p.name == name || p.in == "cookie" && name == "Cookie" }) {
			delete(r.Header, name)
		}
	}
}

// Forward sets the request's headers that rules hand on of the token, nil for
// none, and takes the token out of it unless it is to be forwarded.
func (t *Verifier) Forward(r *http.Request, token *Token) {
	// Whatever the request is, and whatever external authorization has set: only rules may.
	for _, name := range t.outputs {
		delete(r.Header, name)
	}
	if token == nil {
		return
	}
	all := append([]*Token{token}, token.others...)
	for _, p := range t.places {
		p.remove(r, func(value string) bool { return p.isOf(value, all) })
	}
	for _, one := range slices.Backward(all) { // the first one's stay
		one.setHeaders(r.Header)
	}
}

func (t *Token) setHeaders(header http.Header) {
	if name := t.rule.payloadHeader; name != "" {
		header[name] = []string{t.payload}
	}
	for _, output := range t.rule.outputs {
		if value, ok := t.headerValue(output.claim); ok {
			header[output.name] = []string{value}
		}
	}
}

// headerValue is a claim as a header's value. A claim whose own name has dots,
// as those that are URLs, is found too.
func (t *Token) headerValue(claim string) (string, bool) {
	value, there := t.Claims[claim]
	if !there {
		value = find(t.Claims, strings.Split(claim, "."))
	}
	switch value := value.(type) {
	case string:
		return value, value != "" && httpguts.ValidHeaderFieldValue(value)
	case bool:
		return strconv.FormatBool(value), true
	case json.Number:
		return plainNumber(value), true
	}
	return "", false
}

// plainNumber writes a number without an exponent, which few expect in a header.
func plainNumber(number json.Number) string {
	if !strings.ContainsAny(number.String(), "eE.") {
		return number.String()
	}
	value, err := number.Float64()
	if err != nil {
		return number.String()
	}
	return strconv.FormatFloat(value, 'f', -1, 64)
}

// Forwarded returns the names of the request's headers that still carry the token,
// or another of the same request, because its rule says so, and of those that were
// made of it. A provider that has a key must not get them.
func (t *Token) Forwarded() []string {
	names := t.rule.forwardedIn(nil)
	for _, other := range t.others {
		names = other.rule.forwardedIn(names)
	}
	return names
}

func (r *tokenRule) forwardedIn(names []string) []string {
	if r.payloadHeader != "" {
		names = append(names, r.payloadHeader)
	}
	for _, output := range r.outputs {
		names = append(names, output.name)
	}
	if !r.ForwardOriginalToken {
		return names
	}
	for _, header := range r.FromHeaders {
		if header != nil { // which is a problem of the rule
			names = append(names, http.CanonicalHeaderKey(header.Name))
		}
	}
	if len(r.FromHeaders)+len(r.FromParams)+len(r.FromCookies) == 0 {
		names = append(names, "Authorization")
	}
	return names
}
