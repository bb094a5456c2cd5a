package authz

import (
	"net/http"

	"go.uber.org/zap"
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

	rule *JWTRule
}

// claim is the texts of a claim, given as the names that lead to it, for policies: one for a
// text, all for a list of texts, nil for what is neither or not there. What is in
// scope, permission and the rule's SpaceDelimitedClaims is split at spaces.
func (t *Token) claim(path []string) []string { return nil }

// tokens are the token rules of a Config, compiled.
type tokens struct{}

func compileTokens([]*JWTRule, *zap.Logger) (*tokens, []Problem) { return &tokens{}, nil }

// verify looks for a token. Both results are nil if there is none.
func (t *tokens) verify(*http.Request) (*Token, *Refusal) { return nil, nil }

// handOn sets the request's headers that rules hand on of the token, nil for
// none, and takes the token out of it unless it is to be forwarded.
func (t *tokens) handOn(*http.Request, *Token) {}
