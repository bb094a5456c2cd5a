package cluster

import (
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/go-logr/logr"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"
)

// maxVerbosity is the highest verbosity of client-go that is logged, as debug. From
// 6 on it logs requests, and from 8 on their bodies, which may be Secrets.
const maxVerbosity = 4

// logToZap makes client-go log to Caddy's log, once.
var logToZap = sync.OnceFunc(func() {
	klog.SetLoggerWithOptions(logr.New(&sink{}), klog.ContextualLogger(true))
})

// quietly is for what the source itself reports in words of its own: everything is
// logged as debug.
var quietly = logr.New(&sink{quiet: true})

// sink passes what client-go logs to Caddy's log as it is now.
type sink struct {
	name   string
	values []any
	quiet  bool
}

func (s *sink) logger() *zap.Logger {
	return caddy.Log().Named("llm.sources.kubernetes.client").Named(s.name)
}

func (s *sink) level(normal zapcore.Level, verbosity int) zapcore.Level {
	if s.quiet || verbosity > 0 {
		return zapcore.DebugLevel
	}
	return normal
}

// Init implements logr.LogSink.
func (s *sink) Init(logr.RuntimeInfo) {}

// Enabled implements logr.LogSink.
func (s *sink) Enabled(verbosity int) bool {
	return verbosity <= maxVerbosity && s.logger().Core().Enabled(s.level(zapcore.InfoLevel, verbosity))
}

// Info implements logr.LogSink.
func (s *sink) Info(verbosity int, message string, values ...any) {
	s.logger().Sugar().With(s.values...).Logw(s.level(zapcore.InfoLevel, verbosity), message, values...)
}

// Error implements logr.LogSink.
func (s *sink) Error(err error, message string, values ...any) {
	s.logger().Sugar().With(s.values...).With(zap.Error(err)).Logw(s.level(zapcore.ErrorLevel, 0), message, values...)
}

// WithValues implements logr.LogSink.
func (s *sink) WithValues(values ...any) logr.LogSink {
	out := *s
	out.values = append(s.values[:len(s.values):len(s.values)], values...)
	return &out
}

// WithName implements logr.LogSink.
func (s *sink) WithName(name string) logr.LogSink {
	out := *s
	out.name = name
	return &out
}

// Interface guards
var _ logr.LogSink = (*sink)(nil)
