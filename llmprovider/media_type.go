package llmprovider

import (
	"mime"
	"net/http"
	"strings"
)

// MediaType is a message's media type without parameters, lower case.
func MediaType(h http.Header) string {
	value := h.Get("Content-Type")
	if value == "application/json" || value == "text/event-stream" {
		return value
	}
	media, _, err := mime.ParseMediaType(value)
	if err != nil {
		media, _, _ = strings.Cut(value, ";")
		media = strings.ToLower(strings.TrimSpace(media))
	}
	return media
}

// IsEvents reports whether a header says that its response is a stream of server-sent
// events.
func IsEvents(header http.Header) bool { return MediaType(header) == "text/event-stream" }

// Compressed reports whether a body is compressed.
func Compressed(header http.Header) bool {
	encoding := header.Get("Content-Encoding")
	return encoding != "" && !strings.EqualFold(encoding, "identity")
}
