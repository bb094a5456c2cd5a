package placeholder

import (
	"encoding/json"
	"reflect"
)

// Try is for tests that go over all options of a configuration: it returns the JSON of the
// field of a type with a placeholder in it, wherever text can be, or nil if none can.
func Try(t reflect.Type) json.RawMessage {
	const text = `"{env.X}"`
	switch t.Kind() {
	case reflect.String:
		if t != reflect.TypeFor[json.Number]() {
			return json.RawMessage(text)
		}
	case reflect.Pointer:
		return Try(t.Elem())
	case reflect.Slice:
		if inside := Try(t.Elem()); t != raw && inside != nil {
			return json.RawMessage("[" + string(inside) + "]")
		}
	case reflect.Map:
		if inside := Try(t.Elem()); inside != nil {
			return json.RawMessage(`{"a":` + string(inside) + "}")
		}
	case reflect.Struct:
		for name, index := range Fields(t) {
			if inside := Try(t.FieldByIndex(index).Type); inside != nil {
				return json.RawMessage(`{"` + name + `":` + string(inside) + "}")
			}
		}
	}
	return nil
}
