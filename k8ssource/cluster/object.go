package cluster

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/gatewayapi"
	"github.com/caddy-llm/gateway/k8ssource/object"
)

// lastApplied is where kubectl keeps a copy of the object, keys included.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// stored is one object of the API server in its decoded form, the only one that is
// kept.
type stored struct {
	uid             types.UID
	resourceVersion string
	// content is a hash of what the configuration can depend on: all but the
	// status and the notes of the API server.
	content [sha256.Size]byte
	// decoded is the same for as long as the content is.
	decoded *object.Set

	generation int64
	status     v1beta1.Status
	rawStatus  map[string]any // of an object of Gateway API
	parents    []any          // of the status of an InferencePool, with what others wrote
}

// decode makes an object of what the API server has sent, which it may change.
func (k kind) decode(from runtime.Object) (*stored, error) {
	var tree map[string]any
	switch from := from.(type) {
	case *unstructured.Unstructured:
		tree = from.Object
	case *metav1.PartialObjectMetadata:
		// Of these only the name counts.
		tree = map[string]any{"apiVersion": k.versions[0], "kind": k.name, "metadata": map[string]any{
			"name": from.Name, "namespace": from.Namespace, "uid": string(from.UID), "resourceVersion": from.ResourceVersion,
		}}
		if k.name == kindNamespace { // of which the labels count as well
			(&unstructured.Unstructured{Object: tree}).SetLabels(from.Labels)
		}
	default:
		return nil, fmt.Errorf("the API server sent a %T", from)
	}
	if k.name == object.KindPod {
		tree = endpointOnly(tree)
	}
	meta := unstructured.Unstructured{Object: tree}
	o := &stored{uid: meta.GetUID(), resourceVersion: meta.GetResourceVersion(), generation: meta.GetGeneration()}
	meta.SetManagedFields(nil)
	unstructured.RemoveNestedField(tree, "metadata", "annotations", lastApplied)
	data, err := json.Marshal(tree)
	if err != nil {
		return nil, err
	}
	// Numbers are those of JSON again, as in a file.
	if o.decoded, err = object.DecodeObject(data); err != nil {
		return nil, err
	}
	o.takeStatus()
	if k.name == object.KindInferencePool {
		o.parents, _, _ = unstructured.NestedSlice(tree, "status", "parents")
	}
	if k.group == gatewayapi.Group {
		o.rawStatus, _, _ = unstructured.NestedMap(tree, "status")
	}
	if k.name != object.KindPod { // of which it is all that counts
		delete(tree, "status")
	}
	if addresses, ok := o.rawStatus["addresses"]; ok && k.name == gatewayapi.KindGateway { // which all replicas go by
		tree["status"] = map[string]any{"addresses": addresses}
	}
	meta.SetResourceVersion("")
	if data, err = json.Marshal(tree); err != nil {
		return nil, err
	}
	o.content = sha256.Sum256(data)
	return o, nil
}

// endpointOnly leaves of a Pod what makes it an endpoint of a pool: all else changes more
// often than that, and is nobody's business here.
func endpointOnly(pod map[string]any) map[string]any {
	in := unstructured.Unstructured{Object: pod}
	out := unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": object.KindPod}}
	out.SetNamespace(in.GetNamespace())
	out.SetName(in.GetName())
	out.SetUID(in.GetUID())
	out.SetResourceVersion(in.GetResourceVersion())
	out.SetLabels(in.GetLabels())
	out.SetDeletionTimestamp(in.GetDeletionTimestamp())
	ip, _, _ := unstructured.NestedString(pod, "status", "podIP")
	ready := "False"
	conditions, _, _ := unstructured.NestedSlice(pod, "status", "conditions")
	for _, c := range conditions {
		if c, ok := c.(map[string]any); ok && c["type"] == "Ready" {
			ready, _ = c["status"].(string)
		}
	}
	out.Object["status"] = map[string]any{"podIP": ip, "conditions": []any{map[string]any{"type": "Ready", "status": ready}}}
	return out.Object
}

// takeStatus keeps the status of an object of the gateway's own kinds.
func (o *stored) takeStatus() {
	switch d := o.decoded; {
	case len(d.Providers) > 0:
		o.status = d.Providers[0].Object.Status
	case len(d.Routes) > 0:
		o.status = d.Routes[0].Object.Status
	case len(d.Limits) > 0:
		o.status = d.Limits[0].Object.Status
	case len(d.LLMPolicies) > 0:
		o.status = d.LLMPolicies[0].Object.Status
	}
}
