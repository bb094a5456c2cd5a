package k8ssource

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/caddy-llm/gateway/k8ssource/condition"
	"github.com/caddy-llm/gateway/k8ssource/gatewayapi"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/listen"
)

// listenForGatewayAPI sets up the servers of the Gateways.
func (t *translation) listenForGatewayAPI() {
	if networks := t.options.GatewayNetworks; len(networks) > 0 {
		t.api.Addresses = t.api.Attached.Addresses(networks, t.before.addresses)
		t.after.addresses = t.api.Addresses
	}
	for _, g := range t.api.Attached.Gateways {
		b := &gatewayBuilder{t: t, object: &object.Gateway{ObjectMeta: g.ObjectMeta}}
		for i, l := range g.Listeners {
			b.apiListener(fmt.Sprintf("spec.listeners[%d]", i), l)
		}
		t.report(object.OriginOf(gatewayapi.KindGateway, t.api.items[object.Key(g.Gateway)]), b.faults)
	}
	slices.SortFunc(t.state.Listeners, func(a, b *listen.Listener) int { return strings.Compare(a.Address, b.Address) })
}

// apiListener adds a listener's server to the listener of its port. Of two listeners with
// the same hosts at a port the first one has them.
func (b *gatewayBuilder) apiListener(path string, l *gatewayapi.AttachedListener) {
	state := new(condition.Listener)
	b.t.api.Listeners[l.Listener] = state
	refuse := func(because, reason, format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		state.Accepted = condition.Problem{Reason: because, Message: text}
		b.warn(reason, "%s.%s", path, text)
	}
	if l.InvalidKinds {
		state.Resolved = condition.Problem{Reason: gatewayapi.ReasonInvalidRouteKinds, Message: "allowedRoutes.kinds: only HTTPRoutes are supported; leave out the others"}
		b.warn(object.ReasonUnsupportedField, "%s.%s", path, state.Resolved.Message)
	}
	host, port := object.CanonicalHost(cmp.Or(l.Hostname, "*")), int(l.Port)
	if l.Unsupported {
		refuse(gatewayapi.ReasonUnsupportedProtocol, object.ReasonUnsupportedServer, "protocol: this is not supported, and the listener is left out; write HTTP or HTTPS")
		return
	}
	if fault := object.CheckRouteHost(cmp.Or(l.Hostname, "*")); fault != "" {
		refuse(gatewayapi.ReasonUnsupportedValue, object.ReasonInvalidField, "hostname: %s; the listener is left out", fault)
		return
	}
	if fault := checkPort(port); fault != "" {
		refuse(gatewayapi.ReasonPortUnavailable, object.ReasonInvalidField, "port: %s, and the listener is left out; write 1 to 65535", fault)
		return
	}
	ip := netip.IPv6Unspecified()
	if b.t.api.Addresses != nil {
		var has bool
		if ip, has = b.t.api.Addresses[l.Gateway.AddressKey()]; !has {
			b.warn(object.ReasonConflict, "%s.port: there is no free address for the Gateway, and the listener is left out; give the source's option gateway_networks more addresses", path)
			return
		}
	}
	secure, address := l.Protocol == "HTTPS", b.t.address(ip, port)
	if other := b.t.otherProtocol(address, secure); other != "" {
		refuse(gatewayapi.ReasonPortUnavailable, object.ReasonConflict, "port: %s is already used for another protocol by %s, and the listener is left out; use another port", address, other)
		state.Conflicted = condition.Problem{Reason: gatewayapi.ReasonProtocolConflict, Message: state.Accepted.Message}
		return
	}
	if other := cmp.Or(b.t.handshakeOwner(address, host), b.sameListener(l, host)); other != "" {
		refuse(gatewayapi.ReasonHostnameConflict, object.ReasonConflict, "hostname: the host %s at %s belongs to %s, and the listener is left out; use another host or port", object.ShownHost(host), address, other)
		state.Conflicted = condition.Problem{Reason: gatewayapi.ReasonHostnameConflict, Message: state.Accepted.Message}
		return
	}
	server := &listen.Server{Gateway: object.Key(b.object), Hosts: []string{host}, Origin: object.KindGateway + " " + object.ShownKey(b.object) + " " + path}
	may := b.object.Namespace // of LLMRoutes
	if l.AllowedRoutes != nil && l.AllowedRoutes.Namespaces != nil && l.AllowedRoutes.Namespaces.From == "All" {
		may = ""
	}
	bound := &boundServer{Server: server, gateway: b.object, hosts: []boundHost{{host, may}}, address: address}
	if secure {
		server.Certificate = b.apiCertificate(path, l, state)
	}
	b.t.api.servers[l.Listener] = bound
	state.Address, state.Certificate = address, server.Certificate != nil
	b.t.listen(bound, port, secure)
}

