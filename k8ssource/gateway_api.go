package k8ssource

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/caddy-llm/gateway/k8ssource/gatewayapi"
	"github.com/caddy-llm/gateway/k8ssource/object"
)

// ControllerName is what a GatewayClass names whose Gateways are served here.
const ControllerName = object.Group + "/llm-gateway"

// apiGateways is what follows from the objects of Gateway API.
type apiGateways struct {
	objects  *gatewayapi.Objects
	attached *gatewayapi.Attached
	items    map[string]*object.Item[gatewayapi.Gateway] // of the controller's classes
	states   map[*gatewayapi.Listener]*listenerState
	faults   map[*gatewayapi.HTTPRoute][]object.Fault // of routes
	reasons  map[*gatewayapi.HTTPRoute]routeReasons   // of the conditions of routes
	origins  map[*gatewayapi.HTTPRoute]object.Origin  // of routes
	refused  map[*gatewayapi.HTTPRoute]string         // why a route is not used

	// addresses are those of Gateways that have one of their own, by addressKey; nil if
	// all share those of the machine.
	addresses map[string]netip.Addr
}

// routeReasons are why conditions of a route are not true, empty where they are.
type routeReasons struct{ accepted, resolved string }

// listenerState is what became of a listener.
type listenerState struct {
	server *boundServer // nil if nothing is listened on for it

	// Why conditions are not as they should be.
	accepted, resolved, conflicted stated
}

// addressKey is what is known of a Gateway's address by. One of the same name that is made
// anew is another one.
func addressKey(g *gatewayapi.Gateway) string { return object.Key(g) + " " + string(g.UID) }

// stated is what a condition says, empty if it is as it should be.
type stated struct{ reason, message string }

// readGatewayAPI says which Gateways of Gateway API are served here, and what attaches to
// them. A sidecar, which has an identity and listens for the mesh, serves none.
func (t *translation) readGatewayAPI() *apiGateways {
	a := &apiGateways{
		objects: &gatewayapi.Objects{Namespaces: make(map[string]map[string]string)}, items: make(map[string]*object.Item[gatewayapi.Gateway]),
		states: make(map[*gatewayapi.Listener]*listenerState), faults: make(map[*gatewayapi.HTTPRoute][]object.Fault),
		reasons: make(map[*gatewayapi.HTTPRoute]routeReasons), origins: make(map[*gatewayapi.HTTPRoute]object.Origin), refused: make(map[*gatewayapi.HTTPRoute]string),
	}
	gateways := make(map[*gatewayapi.Gateway]*object.Item[gatewayapi.Gateway])
	if t.options.MeshListen == "" || !t.workload.Known { // without an identity every object applies
		for _, item := range t.objects.NamespaceObjects {
			a.objects.Namespaces[item.Object.Name] = item.Object.Labels
		}
		for _, item := range latest(t, gatewayapi.KindGatewayClass, t.objects.GatewayClasses) {
			a.objects.Classes = append(a.objects.Classes, &item.Object)
		}
		for _, item := range latest(t, gatewayapi.KindGateway, t.objects.APIGateways) {
			if object.Refusal(item.Faults) == "" {
				gateways[&item.Object] = item
				a.objects.Gateways = append(a.objects.Gateways, &item.Object)
			}
			t.report(object.OriginOf(gatewayapi.KindGateway, item), item.Faults)
		}
		for _, item := range latest(t, gatewayapi.KindHTTPRoute, t.objects.HTTPRoutes) {
			a.origins[&item.Object] = object.OriginOf(gatewayapi.KindHTTPRoute, item)
			if reason := object.Refusal(item.Faults); reason == "" {
				a.objects.Routes = append(a.objects.Routes, &item.Object)
			} else if len(item.Object.Spec.Hostnames) > 0 { // which no other route is to get
				a.objects.Routes = append(a.objects.Routes, &item.Object)
				a.refused[&item.Object] = reason
				a.reasons[&item.Object] = routeReasons{accepted: gatewayapi.ReasonUnsupportedValue}
			}
			t.report(a.origins[&item.Object], item.Faults)
		}
		for _, item := range t.objects.ReferenceGrants {
			if object.Refusal(item.Faults) == "" {
				a.objects.Grants = append(a.objects.Grants, &item.Object)
			}
		}
	}
	slices.SortFunc(a.objects.Gateways, func(a, b *gatewayapi.Gateway) int { return object.Compare(a, b) })
	slices.SortFunc(a.objects.Routes, func(a, b *gatewayapi.HTTPRoute) int { return object.Compare(a, b) })
	a.attached = gatewayapi.Attach(a.objects, ControllerName)
	for _, g := range a.attached.Gateways {
		a.items[object.Key(g.Gateway)] = gateways[g.Gateway]
	}
	return a
}

// gatewayAPIReferences are what Gateways and HTTPRoutes refer to: certificates, Services and
// pools.
func (t *translation) gatewayAPIReferences() (out []object.Reference, pools map[string]bool) {
	pools = make(map[string]bool)
	for _, g := range t.api.attached.Gateways {
		for _, l := range g.Listeners {
			if l.TLS == nil {
				continue
			}
			for _, ref := range l.TLS.CertificateRefs {
				namespace := cmp.Or(ref.Namespace, g.Namespace)
				if object.IsName(ref.Name) && t.api.objects.Permitted(gatewayapi.Group, gatewayapi.KindGateway, g.Namespace, "", object.KindSecret, namespace, ref.Name) {
					out = append(out, object.Reference{Kind: object.KindSecret, Namespace: namespace, Name: ref.Name})
				}
			}
		}
	}
	for _, r := range t.api.attached.Routes {
		for _, key := range t.httpPools(r.HTTPRoute) {
			pools[key] = true
		}
		out = append(out, t.httpServices(r.HTTPRoute)...)
	}
	return out, pools
}
