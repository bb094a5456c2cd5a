package llmroute

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-llm/gateway/llmprovider"
)

// accessLine writes the access log of the gateway's own listeners, in Caddy's
// words. Caddy itself would show the credentials that it does not know of, and
// whatever stands in a query.
type accessLine struct {
	recorder caddyhttp.ResponseRecorder
	logger   *zap.Logger
	r        *http.Request
	began    time.Time
}

func newAccessLine(logger *zap.Logger, w http.ResponseWriter, r *http.Request) *accessLine {
	return &accessLine{caddyhttp.NewResponseRecorder(w, nil, nil), logger, r, time.Now()}
}

// write writes the line; err is what the handler returned.
func (l *accessLine) write(err error, fields []zap.Field) {
	status := l.recorder.Status()
	var failed caddyhttp.HandlerError
	if errors.As(err, &failed) && status == 0 {
		status = failed.StatusCode
	}
	level := zapcore.InfoLevel
	if status >= http.StatusInternalServerError {
		level = zapcore.ErrorLevel
	}
	c := l.logger.Check(level, "handled request")
	if c == nil {
		return
	}
	c.Write(append([]zap.Field{
		zap.Object("request", loggedRequest{l.r}),
		zap.Duration("duration", time.Since(l.began)),
		zap.Int("size", l.recorder.Size()),
		zap.Int("status", status),
		zap.Object("resp_headers", caddyhttp.LoggableHTTPHeader{Header: loggedHeader(l.recorder.Header())}),
	}, fields...)...)
}

// loggedRequest is a request as logs may show it.
type loggedRequest struct{ *http.Request }

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (l loggedRequest) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	shown := *l.Request
	shown.Header = loggedHeader(shown.Header)
	shown.RequestURI = withoutQuery(shown.RequestURI)
	return caddyhttp.LoggableHTTPRequest{Request: &shown}.MarshalLogObject(enc)
}

// loggedHeader is a header as logs may show it.
func loggedHeader(header http.Header) http.Header {
	out := header.Clone() // which the handler may not see changed
	for name := range out {
		switch {
		case llmprovider.IsHiddenHeader(name):
			out[name] = []string{"REDACTED"}
		case name == "Location":
			out[name] = []string{withoutQuery(header.Get(name))}
		}
	}
	return out
}

func withoutQuery(uri string) string {
	if path, _, ok := strings.Cut(uri, "?"); ok {
		return path + "?REDACTED"
	}
	return uri
}

// Interface guards
var _ zapcore.ObjectMarshaler = loggedRequest{}
