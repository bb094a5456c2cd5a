package listen

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-llm/gateway/llmroute/capture"
)

// maxHeaderBytes bounds the request headers at listeners of the gateway's own.
// It is what Envoy takes, and so what applications behind Istio are used to.
const maxHeaderBytes = 60 << 10

// notFound answers what the handler before it does not.
var notFound = json.RawMessage(`{"handler":"static_response","status_code":404,"body":"not found\n"}`)

// Running is an HTTP server of the gateway's own, beside those of the http
// app: it can be started, replaced and stopped by itself.
type Running struct {
	app    *caddyhttp.App
	cancel context.CancelFunc
}

// start starts a listener of a source, whose server expects the headers.
func (o *Options) start(l *Listener, headers []string) (*Running, error) {
	if err := o.checkFree(l.Address); err != nil {
		return nil, err
	}
	strict := false // the handler is stricter, and about servers instead of names
	server := &caddyhttp.Server{
		Listen: []string{l.Address}, MaxHeaderBytes: maxHeaderBytes, StrictSNIHost: &strict, Protocols: []string{"h1", "h2c"},
	}
	for _, name := range headers {
		if strings.Contains(name, "_") {
			server.ExpectedUnderscoreHeaders = append(server.ExpectedUnderscoreHeaders, name)
		}
		if strings.Contains(name, ".") {
			server.ExpectedDotHeaders = append(server.ExpectedDotHeaders, name)
		}
	}
	if l.TLS {
		policies, err := connectionPolicies(l.Address)
		if err != nil {
			return nil, err
		}
		server.TLSConnPolicies, server.Protocols = policies, []string{"h1", "h2"}
	}
	if l.Outbound != "" && !l.TLS {
		wrapper, err := json.Marshal(map[string]string{"wrapper": "llm_capture", "address": l.Address})
		if err != nil {
			return nil, fmt.Errorf("listener wrapper: %w", err)
		}
		server.ListenerWrappersRaw = []json.RawMessage{wrapper}
		server.RegisterConnContext(capture.KeepDestination)
	}
	return Start(o.Context, o.App, "llm_gateway", server, map[string]any{"address": l.Address})
}

// checkFree reports whether the status listener or a site has the address. The
// operating system would let both have it, and share connections out at random.
func (o *Options) checkFree(address string) error {
	if o.StatusListen != "off" && overlap(address, o.StatusListen) {
		return fmt.Errorf("the status listener has %s; use another port, or move it with status_listen", o.StatusListen)
	}
	app, err := o.Context.AppIfConfigured("http")
	if err != nil {
		return nil //nolint:nilerr // there are no sites
	}
	for name, server := range app.(*caddyhttp.App).Servers {
		for _, other := range server.Listen {
			if overlap(address, other) {
				return fmt.Errorf("the sites of server %s listen at %s; move one of them, or route by the gateway's table from a site", name, other)
			}
		}
	}
	return nil
}

// overlap reports whether two addresses have a port of the same network in common.
func overlap(a, b string) bool {
	x, errX := caddy.ParseNetworkAddress(a)
	y, errY := caddy.ParseNetworkAddress(b)
	return errX == nil && errY == nil && x.Network == y.Network && (x.Host == y.Host || x.Host == "" || y.Host == "") &&
		x.StartPort <= y.EndPort && y.StartPort <= x.EndPort
}

// Start starts a server with the named handler, and its settings, for
// everything.
func Start(ctx caddy.Context, app App, handler string, server *caddyhttp.Server, settings map[string]any) (*Running, error) {
	// Created directly and never loaded as an app: the http app of the
	// configuration is another one.
	ctx, cancel := caddy.NewContext(ctx)
	route := map[string]any{"handler": handler}
	maps.Copy(route, settings)
	raw, err := json.Marshal(route)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("handler %s: %w", handler, err)
	}
	server.Routes = caddyhttp.RouteList{{HandlersRaw: []json.RawMessage{raw, notFound}}}
	server.AutoHTTPS = &caddyhttp.AutoHTTPSConfig{Disabled: true}
	l := &Running{cancel: cancel, app: &caddyhttp.App{
		HTTPPort: -1, // none: TLS is wanted or not whatever the port
		Servers:  map[string]*caddyhttp.Server{handler: server},
	}}
	useCertificates := func() error {
		address, _ := settings["address"].(string)
		useLiveCertificates(app, address, server.TLSConnPolicies)
		return nil
	}
	for _, step := range []func() error{func() error { return l.app.Provision(ctx) }, l.app.Validate, useCertificates, l.app.Start} {
		if err := step(); err != nil {
			_ = l.app.Cleanup() // closes what was opened
			cancel()
			return nil, err
		}
	}
	return l, nil
}

// Stop closes the listener. If the process is about to exit it waits for the
// open requests.
func (l *Running) Stop() error {
	err := l.app.Stop()
	l.cancel()
	return err
}
