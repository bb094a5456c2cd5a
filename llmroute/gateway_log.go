package llmroute

import (
	"errors"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
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
		zap.Object("request", hiding(caddyhttp.LoggableHTTPRequest{Request: l.r})),
		zap.Duration("duration", time.Since(l.began)),
		zap.Int("size", l.recorder.Size()),
		zap.Int("status", status),
		zap.Object("resp_headers", hiding(caddyhttp.LoggableHTTPHeader{Header: l.recorder.Header()})),
	}, fields...)...)
}
