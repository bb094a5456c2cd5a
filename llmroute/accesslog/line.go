package accesslog

import (
	"errors"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Line writes the access log of the gateway's own listeners, with Caddy's field names.
// Caddy itself would show credentials that it does not know of, and everything in a
// query.
type Line struct {
	// Recorder is the response writer of the request.
	Recorder caddyhttp.ResponseRecorder
	logger   *zap.Logger
	r        *http.Request
	began    time.Time
}

// NewLine begins the line of a request. Its Recorder takes the place of w.
func NewLine(logger *zap.Logger, w http.ResponseWriter, r *http.Request) *Line {
	return &Line{caddyhttp.NewResponseRecorder(w, nil, nil), logger, r, time.Now()}
}

// Write writes the line; err is what the handler returned.
func (l *Line) Write(err error, fields []zap.Field) {
	status := l.Recorder.Status()
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
		zap.Object("request", hiding(caddyhttp.LoggableHTTPRequest{Request: l.r})),
		zap.Duration("duration", time.Since(l.began)),
		zap.Int("size", l.Recorder.Size()),
		zap.Int("status", status),
		zap.Object("resp_headers", hiding(caddyhttp.LoggableHTTPHeader{Header: l.Recorder.Header()})),
	}, fields...)...)
}
