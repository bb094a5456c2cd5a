package condition

import (
	"net/netip"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/caddy-llm/gateway/k8ssource/gatewayapi"
	"github.com/caddy-llm/gateway/k8ssource/object"
)

// GatewayAPI is what became of the objects of Gateway API that are a controller's.
type GatewayAPI struct {
	Controller string // its name
	Objects    *gatewayapi.Objects
	Attached   *gatewayapi.Attached
	Listeners  map[*gatewayapi.Listener]*Listener
	Routes     map[*gatewayapi.HTTPRoute]*Route

	// Addresses are those of Gateways that have one of their own, by their AddressKey; nil if
	// all share those of the machine.
	Addresses map[string]netip.Addr
}

// Listener is what became of a listener of a Gateway.
type Listener struct {
	Address     string // where it is listened on, empty if it is not
	Certificate bool   // that can be used is there

	Accepted, Resolved, Conflicted Problem
}

// Route is what became of an HTTPRoute.
type Route struct {
	// Accepted and Resolved are the reasons why these conditions are not true, empty where
	// they are.
	Accepted, Resolved string
	Faults             []object.Fault
}

// Route is what became of a route, to be added to while the objects are translated.
func (a *GatewayAPI) Route(r *gatewayapi.HTTPRoute) *Route {
	if a.Routes[r] == nil {
		a.Routes[r] = new(Route)
	}
	return a.Routes[r]
}

// Statuses is the status of each object, of which unbound has the addresses of listeners at which
// nothing could listen. It changes nothing, so that it may be called at any time.
func (a *GatewayAPI) Statuses(unbound map[string]bool) []gatewayapi.Status {
	var out []gatewayapi.Status
	for _, class := range a.Attached.Classes {
		out = append(out, gatewayapi.Status{Kind: gatewayapi.KindGatewayClass, Object: class, Conditions: []metav1.Condition{condition(class, Accepted, gatewayapi.ReasonAccepted, Problem{})}})
	}
	for _, g := range a.Attached.Gateways {
		out = append(out, a.gatewayStatus(g, unbound))
	}
	for _, route := range a.Attached.Routes {
		status := gatewayapi.Status{Kind: gatewayapi.KindHTTPRoute, Object: route.HTTPRoute}
		for _, p := range route.Parents {
			status.Parents = append(status.Parents, a.parentStatus(route.HTTPRoute, p))
		}
		out = append(out, status)
	}
	for _, route := range a.Objects.Routes {
		if !slices.ContainsFunc(a.Attached.Routes, func(r *gatewayapi.AttachedRoute) bool { return r.HTTPRoute == route }) {
			out = append(out, gatewayapi.Status{Kind: gatewayapi.KindHTTPRoute, Object: route}) // it may have been one before
		}
	}
	return out
}

// condition is one that is true with the reason good unless something else is stated.
func condition(o metav1.Object, kind, good string, is Problem) metav1.Condition {
	c := metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: good, Message: is.Message, ObservedGeneration: o.GetGeneration()}
	if is.Reason != "" {
		c.Status, c.Reason = metav1.ConditionFalse, is.Reason
	}
	return c
}

