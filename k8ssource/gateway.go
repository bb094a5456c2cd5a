package k8ssource

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/listen"
)

// gatewayBuilder turns one Istio Gateway into servers of listeners, and collects
// what is wrong with it.
type gatewayBuilder struct {
	t      *translation
	object *object.Gateway
	faults []object.Fault
}

// boundServer is a server of a listener, for the routes that are bound to it.
type boundServer struct {
	*listen.Server
	address string
	gateway *object.Gateway
	hosts   []boundHost
}

// boundHost is a host of a server, and the namespace of the routes that may bind
// to it: empty for any.
type boundHost struct{ name, namespace string }

// translateGateways sets up the listeners of the Gateways that are for the
// workload, and the one for its sidecar routes.
func (t *translation) translateGateways(items []*object.Item[object.Gateway]) {
	t.state.Listeners = t.options.Listeners()
	items = slices.SortedFunc(slices.Values(items), func(a, b *object.Item[object.Gateway]) int { return object.Compare(&a.Object, &b.Object) })
	for _, item := range items {
		if !t.serves(object.Key(&item.Object)) {
			continue
		}
		b := &gatewayBuilder{t: t, object: &item.Object, faults: item.Faults}
		if len(item.Faults) == 0 {
			b.build()
		}
		if len(t.bound[object.Key(&item.Object)]) == 0 {
			for i := range b.faults {
				b.faults[i].Used = false
			}
		}
		t.report(object.OriginOf(object.KindGateway, item), b.faults)
	}
	slices.SortFunc(t.state.Listeners, func(a, b *listen.Listener) int { return strings.Compare(a.Address, b.Address) })
}

func (b *gatewayBuilder) fault(reason, format string, args ...any) {
	b.faults = append(b.faults, *object.Faultf(reason, format, args...))
}

// warn adds a fault of one server, or a part of it: the others are used.
func (b *gatewayBuilder) warn(reason, format string, args ...any) {
	b.faults = append(b.faults, *object.Warningf(reason, format, args...))
}

func (b *gatewayBuilder) build() {
	if len(b.object.Spec.Servers) == 0 {
		b.fault(object.ReasonInvalidField, "spec.servers: there are none, so no port is opened; write at least one with port and hosts")
	}
	for i := range b.object.Spec.Servers {
		b.server(fmt.Sprintf("spec.servers[%d]", i), &b.object.Spec.Servers[i])
	}
}

// server adds one server to the listener of its port.
func (b *gatewayBuilder) server(path string, spec *object.GatewayServer) {
	before := len(b.faults)
	secure := false
	switch strings.ToUpper(spec.Port.Protocol) {
	case "HTTP", "HTTP2":
	case "HTTPS":
		secure = true
	default:
		b.warn(object.ReasonUnsupportedServer, "%s.port.protocol: this is not supported, and the server is left out; write HTTP or HTTPS", path)
		return
	}
	server := &listen.Server{Gateway: object.Key(b.object), Origin: object.KindGateway + " " + object.ShownKey(b.object) + " " + path}
	port := int(spec.Port.Number)
	if fault := checkPort(port); fault != "" {
		b.warn(object.ReasonInvalidField, "%s.port.number: %s, and the server is left out; write 1 to 65535", path, fault)
	}
	ip := netip.IPv6Unspecified()
	if spec.Bind != "" {
		var err error
		if ip, err = netip.ParseAddr(spec.Bind); err != nil {
			b.warn(object.ReasonInvalidField, "%s.bind: this is not an IP address, and the server is left out; write one, or leave bind out to listen on all", path)
		}
	}
	bound := &boundServer{Server: server, gateway: b.object, address: b.t.address(ip, port)}
	b.hosts(path, spec.Hosts, bound)
	b.tls(path+".tls", spec.TLS, secure, server)
	if spec.DefaultEndpoint != "" {
		b.warn(object.ReasonUnsupportedField, "%s.defaultEndpoint: not supported, and not used; leave it out", path)
	}
	if slices.ContainsFunc(b.faults[before:], func(f object.Fault) bool {
		return f.Reason != object.ReasonUnsupportedField && f.Reason != object.ReasonSecretNotFound && f.Reason != object.ReasonSecretForbidden && f.Reason != object.ReasonInvalidSecret
	}) {
		return
	}
	if other := b.t.otherProtocol(bound.address, secure); other != "" {
		b.warn(object.ReasonConflict, "%s.port: %s is already used for another protocol by %s, and the server is left out; use another port", path, bound.address, other)
		return
	}
	for _, host := range server.Hosts {
		if other := b.t.handshakeOwner(bound.address, host); other != "" {
			b.warn(object.ReasonConflict, "%s.hosts: the host %s at %s belongs to %s; use another host or port", path, object.ShownHost(host), bound.address, other)
		}
	}
	b.t.listen(bound, port, secure)
}

