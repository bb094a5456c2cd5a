package upstream

import (
	"net/http"

	"github.com/caddy-llm/gateway/llmprovider"
)

// key is an Authorizer that sends a secret in a header.
type key struct {
	header string
	secret *Secret // with the prefix
	ref    string
}

// NewKey returns an Authorizer that sends the secret in the header, after the prefix,
// such as "Bearer ". It is nil for no secret and for the empty literal.
func NewKey(header, prefix string, secret *Secret) llmprovider.Authorizer {
	if secret == nil || secret.empty() {
		return nil
	}
	k := &key{header: http.CanonicalHeaderKey(header), secret: secret, ref: secret.String()}
	if prefix != "" {
		k.secret = secret.WithPrefix(prefix)
	}
	return k
}

// Authorize implements Authorizer.
func (k *key) Authorize(r *http.Request, _ llmprovider.Body) *llmprovider.Error {
	value, err := k.secret.headerValue()
	if err != nil {
		return missingKey(err)
	}
	r.Header[k.header] = value
	return nil
}

// Ref implements Authorizer.
func (k *key) Ref() string { return k.ref }

// Check implements Authorizer.
func (k *key) Check() error {
	_, err := k.secret.Value()
	return err
}

// missingKey is the response when a provider's credential is unavailable. The reason
// names files and variables, so it is logged and not sent.
func missingKey(err error) *llmprovider.Error {
	return &llmprovider.Error{
		Status: http.StatusServiceUnavailable, Type: llmprovider.TypeServer, Code: "provider_key_missing",
		Message: "the gateway has no key for this provider; its operator can find the reason in the log", Cause: err,
	}
}

// Interface guards
var _ llmprovider.Authorizer = (*key)(nil)
