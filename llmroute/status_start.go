package llmroute

import (
	"github.com/caddy-llm/gateway/llmroute/listen"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// startStatus starts the status listener.
func (a *App) startStatus() (*listen.Running, error) {
	settings := map[string]any{"page": a.StatusPage == nil || *a.StatusPage, "hosts": append([]string{"localhost"}, a.StatusHosts...)}
	return listen.Start(a.ctx, a, "llm_status", &caddyhttp.Server{Listen: []string{a.StatusListen}, Protocols: []string{"h1"}}, settings)
}
