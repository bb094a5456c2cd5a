package caddyfile

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-llm/gateway/llmroute/mock"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("llm_mock", mockDirective)
	httpcaddyfile.RegisterDirectiveOrder("llm_mock", httpcaddyfile.Before, "respond")
}

// mockDirective reads the directive llm_mock; its options are described at
// mock.Handler.UnmarshalCaddyfile.
func mockDirective(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	m := new(mock.Handler)
	if err := m.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	return m, nil
}
