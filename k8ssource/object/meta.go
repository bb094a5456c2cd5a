package object

import (
	"cmp"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DefaultNamespace is the namespace of an object that names none.
const DefaultNamespace = "default"

// Key is namespace/name, which is unique among the objects of a kind.
func Key(o metav1.Object) string { return o.GetNamespace() + "/" + o.GetName() }

// Compare orders objects that claim the same thing: the older one first, then
// by namespace and name. Objects in files have no time of creation and count as
// the newest.
func Compare(a, b metav1.Object) int {
	return cmp.Or(compareAge(a, b), strings.Compare(a.GetNamespace(), b.GetNamespace()), strings.Compare(a.GetName(), b.GetName()))
}

func compareAge(a, b metav1.Object) int {
	x, y := a.GetCreationTimestamp(), b.GetCreationTimestamp()
	switch {
	case x.IsZero() && y.IsZero():
		return 0
	case x.IsZero():
		return 1
	case y.IsZero():
		return -1
	}
	return x.Compare(y.Time)
}

// Advantage says why a comes before b.
func Advantage(a, b metav1.Object) string {
	if compareAge(a, b) != 0 {
		return "is older"
	}
	return "comes first by namespace and name"
}

// HasLabels reports whether labels has all of want.
func HasLabels(labels, want map[string]string) bool {
	for k, v := range want {
		if have, ok := labels[k]; !ok || have != v {
			return false
		}
	}
	return true
}

// Pointer is a pointer to an object with metadata.
type Pointer[T any] interface {
	*T
	metav1.Object
}
