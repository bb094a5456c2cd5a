package llmprovider

import (
	"bytes"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxParts bounds the parts of a form. No endpoint has as many fields.
	maxParts = 256
	// maxPartHeader bounds the headers of one part, in bytes.
	maxPartHeader = 8 << 10
	// maxBoundary is the longest boundary (RFC 2046, section 5.1.1).
	maxBoundary = 70
)

// form holds the fields of a multipart/form-data body that the gateway reads.
type form struct{ model, stream string }

// readForm finds the fields in a body with that boundary (RFC 7578). Parsers of
// forms differ in what they make of text before, between and after the parts, of
// bare line feeds, repeated fields and odd headers; whatever one of them could
// read as another model is rejected. The contents of other parts are not looked
// at.
func readForm(body []byte, boundary string) (form, *Error) {
	var f form
	parts, err := splitForm(body, boundary)
	if err == nil {
		err = f.read(parts)
	}
	if err != nil {
		return f, invalidRequest(http.StatusBadRequest, "invalid_form", "the request body is not a multipart form that can be read: %s", err)
	}
	return f, nil
}

// part is one part of a form as it is in the body.
type part struct{ header, content []byte }

var (
	crlf      = []byte("\r\n")
	headerEnd = []byte("\r\n\r\n")
)

// splitForm cuts a body at its boundary. Each place where the boundary stands
// behind two hyphens must be a delimiter: at the beginning of the body or of a
// line that ends in CRLF, with nothing behind it but CRLF or, once and at the
// end, two hyphens.
func splitForm(body []byte, boundary string) ([]part, error) {
	if boundary == "" || len(boundary) > maxBoundary || strings.ContainsFunc(boundary, notBoundary) {
		return nil, fmt.Errorf("the boundary in Content-Type is missing or not valid")
	}
	delimiter := []byte("--" + boundary)
	rest, ok := bytes.CutPrefix(body, delimiter)
	if !ok {
		return nil, fmt.Errorf("it does not begin with the boundary that Content-Type names")
	}
	var parts []part
	for {
		if end, ok := bytes.CutPrefix(rest, []byte("--")); ok {
			if len(end) > 0 && !bytes.Equal(end, crlf) {
				return nil, fmt.Errorf("there is data after the last part")
			}
			return parts, nil
		}
		if rest, ok = bytes.CutPrefix(rest, crlf); !ok {
			return nil, fmt.Errorf("a boundary line has other text after the boundary")
		}
		if len(parts) == maxParts {
			return nil, fmt.Errorf("it has more than %d parts", maxParts)
		}
		i := bytes.Index(rest, delimiter)
		if i < 0 {
			return nil, fmt.Errorf("the last part is not closed by a boundary")
		}
		content, ok := bytes.CutSuffix(rest[:i], crlf)
		if !ok {
			return nil, fmt.Errorf("a boundary is in the middle of a line")
		}
		rest = rest[i+len(delimiter):]
		n := bytes.Index(content[:min(len(content), maxPartHeader)], headerEnd)
		if n < 0 {
			return nil, fmt.Errorf("part %d has no headers, or more than %d bytes of them", len(parts)+1, maxPartHeader)
		}
		parts = append(parts, part{content[:n], content[n+len(headerEnd):]})
	}
}

