// Package httproute serves what an HTTPRoute of Gateway API asks for beside models: it
// redirects clients, and passes requests to Services as they are, with Caddy's
// reverse_proxy. It knows nothing of models and tokens. Of the gateway it may import
// llmprovider, llmprovider/headername and internal/hopbyhop, for errors, the mark of loops
// and the headers of one connection; start reading at Handler.
package httproute

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"golang.org/x/net/http/httpguts"

	"github.com/caddy-llm/gateway/internal/hopbyhop"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/headername"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// Handler does what a rule of an HTTPRoute of Gateway API asks for: it redirects, or passes
// requests to Services as they are, without a look at models or tokens. The Kubernetes
// source and the manifests adapter write it into rules of `llm_route`. Placeholders are not
// expanded.
//
// Requests whose path another server may read in two ways are answered with a 400: those
// with the segments `.` and `..`, a backslash or a control character, escaped or not. So
// a Service gets exactly the path that policies judged.
type Handler struct {
	// What is changed in the headers of requests to Services.
	RequestHeaders *HeaderChange `json:"request_headers,omitempty"`

	// What is changed in the headers of responses, also of redirects.
	ResponseHeaders *HeaderChange `json:"response_headers,omitempty"`

	// Where clients are redirected to. Default: requests are passed to the services.
	Redirect *Redirect `json:"redirect,omitempty"`

	// What is changed in the host and path of requests to Services. Default: nothing.
	Rewrite *Rewrite `json:"rewrite,omitempty"`

	// The services, one of which is chosen by their weights for each request. Without
	// any, requests get a 500, as the API asks for.
	Services []*Service `json:"services,omitempty"`

	// Whether endpoints may be Caddy's admin endpoint. By default requests get the header
	// `Sec-Fetch-Mode: no-cors` if they have none of that name, and lose another value,
	// so that an admin endpoint refuses them wherever it is.
	AllowAnyHost bool `json:"allow_any_host,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.llm_http_route",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision sets up the connections to the services, and makes none yet.
func (h *Handler) Provision(ctx caddy.Context) error {
	if h.Redirect != nil && len(h.Services) > 0 {
		return fmt.Errorf("there are a redirect and services; keep one of them")
	}
	for i, s := range h.Services {
		if err := s.provision(ctx); err != nil {
			return fmt.Errorf("services[%d]: %w", i, err)
		}
	}
	return nil
}

// Cleanup gives the connections back. Those that other routes use stay.
func (h *Handler) Cleanup() error {
	var errs []error
	for _, s := range h.Services {
		errs = append(errs, s.cleanup())
	}
	return errors.Join(errs...)
}

// ServeHTTP implements caddyhttp.MiddlewareHandler. An error that it returns is an
// *llmprovider.Error, or one of reverse_proxy's; nothing was sent to the client then.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	call := callOf(r)
	if refused := Check(r); refused != nil {
		return refused
	}
	out := newResponse(w, call, h.ResponseHeaders)
	if h.Redirect != nil {
		return h.Redirect.serve(out, r, call.Port)
	}
	s := h.pick()
	if s == nil {
		return errService("", "the route has no backend for this request")
	}
	call.Service = s.Name
	switch {
	case s.Unusable != "":
		return errService(s.Name, "the backend of this route cannot be used ("+s.Unusable+")")
	case s.proxy == nil:
		return errNoEndpoint(s.Name)
	}
	out.changes = append(out.changes, s.ResponseHeaders)
	return s.proxy.ServeHTTP(out, h.request(r, s), next)
}

// Check returns the error for a request that is passed to no service, whatever its body is.
func Check(r *http.Request) *llmprovider.Error {
	switch {
	case r.Method == http.MethodConnect:
		return errConnect()
	case !isPlainPath(r.URL):
		return errPath()
	}
	return nil
}

// request returns the request to send to a service.
func (h *Handler) request(r *http.Request, s *Service) *http.Request {
	out := r.WithContext(r.Context())
	out.Header = r.Header.Clone()
	hopbyhop.RemoveNamed(out.Header) // again, for a handler that stands alone
	h.RequestHeaders.apply(out.Header)
	s.RequestHeaders.apply(out.Header)
	h.Rewrite.apply(out)
	withhold(out.Header)
	// Last, so that no change hides where the request has come from.
	out.Header[headername.Loop] = llmprovider.MarkLoop(r.Header)
	if !h.AllowAnyHost {
		out.Header["Sec-Fetch-Mode"] = fetchMode
	}
	reduceConnection(out.Header)
	return out
}

// reduceConnection leaves of Connection what opens a WebSocket. The headers that it named are
// gone; proxies would also remove those of the same names that were set since.
func reduceConnection(header http.Header) {
	if len(header["Upgrade"]) > 0 && httpguts.HeaderValuesContainsToken(header["Connection"], "Upgrade") {
		header["Connection"] = upgrade
		return
	}
	delete(header, "Connection")
	delete(header, "Upgrade")
}

// upgrade is the value of Connection with which a change to another protocol is asked for.
var upgrade = []string{"Upgrade"}

// withhold removes what a client, or the route's own changes, must not tell a service:
// who the peer is, which meshes believe, and a change to a protocol other than WebSocket,
// whose further requests no policy would see.
func withhold(header http.Header) {
	for name := range header {
		if name == "Http2-Settings" || headername.IsMesh(name) {
			delete(header, name)
		}
	}
	if u := header["Upgrade"]; len(u) != 1 || !strings.EqualFold(u[0], "websocket") {
		delete(header, "Upgrade")
	}
}

// fetchMode has Caddy's admin endpoint refuse a request.
var fetchMode = []string{"no-cors"}

// pick chooses a service by the weights, nil if there is none to choose.
func (h *Handler) pick() *Service {
	sum := 0
	for _, s := range h.Services {
		sum += s.weight()
	}
	if sum == 0 {
		return nil
	}
	at := rand.IntN(sum)
	for _, s := range h.Services {
		if at -= s.weight(); at < 0 {
			return s
		}
	}
	return nil
}

func errConnect() *llmprovider.Error {
	return &llmprovider.Error{
		Status: http.StatusNotImplemented, Type: llmprovider.TypeInvalidRequest, Code: "unsupported_method",
		Message: "tunnels are not supported here; send a request of another method",
	}
}

func errPath() *llmprovider.Error {
	return &llmprovider.Error{
		Status: http.StatusBadRequest, Type: llmprovider.TypeInvalidRequest, Code: "invalid_path",
		Message: "the path has a segment . or .., a backslash, a # or a control character, which servers read in different ways; send the path that is meant",
	}
}

func errService(name, what string) error {
	return &llmprovider.Error{
		Status: http.StatusInternalServerError, Type: llmprovider.TypeServer, Code: "service_unusable",
		Message: what + "; its operator finds the reason in the status of the HTTPRoute", Cause: causeOf(name),
	}
}

func errNoEndpoint(name string) error {
	return &llmprovider.Error{
		Status: http.StatusServiceUnavailable, Type: llmprovider.TypeServer, Code: "no_endpoint",
		Message: "the Service behind this route has no ready endpoint; try again later", Cause: causeOf(name),
	}
}

// causeOf names the service in logs: clients need not know it.
func causeOf(name string) error {
	if name == "" {
		return nil
	}
	return fmt.Errorf("service %s", name)
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
