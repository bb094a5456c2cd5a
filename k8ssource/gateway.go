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

	"github.com/caddy-llm/gateway/llmroute"
)

// gatewayBuilder turns one Istio Gateway into servers of listeners, and collects
// what is wrong with it.
type gatewayBuilder struct {
	t      *translation
	object *Gateway
	faults []Fault
}

// boundServer is a server of a listener, for the routes that are bound to it.
type boundServer struct {
	*llmroute.Server
	address string
	gateway *Gateway
	hosts   []boundHost
}

// boundHost is a host of a server, and the namespace of the routes that may bind
// to it: empty for any.
type boundHost struct{ name, namespace string }

// translateGateways sets up the listeners of the Gateways that are for the
// workload, and the one for its sidecar routes.
func (t *translation) translateGateways(items []*Item[Gateway]) {
	t.state.Listeners = (&SourceOptions{MeshListen: t.options.MeshListen, Outbound: t.options.Outbound}).Listeners()
	items = slices.SortedFunc(slices.Values(items), func(a, b *Item[Gateway]) int { return compare(&a.Object, &b.Object) })
	for _, item := range items {
		if !t.serves(keyOf(&item.Object)) {
			continue
		}
		b := &gatewayBuilder{t: t, object: &item.Object, faults: item.Faults}
		if len(item.Faults) == 0 {
			b.build()
		}
		if len(t.bound[keyOf(&item.Object)]) == 0 {
			for i := range b.faults {
				b.faults[i].Used = false
			}
		}
		t.report(origins(kindGateway, item), b.faults)
	}
	slices.SortFunc(t.state.Listeners, func(a, b *llmroute.Listener) int { return strings.Compare(a.Address, b.Address) })
}

func (b *gatewayBuilder) fault(reason, format string, args ...any) {
	b.faults = append(b.faults, *faultf(reason, format, args...))
}

// warn adds a fault of one server, or a part of it: the others are used.
func (b *gatewayBuilder) warn(reason, format string, args ...any) {
	f := faultf(reason, format, args...)
	f.Used = true
	b.faults = append(b.faults, *f)
}

func (b *gatewayBuilder) build() {
	if len(b.object.Spec.Servers) == 0 {
		b.fault(ReasonInvalidField, "spec.servers: there are none, so nothing is listened on; write at least one with port and hosts")
	}
	for i := range b.object.Spec.Servers {
		b.server(fmt.Sprintf("spec.servers[%d]", i), &b.object.Spec.Servers[i])
	}
}

// server adds one server to the listener of its port.
func (b *gatewayBuilder) server(path string, spec *GatewayServer) {
	before := len(b.faults)
	secure := false
	switch strings.ToUpper(spec.Port.Protocol) {
	case "HTTP", "HTTP2":
	case "HTTPS":
		secure = true
	default:
		b.warn(ReasonUnsupportedServer, "%s.port.protocol: this is not supported, and the server is left out; write HTTP or HTTPS", path)
		return
	}
	server := &llmroute.Server{Gateway: keyOf(b.object), Origin: kindGateway + " " + shownKey(b.object) + " " + path}
	bound := &boundServer{Server: server, gateway: b.object, address: b.address(path, spec)}
	b.hosts(path, spec.Hosts, bound)
	b.tls(path+".tls", spec.TLS, secure, server)
	if spec.DefaultEndpoint != "" {
		b.warn(ReasonUnsupportedField, "%s.defaultEndpoint: not supported, and not used; leave it out", path)
	}
	if slices.ContainsFunc(b.faults[before:], func(f Fault) bool {
		return f.Reason != ReasonUnsupportedField && f.Reason != ReasonSecretNotFound && f.Reason != ReasonSecretForbidden && f.Reason != ReasonInvalidSecret
	}) {
		return
	}
	b.t.listen(b, path, secure, bound, int(spec.Port.Number))
}

// listen adds a server to the listener of its address.
func (t *translation) listen(b *gatewayBuilder, path string, secure bool, server *boundServer, port int) {
	i := slices.IndexFunc(t.state.Listeners, func(l *llmroute.Listener) bool { return l.Address == server.address })
	if i < 0 {
		i = len(t.state.Listeners)
		t.state.Listeners = append(t.state.Listeners, &llmroute.Listener{Address: server.address, Port: port, TLS: secure})
	}
	listener := t.state.Listeners[i]
	if listener.TLS != secure {
		b.warn(ReasonConflict, "%s.port: %s is listened on for another protocol by %s, and the server is left out; use another port", path, server.address, listener.Servers[0].Origin)
		return
	}
	server.Table = server.address
	if secure {
		for _, other := range listener.Servers {
			for _, host := range server.Hosts {
				if slices.Contains(other.Hosts, host) {
					b.warn(ReasonConflict, "%s.hosts: the host %s at %s belongs to %s; use another host or port", path, shownHost(host), server.address, other.Origin)
				}
			}
		}
		// Which routes there are is decided by the name in the handshake, so that
		// nobody gets round what another server asks of its clients.
		server.Table += " " + server.Origin
	}
	if port != listener.Port {
		server.Port = port
	}
	listener.Servers = append(listener.Servers, server.Server)
	t.bound[keyOf(b.object)] = append(t.bound[keyOf(b.object)], server)
}

