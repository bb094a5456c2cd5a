package caddyfile

import (
	"encoding/json"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-llm/gateway/internal/options"
	"github.com/caddy-llm/gateway/llmprovider/kind"
	"github.com/caddy-llm/gateway/llmroute"
)

// parseProvider reads one provider:
//
//	provider <name> [<urls...>] {
//		kind <kind>
//		...
//	}
//
// The kind, openai by default, is the module llm.providers.<kind>, which reads the
// block. Most of the options are those of kind.Base.UnmarshalBlock.
func parseProvider(d *caddyfile.Dispenser, app *llmroute.App) error {
	line := options.Here(d)
	segment := d.NewFromNextSegment()
	head := *segment
	head.Next()
	args := head.RemainingArgs()
	if len(args) == 0 {
		return line.Errf("provider takes a name and, if you like, the URLs of its servers; got nothing")
	}
	name := args[0]
	switch {
	case strings.Contains(name, "://"):
		return line.Errf("a provider needs a name before its URL, such as: provider local http://127.0.0.1:11434")
	case name == "" || strings.ContainsAny(name, "/ \t\n{}"):
		return line.Errf("%s is not a provider's name; write one without spaces, slashes and braces", options.Quoted(name))
	case app.ProvidersRaw[name] != nil:
		return line.Errf("there are two providers %s; give each a name of its own, and their common host as the option host", options.Quoted(name))
	}
	kindName, at := kindIn(&head)
	module, err := kind.New(kindName)
	if err != nil {
		return at.WrapErr(err)
	}
	unmarshaler, ok := module.(caddyfile.Unmarshaler)
	if !ok {
		return at.Errf("kind %s cannot be configured in a Caddyfile; use JSON", kindName)
	}
	if err := unmarshaler.UnmarshalCaddyfile(segment); err != nil {
		return err
	}
	if app.ProvidersRaw == nil {
		app.ProvidersRaw = make(map[string]json.RawMessage)
	}
	app.ProvidersRaw[name] = caddyconfig.JSONModuleObject(module, "kind", kindName, nil)
	return nil
}

// kindIn finds the kind in a provider's block, whose other options are not read. at is
// where it stands.
func kindIn(d *caddyfile.Dispenser) (name string, at *caddyfile.Dispenser) {
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := caddyfile.NewDispenser(d.NextSegment())
		if option.Next(); option.Val() == "kind" && option.NextArg() {
			return option.Val(), option
		}
	}
	return kind.Default, d
}