// listenerAt is the listener of an address, nil if there is none yet.
func (t *translation) listenerAt(address string) *listen.Listener {
	for _, l := range t.state.Listeners {
		if l.Address == address {
			return l
		}
	}
	return nil
}

// otherProtocol is who listens at an address with TLS though a server is without, or the
// other way round. It is empty if nobody does.
func (t *translation) otherProtocol(address string, secure bool) string {
	if l := t.listenerAt(address); l != nil && l.TLS != secure {
		return l.Servers[0].Origin
	}
	return ""
}

// handshakeOwner is the server that the TLS handshakes for a host at an address go to,
// empty if there is none yet.
func (t *translation) handshakeOwner(address, host string) string {
	l := t.listenerAt(address)
	if l == nil || !l.TLS {
		return ""
	}
	for _, other := range l.Servers {
		if slices.Contains(other.Hosts, host) {
			return other.Origin
		}
	}
	return ""
}

// listen adds a server to the listener of its address, which has no other protocol.
func (t *translation) listen(server *boundServer, port int, secure bool) {
	listener := t.listenerAt(server.address)
	if listener == nil {
		listener = &listen.Listener{Address: server.address, Port: port, TLS: secure}
		t.state.Listeners = append(t.state.Listeners, listener)
	}
	server.Table = server.address
	if secure {
		// Which routes there are is decided by the name in the handshake, so that
		// nobody gets round what another server asks of its clients.
		server.Table += " " + server.Origin
	}
	if port != listener.Port {
		server.Port = port
	}
	listener.Servers = append(listener.Servers, server.Server)
	t.bound[object.Key(server.gateway)] = append(t.bound[object.Key(server.gateway)], server)
}

// checkPort says what is wrong with the number of a port, if anything.
func checkPort(port int) string {
	if port < 1 || port > 65535 {
		return fmt.Sprintf("%d is out of range", port)
	}
	return ""
}