// sameListener is the server of another listener of the Gateway with the same port and
// host, empty if there is none.
func (b *gatewayBuilder) sameListener(l *gatewayapi.AttachedListener, host string) string {
	for i := range l.Gateway.Spec.Listeners {
		other := &l.Gateway.Spec.Listeners[i]
		if server := b.t.api.servers[other]; other != l.Listener && other.Port == l.Port && server != nil && slices.Contains(server.Hosts, host) {
			return server.Origin
		}
	}
	return ""
}

// apiCertificate is a listener's certificate, nil if there is none that can be used: then
// handshakes fail, unless there was one before.
func (b *gatewayBuilder) apiCertificate(path string, l *gatewayapi.AttachedListener, state *condition.Listener) *listen.Certificate {
	var ref gatewayapi.ObjectRef
	if l.TLS != nil && len(l.TLS.CertificateRefs) > 0 {
		ref = l.TLS.CertificateRefs[0]
	}
	namespace := cmp.Or(ref.Namespace, b.object.Namespace)
	key := servedCertificate{"listener " + l.Name + " of " + object.Key(b.object), namespace + "/" + ref.Name, false}
	var last *listen.Certificate // the last good one
	refuse := func(because, reason, format string, args ...any) {
		effect := "so TLS handshakes fail"
		if last != nil {
			effect = "and the last good certificate stays in use"
		}
		state.Resolved = condition.Problem{Reason: because, Message: fmt.Sprintf("tls"+format, args...) + ", " + effect}
		b.warn(reason, "%s.%s", path, state.Resolved.Message)
	}
	switch {
	case ref.Name == "", l.TLS.Mode != "" && l.TLS.Mode != "Terminate":
		refuse(gatewayapi.ReasonInvalidCertificateRef, object.ReasonInvalidField, ": write mode Terminate and a Secret in certificateRefs; there is no usable certificate")
		return nil
	case ref.Group != nil && *ref.Group != "" || ref.Kind != "" && ref.Kind != object.KindSecret:
		refuse(gatewayapi.ReasonInvalidCertificateRef, object.ReasonInvalidSecret, ".certificateRefs[0]: this is not a Secret; write the name of one")
		return nil
	case !b.t.api.Objects.Permitted(gatewayapi.Group, gatewayapi.KindGateway, b.object.Namespace, "", object.KindSecret, namespace, ref.Name):
		refuse(gatewayapi.ReasonRefNotPermitted, object.ReasonInvalidSecret, ".certificateRefs[0]: no ReferenceGrant in the Secret's namespace permits this; create one there")
		return nil
	}
	if len(l.TLS.CertificateRefs) > 1 {
		b.warn(object.ReasonUnsupportedField, "%s.tls.certificateRefs: only the first one is used; leave out the others", path)
	}
	last = b.t.before.served[key]
	certificate := b.secretCertificate(namespace+"/"+ref.Name, func(reason, why string) {
		refuse(gatewayapi.ReasonInvalidCertificateRef, reason, ".certificateRefs[0]: %s", why)
	})
	if certificate == nil {
		certificate = last
	}
	if certificate != nil {
		b.t.after.served[key] = certificate
	}
	return certificate
}

// secretCertificate is the certificate in a Secret, or nil.
func (b *gatewayBuilder) secretCertificate(name string, refuse func(reason, why string)) *listen.Certificate {
	secret := b.t.secrets[name]
	if secret == nil {
		refuse(object.ReasonSecretNotFound, "there is no Secret of this name; create it with tls.crt and tls.key")
		return nil
	}
	if faults, usable := object.SecretFaults("the Secret", secret); !usable {
		refuse(faults[0].Reason, faults[0].Message)
		return nil
	}
	built := builtCertificate{secret: secret}
	certificate := b.t.before.certificates[built]
	if certificate == nil {
		var err error
		if certificate, err = listen.NewCertificate("Secret "+name, []byte(first(secret, chainKeys)), []byte(first(secret, privateKeys)), nil); err != nil {
			refuse(object.ReasonInvalidSecret, "the Secret cannot be used: "+strings.TrimPrefix(err.Error(), "tls: "))
			return nil
		}
	}
	b.t.after.certificates[built] = certificate
	return certificate
}
