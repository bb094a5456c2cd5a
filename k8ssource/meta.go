package k8ssource

import (
	"cmp"
	"encoding/json"
	"strings"
	"time"
)

// TypeMeta names an object's kind and the version of its schema.
type TypeMeta struct {
	// The API group and version, such as `istio.alibabacloud.com/v1beta1`.
	APIVersion string `json:"apiVersion,omitempty"`

	// The kind, such as `LLMProvider`.
	Kind string `json:"kind,omitempty"`
}

// ObjectMeta is what the gateway reads of a Kubernetes object's metadata. The
// fields below it are known, so that an object printed by kubectl is accepted,
// and not used.
type ObjectMeta struct {
	// The object's name, unique in its namespace among those of its kind.
	Name string `json:"name,omitempty"`

	// The object's namespace. Default: `default`.
	Namespace string `json:"namespace,omitempty"`

	// Labels of the object itself. They select nothing.
	Labels map[string]string `json:"labels,omitempty"`

	// Annotations of the object.
	Annotations map[string]string `json:"annotations,omitempty"`

	// When the object was created. Of two objects that claim the same thing the
	// older has it. Objects in files have no such time and count as the newest.
	CreationTimestamp *Time `json:"creationTimestamp,omitempty"`

	// The number of the object's last change of its spec.
	Generation int64 `json:"generation,omitempty"`

	GenerateName               any `json:"generateName,omitempty"`
	SelfLink                   any `json:"selfLink,omitempty"`
	UID                        any `json:"uid,omitempty"`
	ResourceVersion            any `json:"resourceVersion,omitempty"`
	DeletionTimestamp          any `json:"deletionTimestamp,omitempty"`
	DeletionGracePeriodSeconds any `json:"deletionGracePeriodSeconds,omitempty"`
	OwnerReferences            any `json:"ownerReferences,omitempty"`
	Finalizers                 any `json:"finalizers,omitempty"`
	ManagedFields              any `json:"managedFields,omitempty"`
}

// Time is a point in time, written as in RFC 3339.
type Time struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler. What is no time becomes the zero
// time: an error would keep the rest of the object from being read.
func (t *Time) UnmarshalJSON(data []byte) error {
	if err := t.Time.UnmarshalJSON(data); err != nil {
		t.Time = time.Time{}
	}
	return nil
}

// defaultNamespace is the namespace of an object that names none.
const defaultNamespace = "default"

// key is namespace/name, which is unique among the objects of a kind.
func (m *ObjectMeta) key() string { return m.Namespace + "/" + m.Name }

// compare orders objects that claim the same thing: the older one first, then
// by namespace and name.
func (m *ObjectMeta) compare(other *ObjectMeta) int {
	return cmp.Or(m.compareAge(other), strings.Compare(m.Namespace, other.Namespace), strings.Compare(m.Name, other.Name))
}

func (m *ObjectMeta) compareAge(other *ObjectMeta) int {
	a, b := m.CreationTimestamp, other.CreationTimestamp
	switch {
	case a != nil && b != nil:
		return a.Compare(b.Time)
	case a != nil:
		return -1
	case b != nil:
		return 1
	}
	return 0
}

// advantage says why m comes before other.
func (m *ObjectMeta) advantage(other *ObjectMeta) string {
	if m.compareAge(other) != 0 {
		return "is older"
	}
	return "comes first by namespace and name"
}

// Interface guards
var _ json.Unmarshaler = (*Time)(nil)
