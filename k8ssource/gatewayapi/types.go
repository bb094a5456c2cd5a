// Package gatewayapi is what the gateway reads of Gateway API (gateway.networking.k8s.io/v1),
// who may attach to what (Attach: listeners, routes, grants), which addresses Gateways get
// (Attached.Addresses), and the form of their status. It knows nothing of providers and models;
// of the gateway it imports internal/host alone. Start reading at Attach.
package gatewayapi

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

const (
	// Group is the API group of the objects.
	Group = "gateway.networking.k8s.io"

	// KindGatewayClass is the kind of a GatewayClass.
	KindGatewayClass = "GatewayClass"
	// KindGateway is the kind of a Gateway.
	KindGateway = "Gateway"
	// KindHTTPRoute is the kind of an HTTPRoute.
	KindHTTPRoute = "HTTPRoute"
	// KindReferenceGrant is the kind of a ReferenceGrant.
	KindReferenceGrant = "ReferenceGrant"
)

// GatewayClass says which controller serves the Gateways of the class.
type GatewayClass struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	Spec struct {
		ControllerName string `json:"controllerName,omitempty"`
		Description    string `json:"description,omitempty"`
		ParametersRef  any    `json:"parametersRef,omitempty"`
	} `json:"spec,omitzero"`
}

// Gateway says where to listen, and which routes may attach.
type Gateway struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	Spec struct {
		GatewayClassName string     `json:"gatewayClassName,omitempty"`
		Listeners        []Listener `json:"listeners,omitempty"`
	} `json:"spec,omitzero"`

	// Status is what a controller said before.
	Status struct {
		Addresses []struct {
			Value string `json:"value,omitempty"`
		} `json:"addresses,omitempty"`
	} `json:"status,omitzero"`
}

// Listener is a port with a host.
type Listener struct {
	Name     string `json:"name,omitempty"`
	Hostname string `json:"hostname,omitempty"`
	Port     int32  `json:"port,omitempty"`
	Protocol string `json:"protocol,omitempty"`
	TLS      *struct {
		Mode            string            `json:"mode,omitempty"`
		CertificateRefs []ObjectRef       `json:"certificateRefs,omitempty"`
		Options         map[string]string `json:"options,omitempty"`
	} `json:"tls,omitempty"`
	AllowedRoutes *struct {
		Namespaces *struct {
			From     string                `json:"from,omitempty"`
			Selector *metav1.LabelSelector `json:"selector,omitempty"`
		} `json:"namespaces,omitempty"`
		Kinds []struct {
			Group *string `json:"group,omitempty"`
			Kind  string  `json:"kind,omitempty"`
		} `json:"kinds,omitempty"`
	} `json:"allowedRoutes,omitempty"`
}

// ObjectRef names an object. What is not said is what the field that has it says.
type ObjectRef struct {
	Group     *string `json:"group,omitempty"`
	Kind      string  `json:"kind,omitempty"`
	Namespace string  `json:"namespace,omitempty"`
	Name      string  `json:"name,omitempty"`
}

// HTTPRoute says where the requests of Gateways go.
type HTTPRoute struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	Spec struct {
		ParentRefs []ParentRef `json:"parentRefs,omitempty"`
		Hostnames  []string    `json:"hostnames,omitempty"`
		Rules      []Rule      `json:"rules,omitempty"`
	} `json:"spec,omitzero"`
}

// ParentRef names the Gateway that a route attaches to, or one of its listeners.
type ParentRef struct {
	ObjectRef   `json:",inline"`
	SectionName string `json:"sectionName,omitempty"`
	Port        int32  `json:"port,omitempty"`
}

// Rule is a rule of an HTTPRoute.
type Rule struct {
	Name        string       `json:"name,omitempty"`
	Matches     []Match      `json:"matches,omitempty"`
	Filters     []Filter     `json:"filters,omitempty"`
	BackendRefs []BackendRef `json:"backendRefs,omitempty"`
	Timeouts    any          `json:"timeouts,omitempty"`
	Retry       any          `json:"retry,omitempty"`
}

// Match is an entry of a rule's matches. All that is set must match.
type Match struct {
	Path        *Value  `json:"path,omitempty"`
	Headers     []Value `json:"headers,omitempty"`
	QueryParams []Value `json:"queryParams,omitempty"`
	Method      string  `json:"method,omitempty"`
}

// Value is what something must be. Type is Exact, PathPrefix or RegularExpression.
type Value struct {
	Type  string `json:"type,omitempty"`
	Name  string `json:"name,omitempty"`
	Value string `json:"value,omitempty"`
}

// Filter is something that is done with a request or response. Type says which field is
// set.
type Filter struct {
	Type                   string          `json:"type,omitempty"`
	RequestHeaderModifier  *HeaderFilter   `json:"requestHeaderModifier,omitempty"`
	ResponseHeaderModifier *HeaderFilter   `json:"responseHeaderModifier,omitempty"`
	RequestRedirect        *RedirectFilter `json:"requestRedirect,omitempty"`
	URLRewrite             *RewriteFilter  `json:"urlRewrite,omitempty"`

	// These are not supported.
	RequestMirror any `json:"requestMirror,omitempty"`
	CORS          any `json:"cors,omitempty"`
	ExternalAuth  any `json:"externalAuth,omitempty"`
	ExtensionRef  any `json:"extensionRef,omitempty"`
}

// HeaderFilter changes headers.
type HeaderFilter struct {
	Set    []HeaderValue `json:"set,omitempty"`
	Add    []HeaderValue `json:"add,omitempty"`
	Remove []string      `json:"remove,omitempty"`
}

// HeaderValue is a header with its value.
type HeaderValue struct {
	Name  string `json:"name,omitempty"`
	Value string `json:"value,omitempty"`
}

// RedirectFilter redirects clients. What is not set is as in the request.
type RedirectFilter struct {
	Scheme     string      `json:"scheme,omitempty"`
	Hostname   string      `json:"hostname,omitempty"`
	Path       *PathFilter `json:"path,omitempty"`
	Port       int32       `json:"port,omitempty"`
	StatusCode int         `json:"statusCode,omitempty"`
}

// RewriteFilter changes the host and path of requests.
type RewriteFilter struct {
	Hostname string      `json:"hostname,omitempty"`
	Path     *PathFilter `json:"path,omitempty"`
}

// PathFilter changes a path. Type is ReplaceFullPath or ReplacePrefixMatch.
type PathFilter struct {
	Type               string `json:"type,omitempty"`
	ReplaceFullPath    string `json:"replaceFullPath,omitempty"`
	ReplacePrefixMatch string `json:"replacePrefixMatch,omitempty"`
}

// BackendRef is where requests go.
type BackendRef struct {
	ObjectRef `json:",inline"`
	Port      int32    `json:"port,omitempty"`
	Weight    *int32   `json:"weight,omitempty"`
	Filters   []Filter `json:"filters,omitempty"`
}

// ReferenceGrant lets objects of other namespaces refer to those of its own.
type ReferenceGrant struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	Spec struct {
		From []struct {
			Group     string `json:"group,omitempty"`
			Kind      string `json:"kind,omitempty"`
			Namespace string `json:"namespace,omitempty"`
		} `json:"from,omitempty"`
		To []struct {
			Group string `json:"group,omitempty"`
			Kind  string `json:"kind,omitempty"`
			Name  string `json:"name,omitempty"`
		} `json:"to,omitempty"`
	} `json:"spec,omitzero"`
}
