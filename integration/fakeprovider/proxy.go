package fakeprovider

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// Proxy is an HTTP CONNECT proxy that sends host names to fake servers. With
// HTTPS_PROXY set to its URL, a gateway can be given a provider's real name and
// port 443, as in the documented manifests, and still reach the fake: TLS runs
// end to end, with the real name as SNI. Names it does not know are refused,
// so a test never leaves the machine.
type Proxy struct {
	listener net.Listener
	mu       sync.Mutex
	routes   map[string]string
	asked    []string
}

// NewProxy starts a proxy that is stopped with the test. Keys are host names,
// without a port.
func NewProxy(t testing.TB, routes map[string]*Server) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("starting the proxy: %v", err)
	}
	p := &Proxy{listener: l, routes: map[string]string{}}
	for host, s := range routes {
		p.routes[host] = s.Addr()
	}
	srv := &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second}
	go srv.Serve(l) //nolint:errcheck // ends with Close
	t.Cleanup(func() { _ = srv.Close() })
	return p
}

// URL is what HTTPS_PROXY is set to.
func (p *Proxy) URL() string { return "http://" + p.listener.Addr().String() }

// Route adds or changes where a host name leads.
func (p *Proxy) Route(host string, s *Server) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.routes[host] = s.Addr()
}

// Asked lists the host:port of every CONNECT so far.
func (p *Proxy) Asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.asked...)
}

// ServeHTTP opens the tunnel.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host := r.Host
	if h, _, err := net.SplitHostPort(r.Host); err == nil {
		host = h
	}
	p.mu.Lock()
	p.asked = append(p.asked, r.Host)
	addr, ok := p.routes[strings.ToLower(host)]
	p.mu.Unlock()
	if r.Method != http.MethodConnect || !ok {
		http.Error(w, "the test proxy has no route for "+host, http.StatusBadGateway)
		return
	}
	up, err := net.Dial("tcp", addr)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	down, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = up.Close()
		return
	}
	if _, err := down.Write([]byte("HTTP/1.1 200 Connection established\r\n\r\n")); err != nil {
		_ = up.Close()
		_ = down.Close()
		return
	}
	go pipe(up, rw.Reader, down)
	pipe(down, up, up)
}

// pipe copies one direction and then closes both ends' connection, so that a
// reset or a close on one side is seen on the other.
func pipe(dst net.Conn, src io.Reader, from net.Conn) {
	_, _ = io.Copy(dst, src)
	_ = dst.Close()
	_ = from.Close()
}
