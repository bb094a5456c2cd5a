package dialect

import (
	"errors"

	"github.com/caddy-llm/gateway/internal/jsonscan"
)

// MaxBody bounds a response that is translated as a whole, in bytes.
const MaxBody = 64 << 20

// ErrBodyTooLong is returned for a response over MaxBody.
var ErrBodyTooLong = errors.New("the provider sent a response of more than 64 MiB")

// Whole reads a response that is one JSON object and hands it to a reader once it
// is complete. The zero value is ready.
type Whole struct{ body []byte }

// Read takes the next piece. It emits nothing.
func (d *Whole) Read(p []byte, _ func(*Event) error) error {
	if len(d.body)+len(p) > MaxBody {
		return ErrBodyTooLong
	}
	d.body = append(d.body, p...)
	return nil
}

// Doc returns the document, or nil if it is not one JSON object.
func (d *Whole) Doc() JSON {
	if !jsonscan.Object(d.body, func(_, _ []byte) {}) {
		return nil
	}
	return d.body
}
