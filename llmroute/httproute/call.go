package httproute

import (
	"context"
	"net"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Call is what Handler and its caller tell each other about a request.
type Call struct {
	// Port is the one that the client called, as it knows it: a redirect may name it. 0 for
	// the one that the connection has.
	Port int

	// Service is the name of the service that the request was passed to, empty without
	// one. Handler sets it.
	Service string
	// Status is that of the response, 0 without one. Handler sets it.
	Status int
}

// callKey is where the context of a request has its *Call.
type callKey struct{}

// With returns a context in which Handler finds the call.
func With(ctx context.Context, call *Call) context.Context {
	return context.WithValue(ctx, callKey{}, call)
}

// callOf is the call of a request, a new one if there is none.
func callOf(r *http.Request) *Call {
	call, ok := r.Context().Value(callKey{}).(*Call)
	if !ok {
		call = new(Call)
	}
	if call.Port == 0 {
		if local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
			call.Port = local.Port
		}
	}
	return call
}

// response changes the headers of a response when its head is written.
type response struct {
	*caddyhttp.ResponseWriterWrapper
	call    *Call
	changes []*HeaderChange
}

func newResponse(w http.ResponseWriter, call *Call, change *HeaderChange) *response {
	return &response{&caddyhttp.ResponseWriterWrapper{ResponseWriter: w}, call, []*HeaderChange{change}}
}

// WriteHeader implements http.ResponseWriter.
func (w *response) WriteHeader(status int) {
	if w.call.Status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) { // else it is an interim one
		w.call.Status = status
		for _, change := range w.changes {
			change.apply(w.Header())
		}
		if _, ok := w.Header()["Content-Type"]; !ok {
			w.Header()["Content-Type"] = nil // or net/http would make one up
		}
	}
	w.ResponseWriterWrapper.WriteHeader(status)
}

// Interface guards
var _ http.ResponseWriter = (*response)(nil)
