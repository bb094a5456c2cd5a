package cloud

import (
	"net/http"
	"strings"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmprovider"
)

// Token is an access token as it is sent. It is not changed.
type Token struct {
	header []string
	more   http.Header
}

// NewToken returns a token for Authorization: Bearer. more are headers to send with it,
// by their names in canonical form.
func NewToken(text string, more http.Header) Token { return Token{[]string{"Bearer " + text}, more} }

// Bearer is an Authorizer that sends an access token.
type Bearer struct {
	*Renewed[Token]
	ref string
}

// NewBearer returns the Authorizer of what fetch gets. ref says where it comes from,
// such as "Google's application default credentials". It makes no connections.
func NewBearer(ref string, fetch Fetch[Token], logger *zap.Logger) *Bearer {
	return &Bearer{NewRenewed(fetch, logger.With(zap.String("credential", ref))), ref}
}

// Authorize implements llmprovider.Authorizer.
func (b *Bearer) Authorize(r *http.Request, _ llmprovider.Body) *llmprovider.Error {
	token, err := b.Get(r.Context())
	if err != nil {
		return Missing(err)
	}
	r.Header["Authorization"] = token.header
	for name, values := range token.more {
		r.Header[name] = values
	}
	return nil
}

// Ref implements llmprovider.Authorizer.
func (b *Bearer) Ref() string { return b.ref }

// Missing is the response when a cloud's credential is unavailable. The reason is logged
// and not sent.
func Missing(err error) *llmprovider.Error {
	return &llmprovider.Error{
		Status: http.StatusServiceUnavailable, Type: llmprovider.TypeServer, Code: "provider_key_missing",
		Message: "the gateway has no credential for this provider; its operator can find the reason in the log", Cause: err,
	}
}

// maxReason bounds the text of a reason, in bytes.
const maxReason = 300

// Reason returns text as a reason for a log: one line, and not endless.
func Reason(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "\uFFFD")), " ")
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "…"
	}
	return text
}

// Interface guards
var _ llmprovider.Authorizer = (*Bearer)(nil)
