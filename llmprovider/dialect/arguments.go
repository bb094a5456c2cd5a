package dialect

import (
	"bytes"

	"github.com/caddy-llm/gateway/internal/jsonscan"
)

// AppendObject appends the arguments as a JSON object, whose bytes are the
// source's. exact is false if the source's text holds none: then it is wrapped, as
// {"_raw": text}.
func (a Arguments) AppendObject(dst []byte) (out []byte, exact bool) {
	if a.Object != nil {
		return append(dst, a.Object...), true
	}
	inner := jsonscan.Inner(a.Text)
	n := len(dst)
	if bytes.IndexByte(inner, '\\') < 0 {
		dst = append(dst, inner...)
	} else {
		dst = jsonscan.AppendUnescaped(dst, inner)
	}
	text := bytes.TrimSpace(dst[n:])
	switch {
	case len(text) == 0:
		return append(dst[:n], "{}"...), true
	case text[0] == '{' && jsonscan.Valid(text):
		return append(dst[:n], text...), true
	}
	dst = append(dst[:n], `{"_raw":`...)
	dst = append(dst, a.Text...)
	return append(dst, '}'), false
}

// AppendText appends the arguments as a JSON string that holds the object, which is empty
// for blank text: clients and providers parse it.
func (a Arguments) AppendText(dst []byte) []byte {
	switch {
	case a.Object != nil:
		dst = append(dst, '"')
		dst = jsonscan.AppendEscaped(dst, a.Object)
		return append(dst, '"')
	case !IsBlank(a.Text):
		return append(dst, a.Text...)
	}
	return append(dst, `"{}"`...)
}

// FreeText is the text for a free-text tool, which is empty if the source has none.
func (c *ToolUse) FreeText() JSON {
	if c.Arguments.Text == nil {
		return JSON(`""`)
	}
	return c.Arguments.Text
}
