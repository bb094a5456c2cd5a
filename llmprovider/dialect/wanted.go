package dialect

import (
	"slices"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
)

// Wanted is an image or a document that a client gives as a URL, whose content is to be
// sent in its place: the provider's API takes no URLs.
type Wanted struct {
	// URL is where the content is, as the client wrote it.
	URL string
	// Kind is Image or Document.
	Kind Kind
	// Field is the name of the URL in the client's API.
	Field string
}

// Fetched is the content of one.
type Fetched struct {
	// Type is its media type, such as image/png, in lower case and without parameters.
	Type string
	// Data is the content in base64; nil for text.
	Data []byte
	// Text is the content of a document that is text, a JSON string.
	Text JSON
}

// FetchMedia fetches what is wanted, all of it or nothing. hold reserves memory for what
// comes, in bytes, and returns the error for a lack of it. The error is what the client is
// to be told.
type FetchMedia func(wanted []Wanted, hold func(bytes int64) *llmprovider.Error) (map[Wanted]*Fetched, *llmprovider.Error)

// Content returns the medium of a part with its content, where the client gives an image or
// a document as a URL, the API takes none and the content may be fetched. wanted reports
// whether it is yet to be: the request is then written once more, and what is written for
// the part does not count.
func (w *RequestWriter) Content(p *Part) (m *Media, wanted bool) {
	m = p.Media
	if m.URL == nil || !w.Target.Fetches || p.Kind != Image && p.Kind != Document {
		return m, false
	}
	concept := CImageURL
	if p.Kind == Document {
		concept = CDocument
	}
	want := Wanted{URL: jsonscan.Text(m.URL), Kind: p.Kind, Field: w.R.API.field(concept)}
	if got := w.Target.Fetched[want]; got != nil {
		whole := *m
		whole.URL, whole.Type, whole.Data, whole.Text = nil, got.Type, got.Data, got.Text
		return &whole, false
	}
	if !slices.Contains(w.R.wanted, want) {
		w.R.wanted = append(w.R.wanted, want)
	}
	return m, true
}
