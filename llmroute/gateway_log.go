package llmroute

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// accessLine writes the access log of the gateway's own listeners, in Caddy's
// words. Caddy itself would show the credentials that it does not know of, and
// whatever stands in a query.
type accessLine struct {
	caddyhttp.ResponseRecorder
	logger *zap.Logger
	r      *http.Request
	began  time.Time
}

func newAccessLine(logger *zap.Logger, w http.ResponseWriter, r *http.Request) *accessLine {
	return &accessLine{caddyhttp.NewResponseRecorder(w, nil, nil), logger, r, time.Now()}
}

// write writes the line; err is what the handler returned.
func (l *accessLine) write(err error, fields []zap.Field) {
	status := l.Status()
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
		zap.Int("size", l.Size()),
		zap.Int("status", status),
		zap.Object("resp_headers", caddyhttp.LoggableHTTPHeader{Header: l.Header()}),
	}, fields...)...)
}

// loggedRequest is a request as logs may show it.
type loggedRequest struct{ *http.Request }

// secretHeaders are those of clients' headers that hold credentials and that
// Caddy shows.
var secretHeaders = []string{"X-Api-Key", "Api-Key", "X-Goog-Api-Key"}

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (l loggedRequest) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	shown := *l.Request
	for _, name := range secretHeaders {
		if _, ok := shown.Header[name]; ok {
			shown.Header = shown.Header.Clone()
			break
		}
	}
	for _, name := range secretHeaders {
		if _, ok := shown.Header[name]; ok {
			shown.Header[name] = []string{"REDACTED"}
		}
	}
	if path, _, ok := strings.Cut(shown.RequestURI, "?"); ok {
		shown.RequestURI = path + "?REDACTED"
	}
	return caddyhttp.LoggableHTTPRequest{Request: &shown}.MarshalLogObject(enc)
}

// Interface guards
var _ zapcore.ObjectMarshaler = loggedRequest{}
