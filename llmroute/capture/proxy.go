package capture

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"
)

// proxy passes single requests on: those of clients that use the sidecar as
// their HTTP proxy, and those for another host on a connection that began with a
// routed one.
type proxy struct{ *httputil.ReverseProxy }

// passKey is where the context of a request has its *passedRequest.
type passKey struct{}

// passedRequest is where a request goes.
type passedRequest struct {
	*Destination
	failure error
}

func newProxy(o *Outbound) proxy {
	return proxy{&httputil.ReverseProxy{
		Transport: &http.Transport{
			DialContext: o.dial,
			Proxy: func(r *http.Request) (*url.URL, error) {
				if p := r.Context().Value(passKey{}).(*passedRequest); p.Absolute {
					return &url.URL{Scheme: "http", Host: p.Address}, nil
				}
				return nil, nil
			},
			DisableCompression: true, MaxIdleConnsPerHost: 64, MaxIdleConns: 1024, IdleConnTimeout: 30 * time.Second,
		},
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
		Rewrite:       rewrite,
		ErrorHandler: func(_ http.ResponseWriter, r *http.Request, err error) {
			r.Context().Value(passKey{}).(*passedRequest).failure = err
		},
	}}
}

func (p proxy) close() { p.Transport.(*http.Transport).CloseIdleConnections() }

// rewrite undoes what ReverseProxy changes, but for what concerns one connection
// only.
func rewrite(r *httputil.ProxyRequest) {
	p := r.In.Context().Value(passKey{}).(*passedRequest)
	r.Out.URL.Scheme, r.Out.URL.Host, r.Out.URL.RawQuery = "http", p.Address, r.In.URL.RawQuery
	names := []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"}
	if p.Absolute {
		r.Out.URL.Host = r.In.Host
		names = append(names, "Proxy-Authorization")
	}
	for _, name := range names {
		if values, ok := r.In.Header[name]; ok {
			r.Out.Header[name] = values
		}
	}
	r.Out.Host = r.In.Host
}

// Pass passes a request on. The error is why there is no response.
func (o *Outbound) Pass(w http.ResponseWriter, r *http.Request, to *Destination) error {
	p := &passedRequest{Destination: to}
	o.proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), passKey{}, p)))
	return p.failure
}
