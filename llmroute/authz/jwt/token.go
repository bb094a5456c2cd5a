package jwt

import (
	"strings"
)

// Token is a verified token.
type Token struct {
	// Issuer and Subject are the claims iss and sub.
	Issuer, Subject string
	// Audiences is the claim aud.
	Audiences []string
	// Presenter is the claim azp.
	Presenter string
	// Claims are all claims: text, json.Number, bool, []any, map[string]any.
	Claims map[string]any

	text, payload      string // as the client sent it, and of that its claims
	joined             string // Issuer and Subject, see Principal
	rule               *tokenRule
	keys               *keySet // that verified it
	notBefore, expires float64
	others             []*Token // that the same request has
}

// Principal is the issuer and the subject as policies name them.
func (t *Token) Principal() string {
	if t.joined == "" { // not made by newToken; it may be shared, so it is not kept
		return t.Issuer + "/" + t.Subject
	}
	return t.joined
}

// Claim returns the texts of a claim, given as the names that lead to it: one for a
// text, all for a list of texts, nil for what is neither or not there. What is in
// scope, permission and the rule's SpaceDelimitedClaims is split at spaces.
func (t *Token) Claim(path []string) []string {
	switch value := find(t.Claims, path).(type) {
	case string:
		if len(path) == 1 && t.hasList(path[0]) {
			return strings.FieldsFunc(value, func(r rune) bool { return r == ' ' })
		}
		return []string{value}
	case []any:
		var texts []string
		for _, one := range value {
			if text, ok := one.(string); ok {
				texts = append(texts, text)
			}
		}
		return texts
	}
	return nil
}

// hasList reports whether a claim's text is a list with spaces between its values.
func (t *Token) hasList(name string) bool {
	if name == "scope" || name == "permission" {
		return true
	}
	if t.rule == nil {
		return false
	}
	for _, claim := range t.rule.SpaceDelimitedClaims {
		if claim == name {
			return true
		}
	}
	return false
}

// find is what is at the end of the path, nil for nothing.
func find(claims map[string]any, path []string) any {
	var value any = claims
	for _, name := range path {
		object, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = object[name]
	}
	return value
}
