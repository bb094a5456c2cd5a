package llmprovider

import (
	"fmt"
	"mime"
	"net/http"
	"net/textproto"
	"strings"
)

// contentType reports whether the body is JSON, and else the boundary of its
// form. Forms are taken on the endpoints that have files; anything else is
// refused with the header to send. What is judged here is what the provider gets:
// a request that leaves two readings of its body open is refused.
func (in *Inbound) contentType(h http.Header) (isJSON bool, boundary string, refused *Error) {
	for _, name := range [...]string{"Content-Type", "Content-Encoding"} {
		if len(h[name]) > 1 {
			return false, "", invalidRequest(http.StatusBadRequest, "duplicate_header", "the request has more than one header %s; send it once", name)
		}
		if len(h[name]) == 1 && namedByConnection(h, name) {
			return false, "", invalidRequest(http.StatusBadRequest, "invalid_header", "the header Connection names %s, so it would not reach the provider; leave it out of Connection", name)
		}
	}
	if encoding := h.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return false, "", invalidRequest(http.StatusUnsupportedMediaType, "unsupported_content_encoding",
			"the request body is compressed (%q); send it without Content-Encoding", Bounded(encoding))
	}
	value := h.Get("Content-Type")
	if value == "" || value == "application/json" {
		return true, "", nil
	}
	media, params, err := mime.ParseMediaType(value)
	if err == nil && !strings.Contains(value, "*") { // RFC 8187's extended parameters, which few parsers know
		switch {
		case media == "application/json", strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json"):
			if charset, ok := params["charset"]; ok && !isUTF8(charset) {
				return false, "", invalidRequest(http.StatusUnsupportedMediaType, "unsupported_charset",
					"the request body is sent with the charset %q; send UTF-8 with the header Content-Type: application/json", Bounded(charset))
			}
			return true, "", nil
		case media == "multipart/form-data" && in.Endpoint.multipart():
			return false, params["boundary"], nil
		}
	}
	return false, "", invalidRequest(http.StatusUnsupportedMediaType, "unsupported_media_type",
		"the request body is sent as %q; send JSON with the header Content-Type: application/json", Bounded(value))
}

func isUTF8(charset string) bool {
	return strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "utf8")
}

// namedByConnection reports whether the header is of the client's connection
// alone, and not sent on (RFC 9110, section 7.6.1).
func namedByConnection(h http.Header, name string) bool {
	for _, value := range h["Connection"] {
		for _, option := range strings.Split(value, ",") {
			if strings.EqualFold(textproto.TrimString(option), name) {
				return true
			}
		}
	}
	return false
}

func invalidRequest(status int, code, format string, args ...any) *Error {
	return &Error{Status: status, Type: TypeInvalidRequest, Code: code, Message: fmt.Sprintf(format, args...)}
}

// Bounded is a client's text made fit for an error message: at most 128 bytes of it.
func Bounded(s string) string {
	const most = 128
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
