package httproute

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"github.com/caddy-llm/gateway/internal/host"
	"github.com/caddy-llm/gateway/llmprovider"
)

// Redirect is where clients are redirected to. What is not set is that of the request.
type Redirect struct {
	// The scheme: http or https.
	Scheme string `json:"scheme,omitempty"`

	// The host, without a port.
	Host string `json:"host,omitempty"`

	// The port. Default: that of Scheme, if it is set, else the one that the client called.
	Port int `json:"port,omitempty"`

	// The path.
	Path *Path `json:"path,omitempty"`

	// The status. Default: 302.
	Status int `json:"status,omitempty"`
}

// serve redirects the client, which called this port.
func (t *Redirect) serve(w http.ResponseWriter, r *http.Request, port int) error {
	to, ok := t.location(r, port)
	if !ok {
		return &llmprovider.Error{
			Status: http.StatusBadRequest, Type: llmprovider.TypeInvalidRequest, Code: "invalid_host",
			Message: fmt.Sprintf("the host %q cannot be redirected to; send a name", llmprovider.Bounded(r.Host)),
		}
	}
	w.Header().Set("Location", to)
	status := t.Status
	if status == 0 {
		status = http.StatusFound
	}
	w.WriteHeader(status)
	return nil
}

// location is where a request is redirected to. ok is false for a host that has no form in a
// URL.
func (t *Redirect) location(r *http.Request, port int) (to string, ok bool) {
	scheme := t.Scheme
	if scheme == "" {
		scheme = "http"
		if r.TLS != nil {
			scheme = "https"
		}
	}
	name := t.Host
	if name == "" {
		name = r.Host
	}
	if name, ok = host.Name(name); !ok || name == "" {
		return "", false
	}
	switch {
	case t.Port != 0:
		port = t.Port
	case t.Scheme != "":
		port = 0
	}
	authority := host.InURL(name)
	if port != 0 && (scheme != "http" || port != 80) && (scheme != "https" || port != 443) {
		authority = net.JoinHostPort(name, strconv.Itoa(port))
	}
	u := url.URL{Scheme: scheme, Host: authority, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
	t.Path.apply(&u)
	return u.String(), true
}
