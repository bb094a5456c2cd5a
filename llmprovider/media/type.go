package media

import (
	"bytes"
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// The types that are fetched. Of them, an API may take fewer.
var (
	imageTypes    = []string{"image/png", "image/jpeg", "image/gif", "image/webp"}
	documentTypes = []string{"application/pdf", "text/plain", "text/csv", "text/markdown", "text/html"}
)

func typesOf(kind dialect.Kind) []string {
	if kind == dialect.Image {
		return imageTypes
	}
	return documentTypes
}

// accepts is the header that asks for the types of a kind.
func accepts(kind dialect.Kind) string { return strings.Join(typesOf(kind), ", ") }

// mediaType returns the type of a content by its header, and by its beginning where that
// can tell. It is empty for one that is not fetched. What the server calls an image has to
// be one: a page with an error is not to be sent as one.
func mediaType(header string, beginning []byte, kind dialect.Kind) string {
	named, _, _ := mime.ParseMediaType(header)
	seen, _, _ := mime.ParseMediaType(http.DetectContentType(beginning))
	types := typesOf(kind)
	switch {
	case slices.Contains(imageTypes, seen), seen == "application/pdf": // which nothing else begins like
		if slices.Contains(types, seen) {
			return seen
		}
	case isText(named) && slices.Contains(types, named) && isText(seen):
		return named
	case (named == "" || named == "application/octet-stream") && seen == "text/plain" && slices.Contains(types, seen):
		return seen
	}
	return ""
}

// isControl reports whether a character is one that text does not have. In JSON it would be
// six.
func isControl(r rune) bool { return r < ' ' && !strings.ContainsRune("\t\n\f\r", r) }

func isText(media string) bool { return strings.HasPrefix(media, "text/") }

// asText is a content that is text, which is sent as such.
func asText(out *dialect.Fetched, text []byte) (*dialect.Fetched, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if !utf8.Valid(text) || bytes.ContainsFunc(text, isControl) {
		return nil, errType
	}
	out.Text = append(make(dialect.JSON, 0, len(text)+len(text)/16+2), '"')
	out.Text = append(jsonscan.AppendEscaped(out.Text, text), '"')
	return out, nil
}
