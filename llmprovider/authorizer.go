package llmprovider

import (
	"crypto/sha256"
	"net/http"
)

// Authorizer puts a provider's credential on its requests. It is the last to touch
// one, so that what it signs is what is sent. It is safe for concurrent use.
type Authorizer interface {
	// Authorize sets the credential on a request that is complete but for it. body
	// is what will be sent. The error is what the client is to be told if the
	// credential cannot be had.
	Authorize(r *http.Request, body Body) *Error

	// Ref names where the credential comes from, never the credential itself.
	Ref() string

	// Check reports why the credential cannot be had now, if it cannot.
	Check() error
}

// Body is the body of a finished request, for what signs it. The zero value is that
// of a request without one.
type Body struct{ segments segments }

// Len is the body's length in bytes.
func (b Body) Len() int64 { return b.segments.size }

// SHA256 is the body's hash.
func (b Body) SHA256() [sha256.Size]byte {
	h := sha256.New()
	for _, part := range b.segments.part[:b.segments.n] {
		h.Write(part)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// key is an Authorizer that sends a secret in a header.
type key struct {
	header string
	secret *Secret // with the prefix
	ref    string
}

// NewKey returns an Authorizer that sends the secret in the header, after the prefix,
// such as "Bearer ". It is nil for no secret and for the empty literal.
func NewKey(header, prefix string, secret *Secret) Authorizer {
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
func (k *key) Authorize(r *http.Request, _ Body) *Error {
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

// missingKey is the response when a provider's credential cannot be had. The reason
// names files and variables, so it is logged and not sent.
func missingKey(err error) *Error {
	return &Error{
		Status: http.StatusServiceUnavailable, Type: TypeServer, Code: "provider_key_missing",
		Message: "the gateway has no key for this provider; its operator finds the reason in the log", Cause: err,
	}
}

// Interface guards
var _ Authorizer = (*key)(nil)
