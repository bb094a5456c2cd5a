package status

import (
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func init() {
	caddy.RegisterModule(Handler{})
}

// Handler serves what an orchestrator and a monitoring system ask of the
// gateway: `/healthz`, 200 as long as the process works; `/readyz`, 200 when it
// has a configuration, listens where that says, and is not about to exit, else 503
// with the reason; and `/metrics` in the format of Prometheus. With `page` it also
// serves people: at `/` a page that shows the traffic, the providers and the routes,
// and its data at `/status.json`. The app's status listener uses it; a site may too.
type Handler struct {
	// Whether the page and its data are served. Default: no; the app's status
	// listener has its own option `status_page`.
	Page bool `json:"page,omitempty"`

	// The names of hosts by which the page and its data may be asked for. IP
	// addresses always may. Default: any name.
	Hosts []string `json:"hosts,omitempty"`

	app     App
	metrics http.Handler
}

// CaddyModule returns the Caddy module information.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.llm_status",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision sets up the handler.
func (s *Handler) Provision(ctx caddy.Context) error {
	app, err := ctx.App("llm")
	if err != nil {
		return fmt.Errorf("getting the llm app: %w", err)
	}
	s.app = app.(App)
	for _, host := range s.Hosts {
		if err := CheckHostName(host); err != nil {
			return fmt.Errorf("hosts: %w", err)
		}
	}
	if s.Page {
		s.app.KeepHistory()
	}
	s.metrics = promhttp.HandlerFor(s.app.Registry(), promhttp.HandlerOpts{})
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (s *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	switch r.URL.Path {
	case "/healthz":
		return plain(w, http.StatusOK, "ok")
	case "/readyz":
		if reason := s.app.Unready(); reason != "" {
			return plain(w, http.StatusServiceUnavailable, reason)
		}
		return plain(w, http.StatusOK, "ok")
	case "/metrics":
		s.metrics.ServeHTTP(w, r)
		return nil
	}
	if served, err := s.servePage(w, r); served {
		return err
	}
	return next.ServeHTTP(w, r)
}

func plain(w http.ResponseWriter, status int, text string) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, err := fmt.Fprintln(w, text)
	return err
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
