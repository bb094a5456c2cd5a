package authz

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-llm/gateway/internal/host"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/authz/jwt"
)

// request is a request as policies see it. What they look at is found out when
// it is first asked for.
type request struct {
	*http.Request
	providers      Providers
	ports          []int
	portArray      [1]int
	token          *jwt.Token
	trustedProxies int
	mergesSlashes  bool // the path is also read with single slashes

	// Which readings of what has several, such as a repeated header, must be among
	// the values of a list: any, or every one. DENY, CUSTOM and AUDIT match on any
	// reading, and ALLOW needs every one; for not_ lists it is the other way round,
	// so that no reading makes more requests pass.
	every bool

	known     [attrDestinationIP + 1]bool
	one       [1]string // of the method, of the server name or of the presenter
	hosts     []string
	hostArray [maxHostForms]string
	paths     [pathReadings]string
	joined    map[string][]string
	addresses [3]netip.Addr
	identity  peer
}

var requests = sync.Pool{New: func() any { return new(request) }}

// request is the request for policies. ports are those that clients know the
// listener by, none for the one that the request came in at.
func (p *policies) request(r *http.Request, ports ...int) *request {
	req := requests.Get().(*request)
	req.Request, req.trustedProxies = r, p.trustedProxies
	if req.ports = ports; len(ports) == 0 {
		if local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
			req.portArray[0] = local.Port
			req.ports = req.portArray[:]
		}
	}
	return req
}

func (r *request) release() {
	*r = request{}
	requests.Put(r)
}

// changed forgets what was read of the header, which has changed.
func (r *request) changed() {
	r.joined, r.known[attrRemoteIP] = nil, false
}

// first says whether an attribute is asked for for the first time.
func (r *request) first(k kind) bool {
	was := r.known[k]
	r.known[k] = true
	return !was
}

// texts are the texts of an attribute, of which values may match any, but for a header's
// and a server name's: those are their readings, see every. Those of a path are readPaths'.
// They are good until texts is called again.
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
			return r.serverName(r.TLS.ServerName)
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
		return r.token.Claim(a.claim)
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

// serverName are the readings of the name in a handshake: in its normal form, by which
// listeners find servers, and as it was sent if that is another one, such as one with a port.
func (r *request) serverName(sent string) []string {
	name, ok := host.Name(sent)
	sent = host.Lower(sent)
	if !ok || name == sent {
		return r.text(sent)
	}
	return []string{name, sent}
}

// header are the readings of a header: its lines and, if there are several, their
// joined value. Envoy compares the joined value alone; routes match by the lines.
func (r *request) header(name string) []string {
	lines := r.Header[name]
	if len(lines) < 2 {
		return lines
	}
	readings := r.joined[name]
	if readings == nil {
		if r.joined == nil {
			r.joined = make(map[string][]string)
		}
		readings = append(lines[:len(lines):len(lines)], strings.Join(lines, ","))
		r.joined[name] = readings
	}
	return readings
}

// The readings of a path. They differ if there are escapes such as %2F, which
// stay in the first and are decoded in the second, and where the gateway has
// another name for the endpoint that it will call. Istio compares the first only.
const (
	sentReading            = iota // as sent, normalized as Istio does
	mergedSentReading             // as sent, with single slashes if these are to be merged
	routedReading                 // with all escapes decoded
	mergedRoutedReading           // decoded, with single slashes if these are to be merged
	endpointReading               // the endpoint that will be called
	mergedEndpointReading         // the one of the path with single slashes
	canonicalReading              // as sent, with each character escaped in one way, for values with escapes
	mergedCanonicalReading        // so too, with single slashes
	pathReadings
)

// readPaths are the readings of the path.
func (r *request) readPaths() *[pathReadings]string {
	if r.first(attrPath) {
		sent, routed := sentPath(r.URL), routedPath(r.URL)
		endpoint := r.endpoint()
		canonical := canonicalPath(sent)
		r.paths = [...]string{sent, sent, routed, routed, endpoint, endpoint, canonical, canonical}
		if r.mergesSlashes {
			merged := mergedSentPath(r.URL)
			u := &url.URL{Path: mergedRoutedPath(r.URL), RawPath: merged}
			r.paths[mergedSentReading], r.paths[mergedRoutedReading], r.paths[mergedEndpointReading] = merged, u.Path, r.endpointOf(u)
			r.paths[mergedCanonicalReading] = canonicalPath(merged)
		}
	}
	return &r.paths
}

// reading is a path, with escapes, and the endpoint of it.
type reading struct{ path, endpoint string }

// merged is the reading of the path as sent with single slashes, if it differs and these are
// to be merged.
func (r *request) merged() []reading {
	paths := r.readPaths()
	if paths[mergedSentReading] == paths[sentReading] {
		return nil
	}
	return []reading{{paths[mergedSentReading], paths[mergedEndpointReading]}}
}

// endpoint is the endpoint that will be called, as OpenAI's API spells it, such as
// /v1/embeddings. It is empty if the path is no endpoint.
func (r *request) endpoint() string { return r.endpointOf(r.URL) }

func (r *request) endpointOf(u *url.URL) string {
	e := llmprovider.EndpointOf(r.Method, u)
	if e.Own != "" && (r.providers == nil || !r.providers.Has(e)) {
		return ""
	}
	return e.Path()
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
