package k8ssource

import (
	"cmp"
	"slices"

	"github.com/caddy-llm/gateway/k8ssource/condition"
	"github.com/caddy-llm/gateway/k8ssource/gatewayapi"
	"github.com/caddy-llm/gateway/k8ssource/object"
)

// ControllerName is what a GatewayClass names whose Gateways are served here.
const ControllerName = object.Group + "/llm-gateway"

// apiGateways is what follows from the objects of Gateway API.
type apiGateways struct {
	condition.GatewayAPI
	items   map[string]*object.Item[gatewayapi.Gateway] // of the controller's classes
	servers map[*gatewayapi.Listener]*boundServer       // of listeners that are listened for
	origins map[*gatewayapi.HTTPRoute]object.Origin     // of routes
	refused map[*gatewayapi.HTTPRoute]string            // why a route is not used
}

// GatewayAPI returns what tells the status of the objects of Gateway API that are the
// controller's, after the last Translate; nil before. unbound has the addresses of listeners
// at which nothing could listen. It may be called while the next Translate is under way.
func (r *Translator) GatewayAPI() func(unbound map[string]bool) []gatewayapi.Status {
	if r.api == nil {
		return nil
	}
	return r.api.Statuses
}

// readGatewayAPI says which Gateways of Gateway API are served here, and what attaches to
// them. A sidecar, which has an identity and listens for the mesh, serves none.
func (t *translation) readGatewayAPI() *apiGateways {
	a := &apiGateways{
		GatewayAPI: condition.GatewayAPI{
			Controller: ControllerName, Objects: &gatewayapi.Objects{Namespaces: make(map[string]map[string]string)},
			Listeners: make(map[*gatewayapi.Listener]*condition.Listener), Routes: make(map[*gatewayapi.HTTPRoute]*condition.Route),
		},
		items: make(map[string]*object.Item[gatewayapi.Gateway]), servers: make(map[*gatewayapi.Listener]*boundServer),
		origins: make(map[*gatewayapi.HTTPRoute]object.Origin), refused: make(map[*gatewayapi.HTTPRoute]string),
	}
	gateways := make(map[*gatewayapi.Gateway]*object.Item[gatewayapi.Gateway])
	if t.options.MeshListen == "" || !t.workload.Known { // without an identity every object applies
		for _, item := range t.objects.NamespaceObjects {
			a.Objects.Namespaces[item.Object.Name] = item.Object.Labels
		}
		for _, item := range latest(t, gatewayapi.KindGatewayClass, t.objects.GatewayClasses) {
			a.Objects.Classes = append(a.Objects.Classes, &item.Object)
		}
		for _, item := range latest(t, gatewayapi.KindGateway, t.objects.APIGateways) {
			if object.Refusal(item.Faults) == "" {
				gateways[&item.Object] = item
				a.Objects.Gateways = append(a.Objects.Gateways, &item.Object)
			}
			t.report(object.OriginOf(gatewayapi.KindGateway, item), item.Faults)
		}
		for _, item := range latest(t, gatewayapi.KindHTTPRoute, t.objects.HTTPRoutes) {
			a.origins[&item.Object] = object.OriginOf(gatewayapi.KindHTTPRoute, item)
			if reason := object.Refusal(item.Faults); reason == "" {
				a.Objects.Routes = append(a.Objects.Routes, &item.Object)
			} else if len(item.Object.Spec.Hostnames) > 0 { // which no other route is to get
				a.Objects.Routes = append(a.Objects.Routes, &item.Object)
				a.refused[&item.Object] = reason
				a.Route(&item.Object).Accepted = gatewayapi.ReasonUnsupportedValue
			}
			t.report(a.origins[&item.Object], item.Faults)
		}
		for _, item := range t.objects.ReferenceGrants {
			if object.Refusal(item.Faults) == "" {
				a.Objects.Grants = append(a.Objects.Grants, &item.Object)
			}
		}
	}
	slices.SortFunc(a.Objects.Gateways, func(a, b *gatewayapi.Gateway) int { return object.Compare(a, b) })
	slices.SortFunc(a.Objects.Routes, func(a, b *gatewayapi.HTTPRoute) int { return object.Compare(a, b) })
	a.Attached = gatewayapi.Attach(a.Objects, ControllerName)
	for _, g := range a.Attached.Gateways {
		a.items[object.Key(g.Gateway)] = gateways[g.Gateway]
	}
	return a
}

// gatewaysOfTarget returns the Gateways, served here, that a policy of Istio's in a namespace
// names as a target: one of its namespace or, from the root namespace, all of a class. missing
// reports that it names another one, that is not there, in a namespace with such Gateways.
func (t *translation) gatewaysOfTarget(namespace string, target object.PolicyTarget) (out []string, missing bool) {
	for _, g := range t.api.Attached.Gateways {
		missing = missing || g.Namespace == namespace
	}
	if target.Group != gatewayapi.Group || target.Namespace != "" && target.Namespace != namespace {
		return nil, false
	}
	for _, item := range t.objects.APIGateways { // it may be served elsewhere
		missing = missing && (target.Kind != gatewayapi.KindGateway || item.Object.Namespace != namespace || item.Object.Name != target.Name)
	}
	for _, g := range t.api.Attached.Gateways {
		if target.Kind == gatewayapi.KindGateway && g.Namespace == namespace && g.Name == target.Name ||
			target.Kind == gatewayapi.KindGatewayClass && namespace == t.workload.RootNamespace && g.Spec.GatewayClassName == target.Name {
			out = append(out, object.Key(g.Gateway))
		}
	}
	return out, missing && len(out) == 0
}

// gatewayAPIReferences are what Gateways and HTTPRoutes refer to: certificates, Services and
// pools.
func (t *translation) gatewayAPIReferences() (out []object.Reference, pools map[string]bool) {
	pools = make(map[string]bool)
	for _, g := range t.api.Attached.Gateways {
		for _, l := range g.Listeners {
			if l.TLS == nil {
				continue
			}
			for _, ref := range l.TLS.CertificateRefs {
				namespace := cmp.Or(ref.Namespace, g.Namespace)
				if object.IsName(ref.Name) && t.api.Objects.Permitted(gatewayapi.Group, gatewayapi.KindGateway, g.Namespace, "", object.KindSecret, namespace, ref.Name) {
					out = append(out, object.Reference{Kind: object.KindSecret, Namespace: namespace, Name: ref.Name})
				}
			}
		}
	}
	for _, r := range t.api.Attached.Routes {
		for _, key := range t.httpPools(r.HTTPRoute) {
			pools[key] = true
		}
		out = append(out, t.httpServices(r.HTTPRoute)...)
	}
	return out, pools
}
