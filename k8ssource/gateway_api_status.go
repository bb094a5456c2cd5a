package k8ssource

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/caddy-llm/gateway/k8ssource/gatewayapi"
)

// APIStatus is the status of one object of Gateway API. What is a list of conditions in it
// is without their times.
type APIStatus struct {
	Kind   string
	Object metav1.Object

	Conditions []metav1.Condition  // of a GatewayClass or Gateway
	Listeners  []APIListenerStatus // of a Gateway
	Addresses  []APIAddress        // of a Gateway: where clients reach it, none if that is not said
	Parents    []APIParentStatus   // of an HTTPRoute: the controller's alone
}

// APIAddress is where clients reach a Gateway. Type is IPAddress or Hostname.
type APIAddress struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// APIListenerStatus is the status of a listener.
type APIListenerStatus struct {
	Name           string             `json:"name"`
	SupportedKinds []APIKind          `json:"supportedKinds"`
	AttachedRoutes int                `json:"attachedRoutes"`
	Conditions     []metav1.Condition `json:"conditions"`
}

// APIKind names a kind.
type APIKind struct {
	Group string `json:"group"`
	Kind  string `json:"kind"`
}

// APIParentStatus is the status of a route at one of its parents.
type APIParentStatus struct {
	Ref        gatewayapi.ParentRef `json:"parentRef"`
	Controller string               `json:"controllerName"`
	Conditions []metav1.Condition   `json:"conditions"`
}

// GatewayAPI returns what tells the status of the objects of Gateway API that are the
// controller's, after the last Translate; nil before. unbound has the addresses of listeners
// at which nothing could listen.
func (r *Translator) GatewayAPI() func(unbound map[string]bool) []APIStatus {
	if r.api == nil {
		return nil
	}
	return r.api.statuses
}

// statuses changes nothing: it is called while the next Translate is under way.
func (a *apiGateways) statuses(unbound map[string]bool) []APIStatus {
	var out []APIStatus
	for _, class := range a.attached.Classes {
		out = append(out, APIStatus{Kind: gatewayapi.KindGatewayClass, Object: class, Conditions: []metav1.Condition{condition(class, ConditionAccepted, gatewayapi.ReasonAccepted, stated{})}})
	}
	for _, g := range a.attached.Gateways {
		out = append(out, a.gatewayStatus(g, unbound))
	}
	for _, route := range a.attached.Routes {
		status := APIStatus{Kind: gatewayapi.KindHTTPRoute, Object: route.HTTPRoute}
		for _, p := range route.Parents {
			status.Parents = append(status.Parents, a.parentStatus(route.HTTPRoute, p))
		}
		out = append(out, status)
	}
	for _, route := range a.objects.Routes {
		if !slices.ContainsFunc(a.attached.Routes, func(r *gatewayapi.AttachedRoute) bool { return r.HTTPRoute == route }) {
			out = append(out, APIStatus{Kind: gatewayapi.KindHTTPRoute, Object: route}) // it may have been one before
		}
	}
	return out
}

// condition is one that is true with the reason good unless something else is stated.
func condition(o metav1.Object, kind, good string, is stated) metav1.Condition {
	c := metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: good, Message: is.message, ObservedGeneration: o.GetGeneration()}
	if is.reason != "" {
		c.Status, c.Reason = metav1.ConditionFalse, is.reason
	}
	return c
}

