// Package accesslog keeps credentials out of access logs: the log format llm, the warning
// where a log of a site has another format, and the lines of the gateway's own listeners.
//
// Of the gateway it imports llmprovider/headername, which knows the headers that carry credentials.
// Begin with LogFormat, then hidden.go.
package accesslog

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/logging"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"
)

func init() {
	caddy.RegisterModule(LogFormat{})
}

// LogFormat writes log entries without credentials: without the values of headers
// that carry keys, tokens and the like or in which proxies say who is calling, and
// without queries and passwords in URLs. Caddy itself hides `Authorization`,
// `Proxy-Authorization`, `Cookie` and `Set-Cookie` only, and writes a request as the
// client sent it, so that no handler can take out a key that came as `x-api-key`.
//
// What it hides of headers is what no provider gets of a client's. It hides
// credentials also where the server's `log_credentials` is on.
type LogFormat struct {
	// The format of the entries. Default: `json`, or `console` where the output is a
	// terminal.
	WrapRaw json.RawMessage `json:"wrap,omitempty" caddy:"namespace=caddy.logging.encoders inline_key=format"`

	hidingEncoder `json:"-"`
	wrapped       zapcore.Encoder
	ctx           caddy.Context
}

// CaddyModule returns the Caddy module information.
func (LogFormat) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "caddy.logging.encoders.llm",
		New: func() caddy.Module { return new(LogFormat) },
	}
}

// Provision sets up the format.
func (f *LogFormat) Provision(ctx caddy.Context) error {
	f.ctx = ctx
	if f.WrapRaw == nil {
		return f.use(new(logging.JSONEncoder))
	}
	module, err := ctx.LoadModule(f, "WrapRaw")
	if err != nil {
		return fmt.Errorf("loading the format to wrap: %w", err)
	}
	f.wrap(module.(zapcore.Encoder))
	return nil
}

// ConfigureDefaultFormat implements caddy.ConfiguresFormatterDefault.
func (f *LogFormat) ConfigureDefaultFormat(out caddy.WriterOpener) error {
	if f.WrapRaw == nil {
		if caddy.IsWriterStandardStream(out) && term.IsTerminal(int(os.Stderr.Fd())) {
			return f.use(new(logging.ConsoleEncoder))
		}
		return nil
	}
	if wrapped, ok := f.wrapped.(caddy.ConfiguresFormatterDefault); ok {
		return wrapped.ConfigureDefaultFormat(out)
	}
	return nil
}

// use provisions one of Caddy's formats and wraps it.
func (f *LogFormat) use(format interface {
	zapcore.Encoder
	caddy.Provisioner
}) error {
	if err := format.Provision(f.ctx); err != nil {
		return err
	}
	f.wrap(format)
	return nil
}

func (f *LogFormat) wrap(format zapcore.Encoder) {
	f.wrapped, f.hidingEncoder = format, hidingEncoder{ObjectEncoder: format}
}

// UnmarshalCaddyfile reads:
//
//	llm {
//		wrap <format> ...
//	}
func (f *LogFormat) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the format's name
	if d.NextArg() {
		return d.Errf("format llm takes no argument; write the format to wrap into its block, as in: wrap console")
	}
	for d.NextBlock(0) {
		if d.Val() != "wrap" {
			return d.Errf("unknown option %q of format llm; expected wrap", d.Val())
		}
		if !d.NextArg() {
			return d.Errf("wrap takes the name of a format, such as console")
		}
		if f.WrapRaw != nil {
			return d.Errf("wrap is given twice; keep one")
		}
		name := d.Val()
		module, err := caddyfile.UnmarshalModule(d, "caddy.logging.encoders."+name)
		if err != nil {
			return err
		}
		format, ok := module.(zapcore.Encoder)
		if !ok {
			return d.Errf("%s is not a log format", name)
		}
		f.WrapRaw = caddyconfig.JSONModuleObject(format, "format", name, nil)
	}
	return nil
}

// Clone implements zapcore.Encoder.
func (f *LogFormat) Clone() zapcore.Encoder {
	out := *f
	out.wrap(f.wrapped.Clone())
	return &out
}

// EncodeEntry implements zapcore.Encoder.
func (f *LogFormat) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	wrapped := f.wrapped.Clone() // or the fields would stay in it for later entries
	enc := hidingEncoder{ObjectEncoder: wrapped}
	for i := range fields {
		fields[i].AddTo(enc)
	}
	entry.Message = shownText(entry.Message)
	return wrapped.EncodeEntry(entry, nil)
}

// Interface guards
var (
	_ zapcore.Encoder                  = (*LogFormat)(nil)
	_ caddy.Provisioner                = (*LogFormat)(nil)
	_ caddy.ConfiguresFormatterDefault = (*LogFormat)(nil)
	_ caddyfile.Unmarshaler            = (*LogFormat)(nil)
)
