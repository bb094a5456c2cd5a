package accesslog

import (
	"bytes"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Warn warns of each access log of a handler's server that would show credentials
// which Caddy does not hide itself. Caddy writes the request as the client sent it, so no handler could take them out.
func Warn(ctx caddy.Context, logger *zap.Logger) {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || server.Logs == nil {
		return
	}
	logs := make(map[string]bool)
	// With loggers by host, the default one gets requests for hosts of no site,
	// unless a site without host has named it.
	if server.Logs.DefaultLoggerName != "" || len(server.Logs.LoggerNames) == 0 {
		logs[server.Logs.DefaultLoggerName] = true
	}
	for _, loggers := range server.Logs.LoggerNames {
		for _, name := range loggers {
			logs[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(logs)) {
		if id := Name(name); showsCredentials(ctx.Logger(id)) {
			logger.Warn("access log shows API keys that clients send as x-api-key, api-key or x-goog-api-key, or in the query; "+
				"add `format llm` to the log block", zap.String("log", string(id.CaddyModule().ID)))
		}
	}
}

// Name stands for the module in whose name a server writes an access log.
type Name string

// CaddyModule returns the Caddy module information.
func (l Name) CaddyModule() caddy.ModuleInfo {
	id := caddy.ModuleID("http.log.access")
	if l != "" {
		id += "." + caddy.ModuleID(l)
	}
	return caddy.ModuleInfo{ID: id}
}

// showsCredentials reports whether one of the logger's encoders writes credentials
// out. Nothing is logged.
func showsCredentials(logger *zap.Logger) bool {
	probe := new(credentialProbe)
	logger.With(zap.Inline(probe))
	return probe.shown
}

// credentialProbe is a log field that looks at the encoders it is added to.
type credentialProbe struct{ shown bool }

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (p *credentialProbe) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	encoder, ok := enc.(zapcore.Encoder)
	if !ok {
		return nil
	}
	const mark = "credential-probe"
	line, err := encoder.Clone().EncodeEntry(zapcore.Entry{}, []zapcore.Field{zap.Object("request", caddyhttp.LoggableHTTPRequest{Request: &http.Request{
		Method: http.MethodPost, RequestURI: "/v1/chat/completions?key=" + mark, URL: &url.URL{Path: "/v1/chat/completions", RawQuery: "key=" + mark},
		Header: http.Header{"X-Api-Key": {mark}, "Api-Key": {mark}, "X-Goog-Api-Key": {mark}},
	}})})
	if err != nil {
		return nil //nolint:nilerr // an encoder that fails shows nothing
	}
	p.shown = p.shown || bytes.Contains(line.Bytes(), []byte(mark))
	line.Free()
	return nil
}

// Interface guards
var (
	_ caddy.Module            = Name("")
	_ zapcore.ObjectMarshaler = (*credentialProbe)(nil)
)
