package object

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/caddy-llm/gateway/k8ssource/api/v1alpha1"
)

// MaxFaults is the most faults that are reported of one object's fields.
const MaxFaults = 20

// CheckSchema finds what in tree, an object decoded without a type, does not
// fit T: fields that T does not have, which it takes out, and values of other types.
// Messages name the field by its path and never repeat its value, which may be a key.
func CheckSchema[T any](tree map[string]any, known Schemas) []Fault {
	c := &schemaChecker{known: known}
	c.check(tree, reflect.TypeFor[T](), "")
	return c.faults
}

// Schemas holds the fields of structs by name, as they are found out.
type Schemas map[reflect.Type]map[string]reflect.Type

type schemaChecker struct {
	known  Schemas
	faults []Fault
}

func (c *schemaChecker) report(reason, path, format string, args ...any) {
	if len(c.faults) < MaxFaults {
		c.faults = append(c.faults, Fault{Reason: reason, Message: path + ": " + fmt.Sprintf(format, args...)})
	}
}

func (c *schemaChecker) check(value any, t reflect.Type, path string) {
	if value == nil {
		return // the same as leaving it out
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t {
	case reflect.TypeFor[metav1.Time]():
		text, ok := value.(string)
		if _, err := time.Parse(time.RFC3339, text); !ok || err != nil {
			c.report(ReasonInvalidField, path, "not a time; write one such as 2026-01-31T12:00:00Z")
		}
		return
	case reflect.TypeFor[metav1.FieldsV1]():
		return // whatever the API server wrote about who owns which field
	case reflect.TypeFor[v1alpha1.Number]():
		switch value := value.(type) {
		case string:
			return
		case float64:
			if value == math.Trunc(value) {
				return
			}
			c.report(ReasonInvalidField, path, "this has decimal places; write it in quotes")
			return
		}
		c.report(ReasonInvalidField, path, "this is %s; write a number", typeOf(value))
		return
	case reflect.TypeFor[TextNumber]():
		if _, ok := value.(float64); ok {
			return
		}
	}
	switch t.Kind() {
	case reflect.Struct:
		if fields, ok := value.(map[string]any); ok {
			c.checkFields(fields, t, path)
			return
		}
	case reflect.Map:
		if entries, ok := value.(map[string]any); ok {
			for _, key := range slices.Sorted(maps.Keys(entries)) {
				c.check(entries[key], t.Elem(), path+"["+ShownName(key)+"]")
			}
			return
		}
	case reflect.Slice:
		if entries, ok := value.([]any); ok {
			for i, entry := range entries {
				c.check(entry, t.Elem(), path+"["+strconv.Itoa(i)+"]")
			}
			return
		}
	case reflect.String:
		if _, ok := value.(string); ok {
			return
		}
	case reflect.Bool:
		if _, ok := value.(bool); ok {
			return
		}
	case reflect.Int32, reflect.Int64:
		if n, ok := value.(float64); ok && n == math.Trunc(n) && (t.Kind() == reflect.Int64 || math.Abs(n) <= math.MaxInt32) {
			return
		}
	default:
		return
	}
	c.report(ReasonInvalidField, path, "this is %s; write %s", typeOf(value), wanted(t))
}

func (c *schemaChecker) checkFields(fields map[string]any, t reflect.Type, path string) {
	known := c.known[t]
	if known == nil {
		known = fieldsOf(t)
		c.known[t] = known
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		sub := ShownName(name)
		if path != "" {
			sub = path + "." + sub
		}
		field, ok := known[name]
		if !ok {
			c.report(ReasonUnknownField, Bounded(sub), "unknown field; %s", suggestion(name, known))
			delete(fields, name)
			continue
		}
		c.check(fields[name], field, sub)
	}
}

// fieldsOf returns the type of each JSON field of a struct.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	out := make(map[string]reflect.Type, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "" && f.Anonymous:
			maps.Copy(out, fieldsOf(f.Type))
		case name != "" && name != "-":
			out[name] = f.Type
		}
	}
	return out
}

// suggestion is the field that was most likely meant, or the choice.
func suggestion(name string, known map[string]reflect.Type) string {
	best, distance := "", 3 // more typing errors than that are another word
	names := slices.Sorted(maps.Keys(known))
	for _, k := range names {
		d := editDistance(strings.ToLower(name), strings.ToLower(k))
		if d == 2 && sameLetters(name, k) {
			d = 1 // most likely two that changed places
		}
		if d < distance && d < len(k)/2+1 {
			best, distance = k, d
		}
	}
	switch {
	case best != "":
		return "write " + best
	case name == "matchLabels" && known["labels"] != nil:
		return "write labels"
	case len(names) > 12:
		return "leave it out"
	}
	return "the fields here are " + strings.Join(names, ", ")
}

// sameLetters reports whether two words differ in the order of their letters alone.
func sameLetters(a, b string) bool {
	one, other := []byte(strings.ToLower(a)), []byte(strings.ToLower(b))
	slices.Sort(one)
	slices.Sort(other)
	return slices.Equal(one, other)
}

// editDistance counts the letters to change, insert or leave out. Long words
// are far from everything.
func editDistance(a, b string) int {
	if len(a) > 40 || len(b) > 40 {
		return math.MaxInt
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

func typeOf(value any) string {
	switch value.(type) {
	case string:
		return "text"
	case float64, json.Number:
		return "a number"
	case bool:
		return "true or false"
	case []any:
		return "a list"
	}
	return "a map"
}

func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "text, in quotes if need be"
	case reflect.Bool:
		return "true or false, without quotes"
	case reflect.Int32, reflect.Int64:
		return "a whole number, without quotes"
	case reflect.Slice:
		return "a list, each entry after a dash"
	}
	return "a map of fields, each on a line of its own"
}

// IsTypingError reports whether two texts are most likely meant to be the same. Those
// that differ in a number, such as v1 and v2, are not.
func IsTypingError(a, b string) bool {
	const shortest = 4
	a, b = strings.ToLower(a), strings.ToLower(b)
	d := editDistance(a, b)
	return min(len(a), len(b)) >= shortest && (d < 2 || d == 2 && sameLetters(a, b)) && strings.Trim(a, "0123456789") == a && strings.Trim(b, "0123456789") == b
}
