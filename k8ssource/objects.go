package k8ssource

import (
	"fmt"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
)

// Objects are the objects that Translate works on.
type Objects struct {
	Providers  []*Item[v1beta1.LLMProvider]
	Routes     []*Item[v1beta1.LLMRoute]
	Gateways   []*Item[Gateway]
	Services   []*Item[Service]
	Secrets    []*Item[Secret]
	ConfigMaps []*Item[ConfigMap]

	Pools          []*Item[InferencePool]
	Pods           []*Item[Pod]
	EndpointSlices []*Item[EndpointSlice]

	Policies        []*Item[AuthorizationPolicy]
	Authentications []*Item[RequestAuthentication]

	// Strays are documents that were meant to be one of these and are not.
	Strays []*Item[Stray]

	// Namespaces are those that objects of files are in, of whatever kind, apart from
	// Policies and Authentications.
	Namespaces map[string]bool
}

// Item is an object with where it was read.
type Item[T any] struct {
	Object T

	// File is the file the object was read from, as its path was given. It is
	// empty for one from a cluster.
	File string

	// Line is the first line of the object's document, from 1.
	Line int

	// Faults are what reading found wrong with the object. One that has any is
	// not used, but what could be read of it is still in Object. One that says who
	// may call is used as far as it could be read, so that no more requests pass.
	Faults []Fault

	// unplaced reports whether the object names no namespace, and what it names may be
	// what could not be read.
	unplaced bool
}

// Fault is something wrong with an object. Its fields are those of
// llmroute.Finding.
type Fault struct {
	Reason  string
	Message string

	// Used is true if the object is used all the same.
	Used bool
}

// Stray is a document of which no object could be made.
type Stray struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`
}

// The reasons of findings.
const (
	ReasonUnknownField       = "UnknownField"
	ReasonInvalidField       = "InvalidField"
	ReasonInvalidObject      = "InvalidObject"
	ReasonInvalidKey         = "InvalidKey"
	ReasonInvalidSecret      = "InvalidSecret"
	ReasonSecretNotFound     = "SecretNotFound"
	ReasonSecretForbidden    = "SecretForbidden"
	ReasonHostNotAllowed     = "HostNotAllowed"
	ReasonNoCredentials      = "NoCredentials"
	ReasonConflict           = "Conflict"
	ReasonReplaced           = "Replaced"
	ReasonInvalidMatch       = "InvalidMatch"
	ReasonInvalidBackend     = "InvalidBackend"
	ReasonInvalidWeights     = "InvalidWeights"
	ReasonProviderNotFound   = "ProviderNotFound"
	ReasonProviderRefused    = "ProviderRefused"
	ReasonUnsupportedBackend = "UnsupportedBackend"
	ReasonPoolNotFound       = "PoolNotFound"
	ReasonPoolRefused        = "PoolRefused"
	ReasonPoolNotPermitted   = "PoolNotPermitted"
	ReasonNoEndpoints        = "NoEndpoints"
	ReasonPodsForbidden      = "PodsForbidden"
	ReasonInvalidPicker      = "InvalidEndpointPicker"
	ReasonGatewayNotFound    = "GatewayNotFound"
	ReasonHostNotServed      = "HostNotServed"
	ReasonUnsupportedServer  = "UnsupportedServer"
	ReasonUnsupportedField   = "UnsupportedField"
	ReasonCatchAllHost       = "CatchAllHost"
	ReasonForeignSettings    = "ForeignSettings"
	ReasonDroppedHeader      = "DroppedHeader"
	ReasonUnknownIdentity    = "UnknownIdentity"
	ReasonUnreadableFile     = "UnreadableFile"
	ReasonOtherNamespace     = "OtherNamespace"
	ReasonUnsupportedTarget  = "UnsupportedTarget"
	ReasonInvalidMesh        = "InvalidMeshConfig"
	ReasonMeshForbidden      = "MeshConfigForbidden"

	ReasonExtensionProviderNotFound = "ExtensionProviderNotFound"
	ReasonExtensionProviderRefused  = "ExtensionProviderRefused"
)

// origin tells where the object is, with its line.
func (i *Item[T]) origin() string {
	if i.File == "" {
		return ""
	}
	return i.File + ":" + strconv.Itoa(i.Line)
}

// splitOrigin takes what origin makes apart.
func splitOrigin(origin string) (file string, line int) {
	if i := strings.LastIndexByte(origin, ':'); i >= 0 {
		if n, err := strconv.Atoi(origin[i+1:]); err == nil {
			return origin[:i], n
		}
	}
	return origin, 0
}

// Add appends the objects of other.
func (o *Objects) Add(other *Objects) {
	o.Providers = append(o.Providers, other.Providers...)
	o.Routes = append(o.Routes, other.Routes...)
	o.Gateways = append(o.Gateways, other.Gateways...)
	o.Services = append(o.Services, other.Services...)
	o.Secrets = append(o.Secrets, other.Secrets...)
	o.ConfigMaps = append(o.ConfigMaps, other.ConfigMaps...)
	o.Pools = append(o.Pools, other.Pools...)
	o.Pods = append(o.Pods, other.Pods...)
	o.EndpointSlices = append(o.EndpointSlices, other.EndpointSlices...)
	o.Policies = append(o.Policies, other.Policies...)
	o.Authentications = append(o.Authentications, other.Authentications...)
	o.Strays = append(o.Strays, other.Strays...)
	for namespace := range other.Namespaces {
		o.inNamespace(namespace)
	}
}

// inNamespace notes that there is an object in a namespace.
func (o *Objects) inNamespace(namespace string) {
	if o.Namespaces == nil {
		o.Namespaces = make(map[string]bool)
	}
	o.Namespaces[namespace] = true
}

// faultf makes a fault that keeps its object from being used.
func faultf(reason, format string, args ...any) *Fault {
	return &Fault{Reason: reason, Message: fmt.Sprintf(format, args...)}
}
