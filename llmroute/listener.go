package llmroute

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// notFound answers what the handler before it does not.
var notFound = json.RawMessage(`{"handler":"static_response","status_code":404,"body":"not found\n"}`)

// listener is an HTTP server of the gateway's own, beside those of the http
// app: it can be started, replaced and stopped by itself.
type listener struct {
	app    *caddyhttp.App
	cancel context.CancelFunc
}

// startListener starts a server at addr with the named handler for everything.
func (a *App) startListener(addr, handler string) (*listener, error) {
	// Created directly and never loaded as an app: the http app of the
	// configuration is another one.
	ctx, cancel := caddy.NewContext(a.ctx)
	route, err := json.Marshal(map[string]string{"handler": handler})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("handler %s: %w", handler, err)
	}
	l := &listener{cancel: cancel, app: &caddyhttp.App{
		Servers: map[string]*caddyhttp.Server{handler: {
			Listen:    []string{addr},
			Routes:    caddyhttp.RouteList{{HandlersRaw: []json.RawMessage{route, notFound}}},
			AutoHTTPS: &caddyhttp.AutoHTTPSConfig{Disabled: true},
			Protocols: []string{"h1"},
		}},
	}}
	for _, step := range []func() error{func() error { return l.app.Provision(ctx) }, l.app.Validate, l.app.Start} {
		if err := step(); err != nil {
			cancel()
			return nil, err
		}
	}
	return l, nil
}

func (l *listener) stop() error {
	err := l.app.Stop()
	l.cancel()
	return err
}
