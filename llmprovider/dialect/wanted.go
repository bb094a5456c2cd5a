package dialect

import (
	"net/http"
	"slices"
	"strconv"

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
	// Size is how long the content is, in bytes.
	Size int64
}

// FetchMedia is what fetches media for a request.
type FetchMedia struct {
	// MaxSize is how much may stand in the request to a provider, in bytes as fetched. What
	// the client names several times counts as often.
	MaxSize int64
	// Fetch fetches what is wanted, all of it or nothing. hold reserves memory for what
	// comes, in bytes, and returns the error for a lack of it. The error is what the client
	// is to be told.
	Fetch func(wanted []Wanted, hold func(bytes int64) *llmprovider.Error) (map[Wanted]*Fetched, *llmprovider.Error)
}

// MaxUses is how many URLs of media are fetched for a request, the same one several times
// included.
const MaxUses = 20

// Content returns the medium of a part with its content, where the client gives an image or
// a document as a URL, the API takes none and the content may be fetched. wanted reports
// whether it is yet to be: the request is then written once more, and what is written for
// the part does not count.
func (w *RequestWriter) Content(p *Part) (m *Media, wanted bool) {
	m = p.Media
	if m.URL == nil || w.Target.MaxFetched == 0 || p.Kind != Image && p.Kind != Document {
		return m, false
	}
	if w.R.uses++; w.R.uses > MaxUses || w.R.placed > w.Target.MaxFetched {
		return m, true // Translate returns the error
	}
	want := Wanted{URL: jsonscan.Text(m.URL), Kind: p.Kind, Field: w.R.API.field(urlConcept(p.Kind))}
	if got := w.Target.Fetched[want]; got != nil {
		if w.R.placed += got.Size; w.R.placed > w.Target.MaxFetched {
			return m, true
		}
		whole := *m
		whole.URL, whole.Type, whole.Data, whole.Text = nil, got.Type, got.Data, got.Text
		return &whole, false
	}
	if !slices.Contains(w.R.wanted, want) {
		w.R.wanted = append(w.R.wanted, want)
	}
	return m, true
}

// Inline is Content for a provider that takes no URLs: the error refuses one that is not
// fetched.
func (w *RequestWriter) Inline(p *Part) (m *Media, wanted bool, err *llmprovider.Error) {
	if m, wanted = w.Content(p); m.URL != nil && !wanted {
		err = w.R.Refuse(CImageURL, "it does not fetch URLs; send the content in base64")
	}
	return m, wanted, err
}

func urlConcept(kind Kind) Concept {
	if kind == Document {
		return CDocument
	}
	return CImageURL
}

// checkFetched returns the error for more media than may be fetched, if there are.
func (r *Request) checkFetched(target *Target) *llmprovider.Error {
	why := ""
	switch {
	case r.uses > MaxUses:
		why = "more than " + strconv.Itoa(MaxUses) + " URLs of images and documents; send some of them in base64"
	case r.placed > target.MaxFetched:
		why = "more than " + strconv.FormatInt(target.MaxFetched, 10) + " bytes of images and documents by URL, one that is named twice counting twice; use smaller ones"
	default:
		return nil
	}
	return &llmprovider.Error{
		Status: http.StatusBadRequest, Type: llmprovider.TypeInvalidRequest, Code: "media_not_accepted", Param: r.API.field(CImageURL),
		Message: "the provider of this model takes no URLs, and the request has " + why,
	}
}
