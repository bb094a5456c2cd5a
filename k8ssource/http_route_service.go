package k8ssource

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-llm/gateway/k8ssource/gatewayapi"
	"github.com/caddy-llm/gateway/k8ssource/httprule"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
	"github.com/caddy-llm/gateway/llmroute/httproute"
)

const (
	handlerHTTPRoute = "llm_http_route"
)

// isLLM reports whether a backend is one that requests for models go to.
func (r backendKind) isLLM() bool {
	return r == backendKind{object.Group, object.KindLLMProvider} || r == backendKind{object.PoolGroup, object.KindInferencePool}
}

// backendKind is the kind of what a backend refers to.
type backendKind struct{ group, kind string }

func kindOf(ref *gatewayapi.BackendRef) backendKind {
	out := backendKind{kind: cmp.Or(ref.Kind, object.KindService)}
	if ref.Group != nil {
		out.group = *ref.Group
	}
	return out
}

// asksModels reports whether a rule of an HTTPRoute sends requests to providers or pools.
func asksModels(spec *gatewayapi.Rule) bool {
	return slices.ContainsFunc(spec.BackendRefs, func(ref gatewayapi.BackendRef) bool { return kindOf(&ref).isLLM() })
}

// httpHandler is what serves a rule that sends no requests to models, for one of its
// matches: a redirect, or Services. What cannot be used of it is answered with 500, as the
// API asks for.
func (t *translation) httpHandler(r *gatewayapi.HTTPRoute, path string, spec *gatewayapi.Rule, m *gatewayapi.Match) json.RawMessage {
	out, err := httprule.Filters(spec.Filters, m)
	if err != nil {
		t.refuseHTTP(r, "%s.%s; requests for the rule are answered with 500", path, err)
		out = new(httproute.Handler)
		return encodeHandler(out)
	}
	out.AllowAnyHost = t.options.AllowAnyHost
	if out.Redirect != nil {
		if len(spec.BackendRefs) > 0 {
			t.refuseHTTP(r, "%s.backendRefs: the rule redirects, so these are not used; leave them out", path)
		}
		out.Rewrite = nil
		return encodeHandler(out)
	}
	if spec.Timeouts != nil || spec.Retry != nil {
		t.warnHTTP(r, object.ReasonUnsupportedField, "%s: timeouts and retry are not supported, and not used", path)
	}
	for i := range spec.BackendRefs {
		out.Services = append(out.Services, t.httpService(r, fmt.Sprintf("%s.backendRefs[%d]", path, i), &spec.BackendRefs[i], m))
	}
	return encodeHandler(out)
}

func encodeHandler(h *httproute.Handler) json.RawMessage {
	return caddyconfig.JSONModuleObject(h, "handler", handlerHTTPRoute, nil)
}

// httpService is the Service that a backend refers to, with its endpoints.
func (t *translation) httpService(r *gatewayapi.HTTPRoute, path string, ref *gatewayapi.BackendRef, m *gatewayapi.Match) *httproute.Service {
	b := t.httpRef(r, path, ref, http.StatusInternalServerError)
	out := &httproute.Service{Name: fmt.Sprintf("%s/%s:%d", b.namespace, b.ref.Name, b.ref.Port), Weight: &b.weight}
	b.service(m, out)
	out.Unusable = b.unusable
	return out
}

// service fills in the Service that it refers to.
func (b *httpRef) service(m *gatewayapi.Match, out *httproute.Service) {
	if b.kind != (backendKind{kind: object.KindService}) {
		b.refuse(gatewayapi.ReasonInvalidKind, object.ReasonUnsupportedBackend, "this kind is not supported; write a Service, an LLMProvider of the group "+object.Group+" or an InferencePool of the group "+object.PoolGroup)
		return
	}
	if !b.permitted() {
		b.refuse(gatewayapi.ReasonRefNotPermitted, gatewayapi.ReasonRefNotPermitted, "no ReferenceGrant in its namespace permits this")
		return
	}
	filters, err := httprule.Filters(b.ref.Filters, m)
	if err == nil && (filters.Redirect != nil || filters.Rewrite != nil) {
		err = errors.New("filters: a backend may change headers alone; write the others at the rule")
	}
	if err != nil {
		b.refuseFilters(fmt.Sprintf("%s; requests for it are answered with %d", err, b.status))
		return
	}
	out.RequestHeaders, out.ResponseHeaders = filters.RequestHeaders, filters.ResponseHeaders
	service := b.t.services[b.namespace+"/"+b.ref.Name]
	var port *object.ServicePort
	if service != nil {
		port = service.Port(b.ref.Port)
	}
	switch {
	case service == nil:
		b.refuse(gatewayapi.ReasonBackendNotFound, object.ReasonServiceNotFound, "there is no Service of this name; create it, or correct the name")
	case service.Spec.Type == object.TypeExternalName:
		b.refuse(gatewayapi.ReasonUnsupportedProtocol, object.ReasonUnsupportedBackend, "the Service is of type ExternalName, which is not followed; write one with endpoints")
	case port == nil:
		b.refuse(gatewayapi.ReasonBackendNotFound, object.ReasonServiceNotFound, "the Service has no such port; correct port")
	case port.Protocol != "" && port.Protocol != "TCP":
		b.refuse(gatewayapi.ReasonUnsupportedProtocol, object.ReasonUnsupportedBackend, "the port is not for TCP; use another one")
	case port.AppProtocol == object.ProtocolH2C:
		out.H2C = true
		fallthrough
	default:
		out.Endpoints = b.endpoints(service, port)
	}
}

// endpoints are the addresses of the ready endpoints of a Service's port.
func (b *httpRef) endpoints(s *object.Service, port *object.ServicePort) []string {
	var out []string
	refused := ""
	for _, item := range b.t.endpointSlices[object.Key(s)] {
		slice := &item.Object
		for _, f := range item.Faults {
			if !f.Used {
				refused = f.Message
			}
		}
		number := slice.Port(port.Name)
		if number == 0 {
			continue
		}
		for i := range slice.Endpoints {
			e := &slice.Endpoints[i]
			if !e.Ready() || len(e.Addresses) == 0 {
				continue
			}
			addr, err := netip.ParseAddr(e.Addresses[0])
			if err != nil || addr.Zone() != "" { // a name, which is not followed
				continue
			}
			if what := upstream.Internal(addr, number); what != "" && !b.t.options.AllowAnyHost {
				refused = "an endpoint is " + what + ", which is not sent requests"
				continue
			}
			out = append(out, net.JoinHostPort(addr.String(), strconv.Itoa(number)))
		}
	}
	if len(out) == 0 {
		why := "no endpoint of the Service is ready, so requests for it are answered with 503; look at its pods"
		if refused != "" {
			why = refused + "; requests for the Service are answered with 503"
		}
		b.t.warnHTTP(b.route, object.ReasonNoEndpoints, "%s: %s", b.path, why)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// httpServices are the Services that a route may use and refers to.
func (t *translation) httpServices(r *gatewayapi.HTTPRoute) (out []object.Reference) {
	for i := range r.Spec.Rules {
		if asksModels(&r.Spec.Rules[i]) {
			continue
		}
		for j := range r.Spec.Rules[i].BackendRefs {
			b := t.httpRef(r, "", &r.Spec.Rules[i].BackendRefs[j], 0)
			if b.kind == (backendKind{kind: object.KindService}) && object.IsName(b.ref.Name) && b.permitted() {
				out = append(out, object.Reference{Kind: object.KindService, Namespace: b.namespace, Name: b.ref.Name}, object.EndpointsReference(b.namespace, b.ref.Name))
			}
		}
	}
	return out
}