// address is where a server listens.
func (b *gatewayBuilder) address(path string, spec *GatewayServer) string {
	port := int(spec.Port.Number)
	if port < 1 || port > 65535 {
		b.warn(ReasonInvalidField, "%s.port.number: %d is out of range, and the server is left out; write 1 to 65535", path, port)
	}
	if mapped, ok := b.t.options.PortMap[port]; ok {
		port = mapped
	}
	host := ""
	if spec.Bind != "" {
		ip, err := netip.ParseAddr(spec.Bind)
		if err != nil {
			b.warn(ReasonInvalidField, "%s.bind: this is not an IP address, and the server is left out; write one, or leave bind out to listen on all", path)
		}
		if !ip.IsUnspecified() { // which is all addresses
			host = ip.String()
		}
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

func (b *gatewayBuilder) hosts(path string, hosts []string, to *boundServer) {
	if len(hosts) == 0 {
		b.warn(ReasonInvalidField, "%s.hosts: there are none, and the server is left out; write at least one, or \"*\"", path)
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
		if qualified && namespace != "" && !objectName.MatchString(namespace) {
			b.warn(ReasonInvalidField, "%s.hosts[%d]: what stands before the slash is not a namespace, and the server is left out; write that of the routes which may bind, . for the Gateway's own, or *", path, i)
			continue
		}
		if fault := checkRouteHost(name); fault != "" {
			b.warn(ReasonInvalidField, "%s.hosts[%d]: %s; the server is left out", path, i, fault)
			continue
		}
		name = canonicalHost(name)
		to.hosts = append(to.hosts, boundHost{name, namespace})
		if !slices.Contains(to.Hosts, name) {
			to.Hosts = append(to.Hosts, name)
		}
	}
}

// tls reads what a server says of TLS. What a client must show is never left
// out: a server that asks for more than is supported is not used.
func (b *gatewayBuilder) tls(path string, spec *GatewayTLS, secure bool, to *llmroute.Server) {
	switch {
	case spec == nil && secure:
		b.warn(ReasonInvalidField, "%s: an HTTPS server needs a certificate, and the server is left out; write mode and credentialName", path)
		return
	case spec == nil:
		return
	case !secure:
		if to.HTTPSRedirect = spec.HTTPSRedirect; !reflect.DeepEqual(*spec, GatewayTLS{HTTPSRedirect: spec.HTTPSRedirect}) {
			b.warn(ReasonUnsupportedServer, "%s: this is a port without TLS, and the server is left out; write HTTPS as port.protocol, or httpsRedirect alone here", path)
		}
		return
	case spec.HTTPSRedirect:
		b.warn(ReasonUnsupportedField, "%s.httpsRedirect: there is nothing to redirect at a port with TLS, and it is not used; write it for a server with the protocol HTTP", path)
	}
	switch spec.Mode {
	case "SIMPLE":
	case "MUTUAL":
		to.ClientAuth = true
	case "":
		if spec.CredentialName == "" {
			b.warn(ReasonUnsupportedServer, "%s.mode: without it TLS is passed through, which is not supported, and the server is left out; write SIMPLE or MUTUAL", path)
			return
		}
		b.warn(ReasonUnsupportedField, "%s.mode: without it Istio passes TLS through; because there is a credentialName it is taken for SIMPLE; write SIMPLE", path)
	default:
		b.warn(ReasonUnsupportedServer, "%s.mode: this is not supported, and the server is left out; write SIMPLE or MUTUAL", path)
		return
	}
	b.unsupportedTLS(path, spec)
	switch spec.MinProtocolVersion {
	case "", "TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2": // lower ones are never taken
	case "TLSV1_3":
		to.MinVersion = tls.VersionTLS13
	default:
		b.warn(ReasonInvalidField, "%s.minProtocolVersion: this is not a version, and the server is left out; write TLSV1_2 or TLSV1_3", path)
	}
	if spec.CredentialName == "" {
		b.warn(ReasonUnsupportedServer, "%s.credentialName: certificates come from Secrets alone, and the server is left out; write the name of one in %s", path, b.credentialNamespaces())
		return
	}
	to.Certificate = b.certificate(path+".credentialName", spec.CredentialName, to.ClientAuth)
}

func (b *gatewayBuilder) unsupportedTLS(path string, spec *GatewayTLS) {
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
			b.warn(ReasonUnsupportedServer, "%s.%s: not supported, and the server is left out, since it would take more clients than that allows; leave it out", path, field.name)
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
			b.warn(ReasonUnsupportedField, "%s.%s: not supported, and not used; leave it out", path, field.name)
		}
	}
}
