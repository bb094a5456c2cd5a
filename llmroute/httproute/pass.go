package httproute

import (
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httputil"
)

// Pass passes a request that Check has let through as it is to an endpoint that the transport
// chooses: it sets the host of the URL, and sends the body, which the caller has read. The
// response is passed as it comes. An error is one of the transport's; no final response was
// sent to the client then. There is no change to another protocol.
func (h *Handler) Pass(w http.ResponseWriter, r *http.Request, to http.RoundTripper) (failure error) {
	call := callOf(r)
	out := h.request(r, new(Service))
	out.Header.Del("Upgrade")
	out.Header.Del("Expect") // the body has been read
	own := w.Header().Clone()
	restore := func() { maps.Copy(w.Header(), own) } // ReverseProxy clears it after an interim response
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme = "http"
			p.Out.URL.RawQuery = p.In.URL.RawQuery // as it came
			p.SetXForwarded()
		},
		Transport: to, FlushInterval: -1, ErrorLog: log.New(io.Discard, "", 0),
		ModifyResponse: func(*http.Response) error {
			restore()
			return nil
		},
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) {
			restore()
			failure = err
		},
	}
	proxy.ServeHTTP(newResponse(w, call, nil), out)
	return failure
}