func (a *apiGateways) gatewayStatus(g *gatewayapi.AttachedGateway, unbound map[string]bool) APIStatus {
	out := APIStatus{Kind: gatewayapi.KindGateway, Object: g.Gateway}
	accepted, programmed := 0, 0
	address, has := a.addresses[addressKey(g.Gateway)]
	if has {
		out.Addresses = []APIAddress{{Type: "IPAddress", Value: address.String()}}
	}
	unassigned := a.addresses != nil && !has
	for _, l := range g.Listeners {
		status := APIListenerStatus{Name: l.Name, SupportedKinds: []APIKind{}, AttachedRoutes: l.Routes}
		if l.HTTPRoutes {
			status.SupportedKinds = append(status.SupportedKinds, APIKind{gatewayapi.Group, gatewayapi.KindHTTPRoute})
		}
		state := a.states[l.Listener]
		missing := state.missing(l, unbound)
		if unassigned && state.accepted.reason == "" {
			missing = noAddress
		}
		if missing.reason == "" {
			programmed++
		}
		if state.accepted.reason == "" {
			accepted++
		}
		conflicted := condition(g, "Conflicted", "", state.conflicted)
		conflicted.Status = metav1.ConditionTrue
		if state.conflicted.reason == "" {
			conflicted.Status, conflicted.Reason = metav1.ConditionFalse, gatewayapi.ReasonNoConflicts
		}
		status.Conditions = []metav1.Condition{
			condition(g, ConditionAccepted, gatewayapi.ReasonAccepted, state.accepted), condition(g, ConditionProgrammed, reasonProgrammed, missing),
			condition(g, ConditionResolvedRefs, gatewayapi.ReasonResolvedRefs, state.resolved), conflicted,
		}
		out.Listeners = append(out.Listeners, status)
	}
	is, in := condition(g, ConditionAccepted, gatewayapi.ReasonAccepted, stated{}), condition(g, ConditionProgrammed, reasonProgrammed, stated{})
	switch {
	case accepted == 0:
		is = condition(g, ConditionAccepted, "", stated{gatewayapi.ReasonListenersNotValid, "no listener is accepted; their conditions say why"})
	case accepted < len(g.Listeners):
		is.Reason, is.Message = gatewayapi.ReasonListenersNotValid, "not all listeners are accepted; their conditions say why"
	}
	switch {
	case unassigned:
		in = condition(g, ConditionProgrammed, "", stated{gatewayapi.ReasonAddressNotAssigned, noAddress.message})
	case programmed == 0:
		in = condition(g, ConditionProgrammed, "", stated{gatewayapi.ReasonInvalid, "no listener takes requests; their conditions say why"})
	}
	out.Conditions = []metav1.Condition{is, in}
	return out
}

// noAddress is why nothing listens for a Gateway that got no address of its own.
var noAddress = stated{gatewayapi.ReasonPending, "there is no free address for the Gateway; give the source's option gateway_networks more addresses"}

// missing is why a listener takes no requests. unbound has the addresses at which nothing
// could listen.
func (s *listenerState) missing(l *gatewayapi.AttachedListener, unbound map[string]bool) stated {
	switch {
	case s.server == nil:
		return stated{gatewayapi.ReasonInvalid, "nothing is listened on for the listener; its condition Accepted says why"}
	case unbound[s.server.address]:
		return stated{gatewayapi.ReasonPending, "the gateway cannot listen at " + s.server.address + ", and tries again; its log says why: end what else listens there, give it the right to the port, or use another one"}
	case l.Protocol == "HTTPS" && s.server.Certificate == nil:
		return stated{gatewayapi.ReasonInvalid, "there is no usable certificate, so TLS handshakes fail; the condition ResolvedRefs says why"}
	case !l.HTTPRoutes:
		return stated{gatewayapi.ReasonInvalid, "no HTTPRoute may attach; add the kind HTTPRoute to allowedRoutes.kinds, or leave kinds out"}
	}
	return stated{}
}

func (a *apiGateways) parentStatus(r *gatewayapi.HTTPRoute, p *gatewayapi.Parent) APIParentStatus {
	reasons := a.reasons[r]
	accepted := reasons.accepted
	if p.Reason != gatewayapi.ReasonAccepted {
		accepted = p.Reason
	}
	var said []string
	for _, f := range a.faults[r] {
		if !slices.Contains(said, f.Message) {
			said = append(said, f.Message)
		}
	}
	message := ""
	for i, text := range said {
		if i > 0 {
			message += "\n"
		}
		message += text
	}
	return APIParentStatus{Ref: p.Ref, Controller: ControllerName, Conditions: []metav1.Condition{
		condition(r, ConditionAccepted, gatewayapi.ReasonAccepted, stated{accepted, message}), condition(r, ConditionResolvedRefs, gatewayapi.ReasonResolvedRefs, stated{reasons.resolved, ""}),
	}}
}
