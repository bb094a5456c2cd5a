package gatewayapi

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Status is the status of one object of Gateway API. What is a list of conditions in it
// is without their times.
type Status struct {
	Kind   string
	Object metav1.Object

	Conditions []metav1.Condition // of a GatewayClass or Gateway
	Listeners  []ListenerStatus   // of a Gateway
	Addresses  []Address          // of a Gateway: where clients reach it, none if that is not said
	Parents    []ParentStatus     // of an HTTPRoute: the controller's alone
}

// Address is where clients reach a Gateway. Type is IPAddress or Hostname.
type Address struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// ListenerStatus is the status of a listener.
type ListenerStatus struct {
	Name           string             `json:"name"`
	SupportedKinds []RouteKind        `json:"supportedKinds"`
	AttachedRoutes int                `json:"attachedRoutes"`
	Conditions     []metav1.Condition `json:"conditions"`
}

// RouteKind names a kind of routes.
type RouteKind struct {
	Group string `json:"group"`
	Kind  string `json:"kind"`
}

// ParentStatus is the status of a route at one of its parents.
type ParentStatus struct {
	Ref        ParentRef          `json:"parentRef"`
	Controller string             `json:"controllerName"`
	Conditions []metav1.Condition `json:"conditions"`
}
