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
	// credential is unavailable.
	Authorize(r *http.Request, body Body) *Error

	// Ref names where the credential comes from, never the credential itself.
	Ref() string

	// Check reports why the credential is unavailable now, if it is.
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
