package authz

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// request is a request as policies see it. What they look at is found out when
// it is first asked for.
type request struct {
	*http.Request
	port           int
	token          *Token
	trustedProxies int

	known     [attrDestinationIP + 1]bool
	one       [1]string // of the method, of the server name or of the presenter
	hosts     []string
	hostArray [3]string
	paths     [2]string // as sent, and as the gateway routes by it
	routed    bool      // which of them is looked at
	joined    map[string][]string
	addresses [3]netip.Addr
	identity  peer
}

var requests = sync.Pool{New: func() any { return new(request) }}

func (p *policies) request(r *http.Request, port int) *request {
	req := requests.Get().(*request)
	if port == 0 {
		if local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
			port = local.Port
		}
	}
	req.Request, req.port, req.trustedProxies = r, port, p.trustedProxies
	return req
}

func (r *request) release() {
	*r = request{}
	requests.Put(r)
}

// first says whether an attribute is asked for for the first time.
func (r *request) first(k kind) bool {
	was := r.known[k]
	r.known[k] = true
	return !was
}

// texts are the texts of an attribute, of which values may match any. Those of a
// path are path's. They are good until texts is called again.
func (r *request) texts(a *attribute) []string {
	switch a.kind {
	case attrHost:
		if r.first(attrHost) {
			r.hosts = hostForms(r.hostArray[:0], r.Host)
		}
		return r.hosts
	case attrMethod:
		return r.text(r.Method)
	case attrHeader:
		return r.header(a.header)
	case attrServerName:
		if r.TLS != nil {
			return r.text(strings.ToLower(r.TLS.ServerName))
		}
	case attrPrincipal:
		return r.text(r.peer().principal)
	case attrTrustDomain:
		return r.text(r.peer().trustDomain)
	}
	if r.token == nil {
		return nil
	}
	switch a.kind {
	case attrAudience:
		return r.token.Audiences
	case attrPresenter:
		return r.text(r.token.Presenter)
	case attrClaim:
		return r.token.claim(a.claim)
	}
	return nil
}

// text is a text that is not there if it is empty.
func (r *request) text(s string) []string {
	if s == "" {
		return nil
	}
	r.one[0] = s
	return r.one[:]
}

// header is a header's value. Several lines are one value, as in Envoy.
func (r *request) header(name string) []string {
	lines := r.Header[name]
	if len(lines) < 2 {
		return lines
	}
	joined := r.joined[name]
	if joined == nil {
		if r.joined == nil {
			r.joined = make(map[string][]string)
		}
		joined = []string{strings.Join(lines, ",")}
		r.joined[name] = joined
	}
	return joined
}

// readPaths finds out the paths, and says whether they differ.
func (r *request) readPaths() bool {
	if r.first(attrPath) {
		r.paths = [2]string{sentPath(r.URL), routedPath(r.URL)}
	}
	return r.paths[0] != r.paths[1]
}

// path is the path as it was sent, and the reading of it that is looked at: the
// same, or the one that the gateway routes by. They differ if there are escapes
// such as %2F, which stay in the first and are decoded in the second. Istio
// looks at the first only, and routes by it; here a policy must not be slipped
// past by what routes to the same. So DENY policies match if they match either,
// and ALLOW policies must match both.
func (r *request) path() (sent, reading string) {
	r.readPaths()
	if r.routed {
		return r.paths[0], r.paths[1]
	}
	return r.paths[0], r.paths[0]
}

// address is one of the addresses, invalid if it is not known.
func (r *request) address(k kind) netip.Addr {
	addr := &r.addresses[k-attrSourceIP]
	if !r.first(k) {
		return *addr
	}
	switch k {
	case attrSourceIP:
		*addr = parseAddress(r.RemoteAddr)
	case attrRemoteIP:
		*addr = r.client()
	case attrDestinationIP:
		if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
			*addr = addressOf(local)
		}
	}
	return *addr
}

// client is the address of the client behind proxies, or the connection's other
// end where the header does not say as much as trusted proxies would.
func (r *request) client() netip.Addr {
	var addr netip.Addr
	if r.trustedProxies > 0 {
		addr = forwardedFor(r.Header["X-Forwarded-For"], r.trustedProxies)
	} else if client, ok := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string); ok {
		addr = parseAddress(client)
	}
	if !addr.IsValid() {
		addr = r.address(attrSourceIP)
	}
	return addr
}

// peer is the identity in the client's certificate.
func (r *request) peer() *peer {
	if r.first(attrPrincipal) {
		r.identity = peerOf(r.TLS)
	}
	return &r.identity
}
