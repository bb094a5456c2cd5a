package caddyfile

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-llm/gateway/internal/options"
	"github.com/caddy-llm/gateway/llmroute/status"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("llm_status", statusDirective)
	// Before respond and llm_mock, which leave nothing to the handlers after
	// them; llm_status leaves all paths but its own.
	httpcaddyfile.RegisterDirectiveOrder("llm_status", httpcaddyfile.After, "copy_response")
}

// statusDirective reads the directive llm_status:
//
//	llm_status [<matcher>] {
//		page
//		hosts <names...>
//	}
func statusDirective(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h.Next() // the directive's name
	if h.NextArg() {
		return nil, h.Errf("llm_status takes no argument but a matcher (*, /path or @name), got %s", options.Quoted(h.Val()))
	}
	handler := new(status.Handler)
	err := options.Parse(h.Dispenser, "llm_status", []options.Option{
		{Name: "page", Parse: options.Presence(&handler.Page)},
		{Name: "hosts", Parse: hostNames(&handler.Hosts)},
	})
	return handler, err
}
