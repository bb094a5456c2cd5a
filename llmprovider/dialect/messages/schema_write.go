package messages

import (
	"bytes"
	"slices"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// maxSchemaDepth bounds the nesting of a schema that is looked at.
const maxSchemaDepth = 64

// bounds are the keywords that the API refuses in a schema that it must keep to
// (https://platform.claude.com/docs/en/build-with-claude/structured-outputs).
var bounds = []string{
	"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "maxItems", "uniqueItems",
	"minProperties", "maxProperties",
}

// kept writes a schema that the model must keep to as the API takes it: its objects have no
// further properties, and there are no bounds. Where nothing is to change, it is written as
// it is.
func (w *requestWriter) kept(schema dialect.JSON, c dialect.Concept) (dialect.JSON, *llmprovider.Error) {
	k := keeper{}
	out := k.append(nil, schema, 0)
	switch {
	case k.open:
		return nil, w.R.Refuse(c, "its objects can have no other properties than those named; set additionalProperties to false")
	case !k.closed && !k.unbound:
		return schema, nil
	case k.unbound || !w.R.Settings.Format.Closed || c != dialect.CFormat:
		w.R.Loss.Approximate(c)
	}
	return out, nil
}

// keeper rewrites one schema.
type keeper struct {
	open    bool // an object says that it has further properties
	closed  bool // an object that does not say was closed
	unbound bool // a bound was left out
}

func (k *keeper) append(dst []byte, schema dialect.JSON, depth int) []byte {
	if depth > maxSchemaDepth || len(schema) == 0 || schema[0] != '{' {
		return append(dst, schema...)
	}
	dst = append(dst, '{')
	object, said, n := false, false, 0
	for key, v := range jsonscan.Members(schema) {
		name := string(jsonscan.Plain(key))
		if slices.Contains(bounds, name) || name == "minItems" && string(v) != "0" && string(v) != "1" {
			k.unbound = true
			continue
		}
		if n++; n > 1 {
			dst = append(dst, ',')
		}
		dst = append(append(dst, key...), ':')
		switch name {
		case "type":
			object = object || bytes.Contains(v, []byte(`"object"`))
			dst = append(dst, v...)
		case "additionalProperties":
			said = true
			k.open = k.open || string(v) != "false"
			dst = append(dst, v...)
		case "properties", "$defs", "definitions":
			object = object || name == "properties"
			dst = append(dst, '{')
			for key, v := range jsonscan.Members(v) {
				if dst[len(dst)-1] != '{' {
					dst = append(dst, ',')
				}
				dst = k.append(append(append(dst, key...), ':'), v, depth+1)
			}
			dst = append(dst, '}')
		case "items", "not":
			dst = k.append(dst, v, depth+1)
		case "anyOf", "allOf", "oneOf":
			dst = append(dst, '[')
			for v := range jsonscan.Elements(v) {
				if dst[len(dst)-1] != '[' {
					dst = append(dst, ',')
				}
				dst = k.append(dst, v, depth+1)
			}
			dst = append(dst, ']')
		default:
			dst = append(dst, v...)
		}
	}
	if object && !said {
		k.closed = true
		if n > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `"additionalProperties":false`...)
	}
	return append(dst, '}')
}
