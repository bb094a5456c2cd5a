package accesslog

import (
	"net/http"
	"regexp"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-llm/gateway/llmprovider/headername"
)

// redactedText stands in place of what logs do not show.
const redactedText = "REDACTED"

// hidingObject is a part of a log entry as logs may show it.
type hidingObject struct {
	zapcore.ObjectMarshaler
	header bool // its fields are those of a header
}

// hiding returns what logs may show of a request, a header, or anything else.
func hiding(m zapcore.ObjectMarshaler) hidingObject {
	_, header := m.(caddyhttp.LoggableHTTPHeader)
	return hidingObject{m, header}
}

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (o hidingObject) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	return o.ObjectMarshaler.MarshalLogObject(hidingEncoder{enc, o.header})
}

// hidingEncoder passes fields on without the values of headers that carry
// credentials or say who is calling, and without queries and passwords in URLs. What
// it hides of headers is what no provider gets of a client's (headername.IsHidden).
type hidingEncoder struct {
	zapcore.ObjectEncoder
	header bool
}

// AddObject implements zapcore.ObjectEncoder.
func (e hidingEncoder) AddObject(key string, m zapcore.ObjectMarshaler) error {
	o := hiding(m)
	o.header = o.header || strings.HasSuffix(key, "headers")
	return e.ObjectEncoder.AddObject(key, o)
}

// AddArray implements zapcore.ObjectEncoder.
func (e hidingEncoder) AddArray(key string, m zapcore.ArrayMarshaler) error {
	if e.hides(key) {
		m = caddyhttp.LoggableStringArray{redactedText}
	}
	return e.ObjectEncoder.AddArray(key, hidingArray{m})
}

// AddString implements zapcore.ObjectEncoder.
func (e hidingEncoder) AddString(key, value string) {
	if e.hides(key) {
		value = redactedText
	}
	e.ObjectEncoder.AddString(key, shownText(value))
}

// AddByteString implements zapcore.ObjectEncoder.
func (e hidingEncoder) AddByteString(key string, value []byte) { e.AddString(key, string(value)) }

// AddReflected implements zapcore.ObjectEncoder.
func (e hidingEncoder) AddReflected(key string, value any) error {
	if header, ok := value.(http.Header); ok {
		return e.AddObject(key, caddyhttp.LoggableHTTPHeader{Header: header})
	}
	return e.ObjectEncoder.AddReflected(key, value)
}

func (e hidingEncoder) hides(key string) bool { return e.header && headername.IsHidden(key) }

// hidingArray is a list as logs may show it.
type hidingArray struct{ zapcore.ArrayMarshaler }

// MarshalLogArray implements zapcore.ArrayMarshaler.
func (a hidingArray) MarshalLogArray(enc zapcore.ArrayEncoder) error {
	return a.ArrayMarshaler.MarshalLogArray(hidingArrayEncoder{enc})
}

type hidingArrayEncoder struct{ zapcore.ArrayEncoder }

// AppendString implements zapcore.ArrayEncoder.
func (e hidingArrayEncoder) AppendString(value string) {
	e.ArrayEncoder.AppendString(shownText(value))
}

// AppendObject implements zapcore.ArrayEncoder.
func (e hidingArrayEncoder) AppendObject(m zapcore.ObjectMarshaler) error {
	return e.ArrayEncoder.AppendObject(hiding(m))
}

// AppendArray implements zapcore.ArrayEncoder.
func (e hidingArrayEncoder) AppendArray(m zapcore.ArrayMarshaler) error {
	return e.ArrayEncoder.AppendArray(hidingArray{m})
}

var (
	userinfo = regexp.MustCompile(`://[^/\s"?#]*@`)
	queries  = regexp.MustCompile(`\?[^\s"]*=[^\s"]*`)
)

// shownText returns a text without queries and passwords of the URLs in it.
func shownText(text string) string {
	if strings.Contains(text, "://") && strings.Contains(text, "@") {
		text = userinfo.ReplaceAllString(text, "://"+redactedText+"@")
	}
	before, _, found := strings.Cut(text, "?")
	switch {
	case !found:
		return text
	case (strings.HasPrefix(text, "/") || strings.Contains(before, "://")) && !strings.ContainsAny(text, " \n"):
		return before + "?" + redactedText
	}
	return queries.ReplaceAllString(text, "?"+redactedText)
}

// Interface guards
var (
	_ zapcore.ObjectMarshaler = hidingObject{}
	_ zapcore.ObjectEncoder   = hidingEncoder{}
	_ zapcore.ArrayMarshaler  = hidingArray{}
	_ zapcore.ArrayEncoder    = hidingArrayEncoder{}
)