func (a *GatewayAPI) gatewayStatus(g *gatewayapi.AttachedGateway, unbound map[string]bool) gatewayapi.Status {
	out := gatewayapi.Status{Kind: gatewayapi.KindGateway, Object: g.Gateway}
	accepted, programmed := 0, 0
	address, has := a.Addresses[g.AddressKey()]
	if has {
		out.Addresses = []gatewayapi.Address{{Type: "IPAddress", Value: address.String()}}
	}
	unassigned := a.Addresses != nil && !has
	for _, l := range g.Listeners {
		status := gatewayapi.ListenerStatus{Name: l.Name, SupportedKinds: []gatewayapi.RouteKind{}, AttachedRoutes: l.Routes}
		if l.HTTPRoutes {
			status.SupportedKinds = append(status.SupportedKinds, gatewayapi.RouteKind{Group: gatewayapi.Group, Kind: gatewayapi.KindHTTPRoute})
		}
		state := a.Listeners[l.Listener]
		missing := state.missing(l, unbound)
		if unassigned && state.Accepted.Reason == "" {
			missing = noAddress
		}
		if missing.Reason == "" {
			programmed++
		}
		if state.Accepted.Reason == "" {
			accepted++
		}
		conflicted := condition(g, "Conflicted", "", state.Conflicted)
		conflicted.Status = metav1.ConditionTrue
		if state.Conflicted.Reason == "" {
			conflicted.Status, conflicted.Reason = metav1.ConditionFalse, gatewayapi.ReasonNoConflicts
		}
		status.Conditions = []metav1.Condition{
			condition(g, Accepted, gatewayapi.ReasonAccepted, state.Accepted), condition(g, Programmed, reasonProgrammed, missing),
			condition(g, ResolvedRefs, gatewayapi.ReasonResolvedRefs, state.Resolved), conflicted,
		}
		out.Listeners = append(out.Listeners, status)
	}
	is, in := condition(g, Accepted, gatewayapi.ReasonAccepted, Problem{}), condition(g, Programmed, reasonProgrammed, Problem{})
	switch {
	case accepted == 0:
		is = condition(g, Accepted, "", Problem{gatewayapi.ReasonListenersNotValid, "no listener is accepted; their conditions say why"})
	case accepted < len(g.Listeners):
		is.Reason, is.Message = gatewayapi.ReasonListenersNotValid, "not all listeners are accepted; their conditions say why"
	}
	switch {
	case unassigned:
		in = condition(g, Programmed, "", Problem{gatewayapi.ReasonAddressNotAssigned, noAddress.Message})
	case programmed == 0:
		in = condition(g, Programmed, "", Problem{gatewayapi.ReasonInvalid, "no listener takes requests; their conditions say why"})
	}
	out.Conditions = []metav1.Condition{is, in}
	return out
}

// noAddress is why nothing listens for a Gateway that got no address of its own.
var noAddress = Problem{gatewayapi.ReasonPending, "there is no free address for the Gateway; give the source's option gateway_networks more addresses"}

// missing is why a listener takes no requests. unbound has the addresses at which nothing
// could listen.
func (s *Listener) missing(l *gatewayapi.AttachedListener, unbound map[string]bool) Problem {
	switch {
	case s.Address == "":
		return Problem{gatewayapi.ReasonInvalid, "the listener is left out; its condition Accepted says why"}
	case unbound[s.Address]:
		return Problem{gatewayapi.ReasonPending, "the gateway cannot listen at " + s.Address + ", and tries again; its log says why: end what else listens there, give it the right to the port, or use another one"}
	case l.Protocol == "HTTPS" && !s.Certificate:
		return Problem{gatewayapi.ReasonInvalid, "there is no usable certificate, so TLS handshakes fail; the condition ResolvedRefs says why"}
	case !l.HTTPRoutes:
		return Problem{gatewayapi.ReasonInvalid, "no HTTPRoute may attach; add the kind HTTPRoute to allowedRoutes.kinds, or leave kinds out"}
	}
	return Problem{}
}

func (a *GatewayAPI) parentStatus(r *gatewayapi.HTTPRoute, p *gatewayapi.Parent) gatewayapi.ParentStatus {
	var route Route
	if known := a.Routes[r]; known != nil {
		route = *known
	}
	accepted := route.Accepted
	if p.Reason != gatewayapi.ReasonAccepted {
		accepted = p.Reason
	}
	var said []string
	for _, f := range route.Faults {
		if !slices.Contains(said, f.Message) {
			said = append(said, f.Message)
		}
	}
	return gatewayapi.ParentStatus{Ref: p.Ref, Controller: a.Controller, Conditions: []metav1.Condition{
		condition(r, Accepted, gatewayapi.ReasonAccepted, Problem{accepted, joined(said)}), condition(r, ResolvedRefs, gatewayapi.ReasonResolvedRefs, Problem{route.Resolved, ""}),
	}}
}
