package provider

import (
	"encoding/json"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/kind"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
)

const (
	maxPoolPorts  = 8
	maxPoolLabels = 64
)

// CheckPool reports what is wrong with a pool, which an API server would have refused.
func CheckPool(p *object.InferencePool) []object.Fault {
	spec := &p.Spec
	seen := make(map[int32]bool)
	for i, port := range spec.TargetPorts {
		if port.Number < 1 || port.Number > 65535 || seen[port.Number] {
			return []object.Fault{*object.Faultf(object.ReasonInvalidField, "spec.targetPorts[%d].number: this is not a port, or is listed twice; write 1 to 65535", i)}
		}
		seen[port.Number] = true
	}
	switch {
	case len(spec.Selector.MatchLabels) == 0 || len(spec.Selector.MatchLabels) > maxPoolLabels:
		return []object.Fault{*object.Faultf(object.ReasonInvalidField, "spec.selector.matchLabels: write 1 to %d labels of the pods", maxPoolLabels)}
	case len(spec.TargetPorts) == 0 || len(spec.TargetPorts) > maxPoolPorts:
		return []object.Fault{*object.Faultf(object.ReasonInvalidField, "spec.targetPorts: write 1 to %d ports of the pods", maxPoolPorts)}
	case spec.AppProtocol != "" && spec.AppProtocol != "http" && spec.AppProtocol != object.ProtocolH2C:
		return []object.Fault{*object.Faultf(object.ReasonInvalidField, "spec.appProtocol: this is not supported; write http or %s", object.ProtocolH2C)}
	}
	return nil
}

// ForPool is what requests to a pool are sent with that no LLMProvider is for:
// plain HTTP, the default path, no key and the client's model.
func ForPool(p *object.InferencePool, picker string, allowAnyHost bool) llmprovider.Provider {
	module, err := kind.New(kind.Default)
	if err != nil { // a build without it, for which the pool has no provider
		return nil
	}
	out := module.(llmprovider.Provider)
	base, _ := kind.BaseOf(out)
	base.Host, base.Scheme, base.Guarded = p.Name, "http", !allowAnyHost
	base.Pool = fedPool(picker)
	setPoolProtocol(base, p)
	return out
}

// setPoolProtocol has HTTP/2 spoken without TLS to a pool that says so.
func setPoolProtocol(base *kind.Base, p *object.InferencePool) {
	if p.Spec.AppProtocol == object.ProtocolH2C {
		base.Transport = &reverseproxy.HTTPTransport{Versions: []string{"h2c", "2"}}
	}
}

// pool sets up a provider that names a pool instead of a host.
func (b *builder) pool() {
	spec := &b.object.Spec
	switch {
	case spec.Pool.Name == "":
		b.fault(object.ReasonInvalidField, "spec.pool.name: there is none; write the name of an InferencePool of the object's namespace")
	case spec.Host != "":
		b.fault(object.ReasonInvalidField, "spec.pool: host and pool are both set; keep one of them")
	case spec.Port != 0:
		b.fault(object.ReasonInvalidField, "spec.port: a pool's endpoints have the ports of the InferencePool; leave it out")
	}
	b.base.Host = spec.Pool.Name
	if b.base.Scheme == "" {
		b.base.Scheme = "http"
	}
	b.base.Pool = fedPool(b.in.Picker)
	if item := b.in.Pool; item != nil && b.base.Scheme == "http" {
		setPoolProtocol(b.base, &item.Object)
	}
}

// fedPool is a pool with endpoints of this source.
func fedPool(picker string) *upstream.Pool {
	out := &upstream.Pool{Fed: true}
	if picker != "" {
		out.PickerRaw = json.RawMessage(picker)
	}
	return out
}