// address is where to listen for a port of a Gateway.
func (t *translation) address(ip netip.Addr, port int) string {
	if mapped, ok := t.options.PortMap[port]; ok {
		port = mapped
	}
	host := ""
	if !ip.IsUnspecified() { // which is all addresses
		host = ip.String()
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

func (b *gatewayBuilder) hosts(path string, hosts []string, to *boundServer) {
	if len(hosts) == 0 {
		b.warn(object.ReasonInvalidField, "%s.hosts: there are none, and the server is left out; write at least one, or \"*\"", path)
	}
	for i, host := range hosts {
		namespace, name, qualified := strings.Cut(host, "/")
		if !qualified {
			namespace, name = "", host
		}
		switch namespace {
		case "*":
			namespace = ""
		case ".":
			namespace = b.object.Namespace
		}
		if qualified && namespace != "" && !object.IsName(namespace) {
			b.warn(object.ReasonInvalidField, "%s.hosts[%d]: what stands before the slash is not a namespace, and the server is left out; write that of the routes which may bind, . for the Gateway's own, or *", path, i)
			continue
		}
		if fault := object.CheckRouteHost(name); fault != "" {
			b.warn(object.ReasonInvalidField, "%s.hosts[%d]: %s; the server is left out", path, i, fault)
			continue
		}
		name = object.CanonicalHost(name)
		to.hosts = append(to.hosts, boundHost{name, namespace})
		if !slices.Contains(to.Hosts, name) {
			to.Hosts = append(to.Hosts, name)
		}
	}
}

// tls reads what a server says of TLS. What a client must show is never left
// out: a server that asks for more than is supported is not used.
func (b *gatewayBuilder) tls(path string, spec *object.GatewayTLS, secure bool, to *listen.Server) {
	switch {
	case spec == nil && secure:
		b.warn(object.ReasonInvalidField, "%s: an HTTPS server needs a certificate, and the server is left out; write mode and credentialName", path)
		return
	case spec == nil:
		return
	case !secure:
		if to.HTTPSRedirect = spec.HTTPSRedirect; !reflect.DeepEqual(*spec, object.GatewayTLS{HTTPSRedirect: spec.HTTPSRedirect}) {
			b.warn(object.ReasonUnsupportedServer, "%s: this is a port without TLS, and the server is left out; write HTTPS as port.protocol, or httpsRedirect alone here", path)
		}
		return
	case spec.HTTPSRedirect:
		b.warn(object.ReasonUnsupportedField, "%s.httpsRedirect: there is nothing to redirect at a port with TLS, and it is not used; write it for a server with the protocol HTTP", path)
	}
	switch spec.Mode {
	case "SIMPLE":
	case "MUTUAL":
		to.ClientAuth = true
	case "":
		if spec.CredentialName == "" {
			b.warn(object.ReasonUnsupportedServer, "%s.mode: without it TLS is passed through, which is not supported, and the server is left out; write SIMPLE or MUTUAL", path)
			return
		}
		b.warn(object.ReasonUnsupportedField, "%s.mode: without it Istio passes TLS through; because there is a credentialName it is taken for SIMPLE; write SIMPLE", path)
	default:
		b.warn(object.ReasonUnsupportedServer, "%s.mode: this is not supported, and the server is left out; write SIMPLE or MUTUAL", path)
		return
	}
	b.unsupportedTLS(path, spec)
	switch spec.MinProtocolVersion {
	case "", "TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2": // lower ones are never taken
	case "TLSV1_3":
		to.MinVersion = tls.VersionTLS13
	default:
		b.warn(object.ReasonInvalidField, "%s.minProtocolVersion: this is not a version, and the server is left out; write TLSV1_2 or TLSV1_3", path)
	}
	if spec.CredentialName == "" {
		b.warn(object.ReasonUnsupportedServer, "%s.credentialName: certificates come only from Secrets, and the server is left out; write the name of one in %s", path, b.credentialNamespaces())
		return
	}
	to.Certificate = b.certificate(path+".credentialName", spec.CredentialName, to.ClientAuth)
}

func (b *gatewayBuilder) unsupportedTLS(path string, spec *object.GatewayTLS) {
	for _, field := range []struct {
		name string
		set  bool
	}{
		{"subjectAltNames", len(spec.SubjectAltNames) > 0},
		{"verifyCertificateSpki", len(spec.VerifyCertificateSPKI) > 0},
		{"verifyCertificateHash", len(spec.VerifyCertificateHash) > 0},
		{"caCrl", spec.CACRL != ""},
		{"caCertCredentialName", spec.CACertCredentialName != ""},
	} {
		if field.set {
			b.warn(object.ReasonUnsupportedServer, "%s.%s: not supported, and the server is left out, since it would take more clients than that allows; leave it out", path, field.name)
		}
	}
	for _, field := range []struct {
		name string
		set  bool
	}{
		{"credentialNames", len(spec.CredentialNames) > 0},
		{"tlsCertificates", len(spec.TLSCertificates) > 0},
		{"serverCertificate", spec.ServerCertificate != ""},
		{"privateKey", spec.PrivateKey != ""},
		{"caCertificates", spec.CACertificates != ""},
		{"maxProtocolVersion", spec.MaxProtocolVersion != "" && spec.MaxProtocolVersion != "TLS_AUTO" && spec.MaxProtocolVersion != "TLSV1_3"},
		{"cipherSuites", len(spec.CipherSuites) > 0},
		{"insecureSkipVerify", spec.InsecureSkipVerify},
	} {
		if field.set {
			b.warn(object.ReasonUnsupportedField, "%s.%s: not supported, and not used; leave it out", path, field.name)
		}
	}
}
