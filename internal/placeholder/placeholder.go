// Package placeholder refuses Caddy's placeholders where they are not replaced: taken as
// they are written, they would be names that match nothing, without any warning.
package placeholder

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// form is that of Caddy's placeholders, and of what a Caddyfile replaces when it is read.
// Templates of paths such as {*} are none.
var form = regexp.MustCompile(`\{(\$[A-Za-z_]|(env|file|system|time|vars|http|path|query|header|cookie|re)\.)[^{}]*\}`)

// Refuse returns an error if a value of an option has a placeholder.
func Refuse(option, value string) error {
	found := form.FindString(value)
	switch {
	case found == "":
		return nil
	case strings.HasPrefix(found, "{$"):
		return fmt.Errorf("%s: %s is replaced only in Caddyfiles, when they are read; write the value itself", option, found)
	}
	return fmt.Errorf("%s: the placeholder %s is not replaced here; write the value itself, or in a Caddyfile %s, which is replaced by the environment variable when it is read",
		option, found, variable(found))
}

// variable is how a Caddyfile refers to what a placeholder means.
func variable(found string) string {
	if name, ok := strings.CutPrefix(found, "{env."); ok {
		return "{$" + name
	}
	return "{$NAME}"
}

// RefuseIn is Refuse for all texts of a configuration, by the names of its JSON fields.
// Those of modules, which are raw JSON, are theirs; except are fields in which
// placeholders are replaced.
func RefuseIn(config any, except ...string) error {
	return refuse(reflect.ValueOf(config), "", except)
}

var raw = reflect.TypeFor[json.RawMessage]()

func refuse(v reflect.Value, name string, except []string) error {
	switch v.Kind() {
	case reflect.String:
		return Refuse(name, v.String())
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			return refuse(v.Elem(), name, except)
		}
	case reflect.Slice, reflect.Array:
		if v.Type() == raw {
			return nil
		}
		for i := range v.Len() {
			if err := refuse(v.Index(i), name, except); err != nil {
				return err
			}
		}
	case reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		for _, key := range keys {
			if err := refuse(key, name, except); err != nil {
				return err
			}
			if err := refuse(v.MapIndex(key), name, except); err != nil {
				return err
			}
		}
	case reflect.Struct:
		fields := Fields(v.Type())
		for _, field := range slices.Sorted(maps.Keys(fields)) {
			if slices.Contains(except, field) {
				continue
			}
			if err := refuse(v.FieldByIndex(fields[field]), field, except); err != nil {
				return err
			}
		}
	}
	return nil
}

// Fields are the fields of a struct that its JSON has, by their names there, those of
// embedded structs included.
func Fields(t reflect.Type) map[string][]int {
	out := make(map[string][]int)
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.IsExported() && name != "" && name != "-" {
			out[name] = f.Index
		}
	}
	return out
}
