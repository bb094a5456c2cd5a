package k8ssource

import (
	"cmp"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// defaultNamespace is the namespace of an object that names none.
const defaultNamespace = "default"

// keyOf is namespace/name, which is unique among the objects of a kind.
func keyOf(o metav1.Object) string { return o.GetNamespace() + "/" + o.GetName() }

// compare orders objects that claim the same thing: the older one first, then
// by namespace and name. Objects in files have no time of creation and count as
// the newest.
func compare(a, b metav1.Object) int {
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

// advantage says why a comes before b.
func advantage(a, b metav1.Object) string {
	if compareAge(a, b) != 0 {
		return "is older"
	}
	return "comes first by namespace and name"
}
