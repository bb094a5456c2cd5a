package gatewayapi

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/caddy-llm/gateway/internal/host"
)

// Objects are what Attach works on.
type Objects struct {
	Classes  []*GatewayClass
	Gateways []*Gateway
	Routes   []*HTTPRoute
	Grants   []*ReferenceGrant

	// Namespaces are the labels of namespaces. A selector matches no other ones.
	Namespaces map[string]map[string]string
}

// The reasons of conditions, as the API has them.
const (
	ReasonAccepted                  = "Accepted"
	ReasonUnsupportedProtocol       = "UnsupportedProtocol"
	ReasonUnsupportedValue          = "UnsupportedValue"
	ReasonPortUnavailable           = "PortUnavailable"
	ReasonProtocolConflict          = "ProtocolConflict"
	ReasonHostnameConflict          = "HostnameConflict"
	ReasonNoConflicts               = "NoConflicts"
	ReasonInvalidRouteKinds         = "InvalidRouteKinds"
	ReasonInvalidKind               = "InvalidKind"
	ReasonBackendNotFound           = "BackendNotFound"
	ReasonInvalidCertificateRef     = "InvalidCertificateRef"
	ReasonInvalid                   = "Invalid"
	ReasonPending                   = "Pending"
	ReasonAddressNotAssigned        = "AddressNotAssigned"
	ReasonResolvedRefs              = "ResolvedRefs"
	ReasonNotAllowedByListeners     = "NotAllowedByListeners"
	ReasonNoMatchingListenerHost    = "NoMatchingListenerHostname"
	ReasonNoMatchingParent          = "NoMatchingParent"
	ReasonRefNotPermitted           = "RefNotPermitted"
	ReasonListenersNotValid         = "ListenersNotValid"
	reasonFromAll, reasonFromSelect = "All", "Selector"
)

// Attached is what follows from the objects for one controller.
type Attached struct {
	Classes  []*GatewayClass
	Gateways []*AttachedGateway
	Routes   []*AttachedRoute
}

// AttachedGateway is a Gateway of the controller's classes.
type AttachedGateway struct {
	*Gateway
	Listeners []*AttachedListener // all, in their order
}

// AttachedListener is a listener with the routes that are attached.
type AttachedListener struct {
	*Listener
	Gateway *Gateway

	Unsupported  bool // the protocol is not supported
	InvalidKinds bool // a kind of routes is asked for that is not supported
	HTTPRoutes   bool // these may attach
	Routes       int  // that are attached
}

// AttachedRoute is a route with a parent of the controller's.
type AttachedRoute struct {
	*HTTPRoute
	Parents []*Parent
}

// Parent is one of a route's parents.
type Parent struct {
	Ref    ParentRef
	Reason string // of the condition Accepted, which is true with ReasonAccepted alone
	Hosts  []Host
}

// Host is a host that a route has at a listener.
type Host struct {
	Listener *AttachedListener
	Name     string // `*` for any
}

// Attach says which of the objects are the controller's, and which routes attach where.
func Attach(o *Objects, controller string) *Attached {
	out := new(Attached)
	classes := make(map[string]bool)
	for _, class := range o.Classes {
		if class.Spec.ControllerName == controller {
			classes[class.Name] = true
			out.Classes = append(out.Classes, class)
		}
	}
	gateways := make(map[string]*AttachedGateway)
	for _, g := range o.Gateways {
		if !classes[g.Spec.GatewayClassName] {
			continue
		}
		attached := &AttachedGateway{Gateway: g}
		for i := range g.Spec.Listeners {
			attached.Listeners = append(attached.Listeners, newListener(g, &g.Spec.Listeners[i]))
		}
		gateways[g.Namespace+"/"+g.Name] = attached
		out.Gateways = append(out.Gateways, attached)
	}
	for _, r := range o.Routes {
		route := &AttachedRoute{HTTPRoute: r}
		for _, ref := range r.Spec.ParentRefs {
			g := gateways[cmp.Or(ref.Namespace, r.Namespace)+"/"+ref.Name]
			if g != nil && ref.isGateway() {
				route.Parents = append(route.Parents, attach(o, r, ref, g))
			}
		}
		if len(route.Parents) > 0 {
			out.Routes = append(out.Routes, route)
			route.count()
		}
	}
	return out
}

