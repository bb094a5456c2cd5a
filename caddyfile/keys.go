package caddyfile

import (
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-llm/gateway/internal/options"
	"github.com/caddy-llm/gateway/llmroute"
	"github.com/caddy-llm/gateway/llmroute/virtualkey"
)

func init() {
	httpcaddyfile.RegisterDirective("llm_keys", keysDirective)
	// Beside the other ways to authenticate, and so before handle and route,
	// which may hold an llm_route of their own.
	httpcaddyfile.RegisterDirectiveOrder("llm_keys", httpcaddyfile.Before, "request_header")
}

// keysDirective reads the directive llm_keys, which lets clients with a virtual
// key from the file pass:
//
//	llm_keys [<matcher>] <file>
//	llm_keys [<matcher>] {
//		file <file>
//		or_token
//	}
func keysDirective(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	h.Next() // the directive's name
	matcherSet, err := keysMatcher(h)
	if err != nil {
		return nil, err
	}
	at := options.Here(h.Dispenser)
	var keys virtualkey.Keys
	parseFile := options.Value(&keys.File, "the path of a file with hashed keys", options.Text)
	if h.CountRemainingArgs() > 0 {
		if err := parseFile(h.Dispenser); err != nil {
			return nil, err
		}
	}
	if err := options.Parse(h.Dispenser, "llm_keys", keysOptions(&keys, parseFile)); err != nil {
		return nil, err
	}
	if keys.File == "" {
		return nil, at.Errf("llm_keys needs a file with hashed keys; expected: llm_keys FILE")
	}
	route := caddyhttp.Route{}
	if matcherSet != nil {
		route.MatcherSetsRaw = append(route.MatcherSetsRaw, matcherSet)
	}
	route.HandlersRaw = append(route.HandlersRaw, caddyconfig.JSONModuleObject(keys, "handler", "llm_keys", nil))
	return []httpcaddyfile.ConfigValue{{Class: "route", Value: route}}, nil
}

// parseAppKeys reads the global option keys, which is to Gateways' ports what llm_keys is
// to sites:
//
//	keys <file>
//	keys {
//		file <file>
//		secret <namespace>/<name>
//		or_token
//	}
func parseAppKeys(d *caddyfile.Dispenser, app *llmroute.App) error {
	if app.Keys != nil {
		return d.Errf("keys is given twice; put all clients into one file")
	}
	at := options.Here(d)
	app.Keys = new(virtualkey.Keys)
	parseFile := options.Value(&app.Keys.File, "the path of a file with hashed keys", options.Text)
	if d.CountRemainingArgs() > 0 {
		if err := parseFile(d); err != nil {
			return err
		}
	}
	all := append(keysOptions(app.Keys, parseFile), options.Option{
		Name: "secret", Parse: options.Value(&app.Keys.Secret, "the namespace and name of a Secret, such as llm-system/virtual-keys", options.Text),
	})
	if err := options.Parse(d, "keys", all); err != nil {
		return err
	}
	switch {
	case app.Keys.File == "" && app.Keys.Secret == "":
		return at.Errf("keys needs a file with hashed keys, or a secret; expected: keys FILE")
	case app.Keys.File != "" && app.Keys.Secret != "":
		return at.Errf("keys names both a file and a secret; keep one of them")
	}
	return nil
}

func keysOptions(keys *virtualkey.Keys, parseFile func(*caddyfile.Dispenser) error) []options.Option {
	return []options.Option{
		{Name: "file", Parse: parseFile},
		{Name: "or_token", Parse: options.Presence(&keys.OrToken)},
	}
}

// keysMatcher takes the matcher off the line, if there is one. A single
// argument that begins with a slash would pass for a path to match, yet is the
// file unless a block names it.
func keysMatcher(h httpcaddyfile.Helper) (caddy.ModuleMap, error) {
	line := options.Here(h.Dispenser)
	args := len(line.RemainingArgs()) // and line stands on the last of them
	if args == 0 || args == 1 && strings.HasPrefix(line.Val(), "/") && !namesFile(line) {
		return nil, nil
	}
	matcherSet, err := h.ExtractMatcherSet()
	if err != nil {
		return nil, options.Located(h.Dispenser, err)
	}
	h.Next() // the directive's name again
	return matcherSet, nil
}

// namesFile reports whether the block that follows has the option file.
func namesFile(d *caddyfile.Dispenser) bool {
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if d.Val() == "file" {
			return true
		}
		d.RemainingArgs()
	}
	return false
}
