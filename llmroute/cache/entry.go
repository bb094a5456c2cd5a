package cache

import (
	"net/http"
	"time"

	"github.com/caddy-llm/gateway/llmprovider"
)

// maxBody bounds the response that is stored, in bytes.
const maxBody = 1 << 20

// overhead is what an entry takes beside its body, in bytes: itself, its place in the
// store, and its texts. It is an estimate on the high side.
const overhead = 1 << 10

// Entry is a stored response. It is not changed once it is made.
type Entry struct {
	// Stored is when the response was complete, and Expires when it may not be used any
	// more.
	Stored  time.Time `json:"stored"`
	Expires time.Time `json:"expires"`

	// Header is what is kept of the response's header.
	Header http.Header `json:"header"`
	// Stream reports whether Body is events.
	Stream bool `json:"stream,omitempty"`
	// Body is the response as the client's API has it, before guards have looked at it.
	Body []byte `json:"-"`

	// Usage is what the provider reported, and Provider its name.
	Usage    llmprovider.Usage `json:"usage"`
	Provider string            `json:"provider"`

	// Tags are what the entry can be removed by.
	Tags Tags `json:"tags"`
}

// Tags say whose response to what an entry is.
type Tags struct {
	// Client is the name of the virtual key, else the principal of the token.
	Client string `json:"client,omitempty"`
	// Model is what the provider was asked for.
	Model string `json:"model,omitempty"`
	// Rule is the name of the routing rule.
	Rule string `json:"rule,omitempty"`
}

// Selects reports whether entries with the tags other are among those that t names: an
// empty tag is any.
func (t Tags) Selects(other Tags) bool {
	return (t.Client == "" || t.Client == other.Client) && (t.Model == "" || t.Model == other.Model) && (t.Rule == "" || t.Rule == other.Rule)
}

// Size is what the entry takes in memory, in bytes.
func (e *Entry) Size() int64 { return int64(cap(e.Body)) + overhead }

// age is how old the response is.
func (e *Entry) age(now time.Time) time.Duration { return max(now.Sub(e.Stored), 0) }

// left is for how long the entry may still be used under a TTL, which may have been longer
// when it was stored.
func (e *Entry) left(now time.Time, ttl time.Duration) time.Duration {
	return min(e.Expires.Sub(now), ttl-e.age(now))
}

// storedHeaders are the headers of a response that say something of its body, and of how
// the request was translated. Others are about one request, such as its id and the
// provider's rate limits.
var storedHeaders = [...]string{"Content-Type", "Content-Language", "Llm-Translated", "Llm-Dropped", "Llm-Approximated"}

// storedHeader returns what is kept of a response's header.
func storedHeader(h http.Header) http.Header {
	out := make(http.Header, 1)
	for _, name := range storedHeaders {
		if values := h[name]; len(values) > 0 {
			out[name] = append([]string(nil), values...)
		}
	}
	return out
}