// newListener looks at a listener.
func newListener(g *Gateway, l *Listener) *AttachedListener {
	out := &AttachedListener{Listener: l, Gateway: g, Unsupported: l.Protocol != "HTTP" && l.Protocol != "HTTPS"}
	if l.AllowedRoutes == nil || len(l.AllowedRoutes.Kinds) == 0 {
		out.HTTPRoutes = !out.Unsupported
		return out
	}
	for _, kind := range l.AllowedRoutes.Kinds {
		if kind.Kind == KindHTTPRoute && (kind.Group == nil || *kind.Group == Group) && !out.Unsupported {
			out.HTTPRoutes = true
		} else {
			out.InvalidKinds = true
		}
	}
	return out
}

func (r *ParentRef) isGateway() bool {
	return (r.Group == nil || *r.Group == Group) && (r.Kind == "" || r.Kind == KindGateway)
}

// attach attaches a route to the listeners that its reference means.
func attach(o *Objects, r *HTTPRoute, ref ParentRef, g *AttachedGateway) *Parent {
	p := &Parent{Ref: ref, Reason: ReasonNoMatchingParent}
	rank := map[string]int{ReasonNoMatchingParent: 0, ReasonNotAllowedByListeners: 1, ReasonNoMatchingListenerHost: 2}
	for _, l := range g.Listeners {
		if ref.SectionName != "" && ref.SectionName != l.Name || ref.Port != 0 && ref.Port != l.Port {
			continue
		}
		why := ReasonNoMatchingListenerHost
		switch hosts := Intersect(l.Hostname, r.Spec.Hostnames); {
		case !l.HTTPRoutes, !l.admits(o, r.Namespace):
			why = ReasonNotAllowedByListeners
		case len(hosts) > 0:
			for _, name := range hosts {
				p.Hosts = append(p.Hosts, Host{l, name})
			}
			continue
		}
		if rank[why] > rank[p.Reason] {
			p.Reason = why
		}
	}
	if len(p.Hosts) > 0 {
		p.Reason = ReasonAccepted
	}
	return p
}

// count counts the route at each listener once.
func (r *AttachedRoute) count() {
	seen := make(map[*AttachedListener]bool)
	for _, p := range r.Parents {
		for _, at := range p.Hosts {
			if !seen[at.Listener] {
				seen[at.Listener] = true
				at.Listener.Routes++
			}
		}
	}
}

// admits reports whether routes of a namespace may attach.
func (l *AttachedListener) admits(o *Objects, namespace string) bool {
	if l.AllowedRoutes == nil || l.AllowedRoutes.Namespaces == nil {
		return namespace == l.Gateway.Namespace
	}
	switch from := l.AllowedRoutes.Namespaces; from.From {
	case reasonFromAll:
		return true
	case reasonFromSelect:
		if from.Selector == nil {
			return false
		}
		selector, err := metav1.LabelSelectorAsSelector(from.Selector)
		known, ok := o.Namespaces[namespace]
		return err == nil && ok && selector.Matches(labels.Set(known))
	case "", "Same":
		return namespace == l.Gateway.Namespace
	}
	return false
}

// Intersect returns the hosts that a route with hostnames has at a listener: those in
// both, in their normal form, `*` for any.
func Intersect(listener string, hostnames []string) []string {
	listener, ok := host.Name(cmp.Or(listener, "*"))
	if !ok {
		return nil
	}
	if len(hostnames) == 0 {
		return []string{listener}
	}
	var out []string
	for _, name := range hostnames {
		name, ok := host.Name(name)
		if !ok {
			continue
		}
		if both := host.Intersect(listener, name); both != "" && !slices.Contains(out, both) {
			out = append(out, both)
		}
	}
	return out
}

// Permitted reports whether an object of a kind in a namespace may refer to another one,
// by its namespace or a ReferenceGrant.
func (o *Objects) Permitted(fromGroup, fromKind, fromNamespace, group, kind, namespace, name string) bool {
	if namespace == fromNamespace {
		return true
	}
	for _, grant := range o.Grants {
		if grant.Namespace != namespace {
			continue
		}
		from, to := false, false
		for _, f := range grant.Spec.From {
			from = from || f.Group == fromGroup && f.Kind == fromKind && f.Namespace == fromNamespace
		}
		for _, t := range grant.Spec.To {
			to = to || t.Group == group && t.Kind == kind && (t.Name == "" || t.Name == name)
		}
		if from && to {
			return true
		}
	}
	return false
}
