// Package caddyfile is how the gateway is written in a Caddyfile: the global
// option llm, and the directives llm_route, llm_authz, llm_keys, llm_status and
// llm_mock.
package caddyfile

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/tracing"

	"github.com/caddy-llm/gateway/internal/options"
	"github.com/caddy-llm/gateway/llmprovider/kind"
	"github.com/caddy-llm/gateway/llmroute"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("llm", parseApp)
}

// parseApp reads the global option llm. Given more than once, the options add
// up. Everything may be left out:
//
//	llm {
//		provider      <name> [<url>] { ... }
//		source        <module> ...
//		status_listen <address>|off
//		status_page   on|off
//		status_hosts  <names...>
//		drain_timeout <duration>
//		max_bodies    <size>
//		prices        <file>
//		profiles      <file>
//		limits        { ... }
//		guard         <name> { ... }
//		prompt        <name> { ... }
//		cache         { ... }
//		access_log
//		allowed_origins <origins...>
//		tracing       { ... }
//		workload      <name>
//		namespace     <name>
//	}
//
// provider is described at parseProvider, limits at parseLimits, guard at parseGuard,
// prompt at parsePrompt, cache at parseCache. The other options set the fields of the same names in llmroute.App, tracing with the block of Caddy's
// directive; workload and namespace are its identity.
func parseApp(d *caddyfile.Dispenser, existing any) (any, error) {
	app, err := configuredApp(existing)
	if err != nil {
		return nil, err
	}
	d.Next() // the option's name
	at := options.Here(d)
	if d.NextArg() {
		return nil, d.Errf("llm takes no argument, got %s; its options go into a block", options.Quoted(d.Val()))
	}
	if err := options.Parse(d, "llm", appOptions(app)); err != nil {
		return nil, err
	}
	if err := checkProfiles(app); err != nil {
		return nil, at.WrapErr(err)
	}
	return httpcaddyfile.App{Name: "llm", Value: caddyconfig.JSON(app, nil)}, nil
}

// checkProfiles reports a profile of a provider that is not in the gateway's table. What a
// file has is known when the configuration is loaded.
func checkProfiles(app *llmroute.App) error {
	if app.Profiles != "" {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(app.ProvidersRaw)) {
		var provider struct {
			Profile string `json:"profile"`
		}
		if err := json.Unmarshal(app.ProvidersRaw[name], &provider); err != nil {
			return err
		}
		if err := kind.CheckProfile(provider.Profile); err != nil {
			return fmt.Errorf("provider %s: %w", name, err)
		}
	}
	return nil
}

func appOptions(app *llmroute.App) []options.Option {
	return []options.Option{
		{Name: "provider", Block: true, Parse: func(d *caddyfile.Dispenser) error { return parseProvider(d, app) }},
		{Name: "source", Block: true, Parse: func(d *caddyfile.Dispenser) error { return parseModule(d, "source", "llm.sources", &app.SourceRaw) }},
		{Name: "status_listen", Parse: options.Value(&app.StatusListen, "an address such as :15021, or off", parseAddress)},
		{Name: "status_page", Parse: options.Value(&app.StatusPage, "on or off", options.Pointer(options.OnOff))},
		{Name: "status_hosts", Parse: hostNames(&app.StatusHosts)},
		{Name: "drain_timeout", Parse: options.Value(&app.DrainTimeout, options.ExpectedDuration, options.Duration)},
		{Name: "max_bodies", Parse: options.Value(&app.MaxBodies, "a size above 0, such as 256MiB", parseSize)},
		{Name: "prices", Parse: options.Value(&app.Prices, "the path of a file with prices", options.Text)},
		{Name: "profiles", Parse: options.Value(&app.Profiles, "the path of a file with profiles", options.Text)},
		{Name: "limits", Block: true, Parse: func(d *caddyfile.Dispenser) error { return parseLimits(d, app) }},
		{Name: "guard", Block: true, Parse: func(d *caddyfile.Dispenser) error { return parseGuard(d, app) }},
		{Name: "prompt", Block: true, Parse: func(d *caddyfile.Dispenser) error { return parsePrompt(d, app) }},
		{Name: "cache", Block: true, Parse: func(d *caddyfile.Dispenser) error { return parseCache(d, app) }},
		{Name: "access_log", Parse: options.Presence(&app.AccessLog)},
		{Name: "allowed_origins", Parse: origins(&app.AllowedOrigins)},
		{Name: "keys", Block: true, Parse: func(d *caddyfile.Dispenser) error { return parseAppKeys(d, app) }},
		{Name: "tracing", Block: true, Parse: func(d *caddyfile.Dispenser) error { return parseTracing(d, app) }},
		{Name: "workload", Parse: options.Value(&app.Identity.Workload, options.ExpectedText, options.Text)},
		{Name: "namespace", Parse: options.Value(&app.Identity.Namespace, options.ExpectedText, options.Text)},
	}
}

// configuredApp returns what the global option has given so far; v is its
// value, nil without one.
func configuredApp(v any) (*llmroute.App, error) {
	app := new(llmroute.App)
	if v == nil {
		return app, nil
	}
	option, ok := v.(httpcaddyfile.App)
	if !ok {
		return nil, fmt.Errorf("the llm option has an unexpected value of type %T", v)
	}
	if err := json.Unmarshal(option.Value, app); err != nil {
		return nil, fmt.Errorf("reading the llm option again: %w", err)
	}
	return app, nil
}

// parseModule reads the name and the options of a module of the namespace:
//
//	<option> <module> ...
func parseModule(d *caddyfile.Dispenser, option, namespace string, raw *json.RawMessage) error {
	if *raw != nil {
		return d.Errf("%s is given twice; keep one", option)
	}
	if !d.NextArg() {
		return d.Errf("%s needs the name of a module; this build has: %s", option, options.ModuleNames(namespace))
	}
	name := d.Val()
	if _, err := caddy.GetModule(namespace + "." + name); err != nil {
		return d.Errf("unknown %s %s; this build has: %s", option, options.Quoted(name), options.ModuleNames(namespace))
	}
	module, err := caddyfile.UnmarshalModule(d, namespace+"."+name)
	if err != nil {
		return options.Located(d, err)
	}
	*raw = caddyconfig.JSONModuleObject(module, option, name, nil)
	return nil
}

// parseTracing reads the block of Caddy's directive tracing.
func parseTracing(d *caddyfile.Dispenser, app *llmroute.App) error {
	if app.Tracing != nil {
		return d.Errf("tracing is given twice; keep one")
	}
	if d.NextArg() {
		return d.Errf("tracing takes no argument; its options go into a block")
	}
	var handler tracing.Tracing
	if err := handler.UnmarshalCaddyfile(d.NewFromNextSegment()); err != nil {
		return err
	}
	app.Tracing = caddyconfig.JSON(handler, nil)
	return nil
}

func parseAddress(s string) (string, error) {
	if s == "off" {
		return s, nil
	}
	address, err := caddy.ParseNetworkAddress(s)
	if err != nil || s == "" {
		return "", options.ErrUnexpected
	}
	// Caddy takes a number alone for a host, and would listen at any port.
	if _, _, port, err := caddy.SplitNetworkAddress(s); err != nil || port == "" && !address.IsUnixNetwork() && !address.IsFdNetwork() {
		return "", options.ErrUnexpected
	}
	return s, nil
}
