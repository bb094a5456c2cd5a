package object

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// strictly adds what does not fit T, the status aside.
func strictly[T any](d *decoder, data []byte, faults []Fault) []Fault {
	_, faults = pruned[T](d, data, faults)
	return faults
}

// pruned adds what does not fit T, the status aside, and returns the object without
// the fields that T does not have.
func pruned[T any](d *decoder, data []byte, faults []Fault) ([]byte, []Fault) {
	var tree map[string]any
	if err := json.Unmarshal(data, &tree); err != nil {
		return data, append(faults, *Faultf(ReasonInvalidObject, "the object cannot be read"))
	}
	delete(tree, "status")
	found := CheckSchema[T](tree, d.schemas)
	if len(found) > 0 {
		if rest, err := json.Marshal(tree); err == nil {
			data = rest
		}
	}
	return data, append(faults, found...)
}

// decode reads as much of an object as fits T.
func decode[T any, P Pointer[T]](d *decoder, data []byte, line int, faults []Fault) *Item[T] {
	item := &Item[T]{File: d.file, Line: line, Faults: faults}
	err := json.Unmarshal(data, &item.Object)
	if err != nil {
		item.Object = *new(T)
		err = json.Unmarshal(essence(data), &item.Object)
	}
	// A value of the wrong type is skipped, and reported by checkSchema where
	// it matters.
	if err != nil && len(faults) == 0 {
		item.Faults = append(item.Faults, Fault{Reason: ReasonInvalidField, Message: typeError(err)})
	}
	m := metav1.Object(P(&item.Object))
	if m.GetNamespace() == "" {
		m.SetNamespace(d.namespace)
		item.Unplaced = slices.ContainsFunc(faults, func(f Fault) bool {
			return !IsWithin(f, "apiVersion") && !IsWithin(f, "spec") && !IsWithin(f, "metadata.name") && !IsWithin(f, "metadata.labels") && !IsWithin(f, "metadata.annotations")
		})
	}
	if fault := checkName(m); fault != nil && len(faults) == 0 {
		item.Faults = append(item.Faults, *fault)
	}
	return item
}

// essence is an object without what clusters write into it, of which one wrong
// value would keep the rest of the object from being read.
func essence(data []byte) []byte {
	var object, metadata map[string]json.RawMessage
	if json.Unmarshal(data, &object) != nil {
		return data
	}
	delete(object, "status")
	if json.Unmarshal(object["metadata"], &metadata) == nil {
		for _, field := range []string{"creationTimestamp", "deletionTimestamp", "managedFields"} {
			delete(metadata, field)
		}
		object["metadata"], _ = json.Marshal(metadata)
	}
	out, err := json.Marshal(object)
	if err != nil {
		return data
	}
	return out
}

// typeError says what is wrong with a value without repeating it.
func typeError(err error) string {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		return fmt.Sprintf("%s is a %s, which does not fit here", wrong.Field, strings.Fields(wrong.Value + " value")[0])
	}
	return "a value has the wrong form; values under data are in base64, and plain ones stand under stringData"
}

// nameOfObject is what the API server takes as the name of an object.
var nameOfObject = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)

func checkName(m metav1.Object) *Fault {
	switch {
	case m.GetName() == "":
		return Faultf(ReasonInvalidObject, "metadata.name is required")
	case !IsName(m.GetName()):
		return Faultf(ReasonInvalidObject, "metadata.name: this is not a name; write lower-case letters, digits, dashes and dots")
	case !IsNamespace(m.GetNamespace()):
		return Faultf(ReasonInvalidObject, "metadata.namespace: this is not a name; write lower-case letters, digits and dashes")
	}
	return nil
}

// IsName reports whether the API server takes a name as that of an object.
func IsName(name string) bool { return nameOfObject.MatchString(name) }

// IsNamespace reports whether the API server takes a name as that of a namespace.
func IsNamespace(name string) bool {
	return IsName(name) && !strings.Contains(name, ".")
}