// notBoundary reports whether a boundary cannot have the character (RFC 2046,
// section 5.1.1). It may contain spaces, but no client sends them.
func notBoundary(c rune) bool {
	return (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && !strings.ContainsRune("'()+_,-./:=?", c)
}

func (f *form) read(parts []part) error {
	var hasModel, hasStream bool
	for i, p := range parts {
		name, plain, err := p.field()
		if err != nil {
			return fmt.Errorf("part %d: %w", i+1, err)
		}
		var value *string
		var seen *bool
		switch {
		case strings.EqualFold(name, "model"):
			value, seen = &f.model, &hasModel
		case strings.EqualFold(name, "stream"):
			value, seen = &f.stream, &hasStream
		default:
			continue
		}
		switch canonical := strings.ToLower(name); {
		case name != canonical:
			return fmt.Errorf("a field is named %q; write it as %q", name, canonical)
		case *seen:
			return fmt.Errorf("it has more than one field %q; send it once", name)
		case !plain:
			return fmt.Errorf("the field %q is a file, or encoded; send it as plain UTF-8 text", name)
		case len(p.content) > maxModelName:
			return fmt.Errorf("the field %q is longer than %d bytes", name, maxModelName)
		case !utf8.Valid(p.content) || bytes.IndexFunc(p.content, unicode.IsControl) >= 0:
			return fmt.Errorf("the field %q is not plain UTF-8 text", name)
		}
		*value, *seen = string(p.content), true
	}
	return nil
}

// field returns the name of the part's field; plain reports whether its content
// is the field's value as it stands.
func (p part) field() (name string, plain bool, err error) {
	plain = true
	found := false
	for _, line := range bytes.Split(p.header, crlf) {
		key, value, ok := strings.Cut(string(line), ":")
		if !ok || key == "" || strings.ContainsFunc(key, notToken) || strings.ContainsFunc(value, notInHeader) {
			return "", false, fmt.Errorf("a line of its headers is not a header")
		}
		value = strings.Trim(value, " \t")
		switch strings.ToLower(key) {
		case "content-disposition":
			if found {
				return "", false, fmt.Errorf("it has more than one Content-Disposition")
			}
			found = true
			var params map[string]string
			if name, params, err = disposition(value); err != nil {
				return "", false, err
			}
			_, isFile := params["filename"]
			plain = plain && !isFile
		case "content-type":
			_, params, err := mime.ParseMediaType(value)
			charset, ok := params["charset"]
			plain = plain && err == nil && (!ok || isUTF8(charset)) && !strings.Contains(value, "*")
		case "content-transfer-encoding":
			encoding := strings.ToLower(value)
			plain = plain && (encoding == "7bit" || encoding == "8bit" || encoding == "binary")
		case "content-encoding":
			plain = false
		}
	}
	if !found {
		return "", false, fmt.Errorf("it has no Content-Disposition")
	}
	return name, plain, nil
}

// disposition reads a Content-Disposition. Names that parsers read differently
// are rejected: extended ones (RFC 8187), and those with what some of them take
// for an escape: a backslash, a percent sign, or the beginning of an encoded word
// (RFC 2047).
func disposition(value string) (name string, params map[string]string, err error) {
	kind, params, err := mime.ParseMediaType(value)
	if err != nil || kind != "form-data" {
		return "", nil, fmt.Errorf("its Content-Disposition is not valid form-data")
	}
	name, ok := params["name"]
	outside := outsideQuotes(value)
	switch {
	case !ok:
		return "", nil, fmt.Errorf("its Content-Disposition has no name")
	case strings.Contains(strings.ReplaceAll(outside, "filename*", ""), "*"):
		return "", nil, fmt.Errorf("its name is in the extended form; write it as name=\"…\"")
	case strings.Contains(outside, "filename*"):
		params["filename"] += ""
	}
	if strings.ContainsAny(name, "\\%\"") || strings.Contains(name, "=?") || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f || c == '\uFFFD' }) {
		return "", nil, fmt.Errorf("its name has characters that a field's name cannot have")
	}
	if raw := `"` + name + `"`; !strings.Contains(value, raw) && !strings.Contains(outside, name) {
		return "", nil, fmt.Errorf("its name has escapes; write it without them")
	}
	return name, params, nil
}

// outsideQuotes is the text of a header without what stands in quotes, in lower
// case.
func outsideQuotes(value string) string {
	var out strings.Builder
	quoted := false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case !quoted:
			out.WriteByte(c)
		}
	}
	return strings.ToLower(out.String())
}

// notInHeader reports whether a header's value cannot have the character.
func notInHeader(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }

// notToken reports whether a header's name cannot have the character.
func notToken(c rune) bool {
	return c <= ' ' || c >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, c)
}
