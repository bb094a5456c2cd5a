package gemini

import (
	"bytes"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// maxSchemaDepth bounds the nesting of a schema that is converted.
const maxSchemaDepth = 64

// jsonSchema returns the JSON Schema of a schema in the API's own form, a subset of
// OpenAPI's: its types are in capitals and null is a member of its own. exact
// reports whether nothing but the types' case was changed.
func jsonSchema(schema dialect.JSON) (out dialect.JSON, exact bool) {
	exact = true
	return appendSchema(nil, schema, 0, &exact), exact
}

func appendSchema(dst []byte, schema dialect.JSON, depth int, exact *bool) []byte {
	if depth > maxSchemaDepth || len(schema) == 0 || schema[0] != '{' {
		*exact = *exact && depth <= maxSchemaDepth
		return append(dst, schema...)
	}
	nullable := dialect.IsTrue(dialect.GetCamel(schema, "nullable"))
	dst = append(dst, '{')
	n := 0
	for key, v := range jsonscan.Members(schema) {
		member := string(dialect.CamelName(key))
		if member == "nullable" || member == "propertyOrdering" {
			*exact = *exact && !nullable
			continue
		}
		if n++; n > 1 {
			dst = append(dst, ',')
		}
		dst = jsonscan.AppendString(dst, member)
		dst = append(dst, ':')
		switch member {
		case "type":
			if nullable {
				dst = append(append(append(dst, '['), bytes.ToLower(v)...), `,"null"]`...)
			} else {
				dst = append(dst, bytes.ToLower(v)...)
			}
		case "properties":
			dst = append(dst, '{')
			first := true
			for key, v := range jsonscan.Members(v) {
				if !first {
					dst = append(dst, ',')
				}
				first = false
				dst = append(append(dst, key...), ':')
				dst = appendSchema(dst, v, depth+1, exact)
			}
			dst = append(dst, '}')
		case "items", "additionalProperties": // which may be a boolean
			dst = appendSchema(dst, v, depth+1, exact)
		case "anyOf":
			dst = append(dst, '[')
			first := true
			for v := range jsonscan.Elements(v) {
				if !first {
					dst = append(dst, ',')
				}
				first = false
				dst = appendSchema(dst, v, depth+1, exact)
			}
			dst = append(dst, ']')
		case "minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties": // numbers as text, as protobuf's JSON has 64 bits
			dst = append(dst, bytes.Trim(v, `"`)...)
		default:
			dst = append(dst, v...)
		}
	}
	return append(dst, '}')
}
