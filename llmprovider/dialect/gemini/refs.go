package gemini

import (
	"bytes"
	"strings"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

const (
	// maxRefs bounds how many references of a schema are resolved.
	maxRefs = 1000
	// maxInlined bounds a schema whose references are resolved, in bytes.
	maxInlined = 1 << 20
)

// inlined returns a schema without references: endpoints of the API differ in which
// they resolve. exact is false if one had to be left open: it leads round in a circle,
// to another document, or nowhere. A schema without references stays as it is.
func inlined(schema dialect.JSON) (out dialect.JSON, exact bool) {
	if !bytes.Contains(schema, []byte(`$ref`)) {
		return schema, true
	}
	r := refs{root: schema, exact: true}
	return r.append(nil, schema, 0), r.exact
}

// refs resolves the references of one schema.
type refs struct {
	root  dialect.JSON
	open  []string // that are being resolved, the innermost last
	count int
	exact bool
}

// append appends a part of the schema.
func (r *refs) append(dst []byte, v dialect.JSON, depth int) []byte {
	if depth > maxSchemaDepth || len(dst) > maxInlined {
		r.exact = false
		return append(dst, `{"type":"object"}`...)
	}
	switch {
	case len(v) > 0 && v[0] == '[':
		dst = append(dst, '[')
		for element := range jsonscan.Elements(v) {
			if dst[len(dst)-1] != '[' {
				dst = append(dst, ',')
			}
			dst = r.append(dst, element, depth+1)
		}
		return append(dst, ']')
	case len(v) == 0 || v[0] != '{':
		return append(dst, v...)
	}
	if ref := jsonscan.Get(v, "$ref"); jsonscan.IsString(ref) {
		return r.resolve(dst, v, jsonscan.Text(ref), depth)
	}
	return append(r.members(append(dst, '{'), v, depth), '}')
}

// members appends the members of an object but for the definitions that nothing refers
// to any more.
func (r *refs) members(dst []byte, object dialect.JSON, depth int) []byte {
	for key, value := range jsonscan.Members(object) {
		if jsonscan.NameIs(key, "$ref") && jsonscan.IsString(value) || depth == 0 && (jsonscan.NameIs(key, "$defs") || jsonscan.NameIs(key, "definitions")) {
			continue
		}
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = append(append(dst, key...), ':')
		switch string(jsonscan.Plain(key)) {
		case "enum", "const", "default", "examples": // values, not schemas
			dst = append(dst, value...)
		default:
			dst = r.append(dst, value, depth+1)
		}
	}
	return dst
}

// resolve appends what a reference names, with the members that stand beside it.
func (r *refs) resolve(dst []byte, object dialect.JSON, ref string, depth int) []byte {
	target := r.find(ref)
	r.count++
	for _, open := range r.open {
		if open == ref {
			target = nil
		}
	}
	if target == nil || target[0] != '{' || r.count > maxRefs {
		r.exact = false
		return append(r.members(append(dst, `{"type":"object"`...), without(object, "type"), depth+1), '}')
	}
	r.open = append(r.open, ref)
	dst = r.append(dst, target, depth+1)
	r.open = r.open[:len(r.open)-1]
	dst = dst[:len(dst)-1] // without the brace, before what stands beside the reference
	return append(r.members(dst, object, depth+1), '}')
}

// without returns an object without a member.
func without(object dialect.JSON, name string) dialect.JSON {
	out := []byte{'{'}
	for key, value := range jsonscan.Members(object) {
		if jsonscan.NameIs(key, name) {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, key...), ':'), value...)
	}
	return append(out, '}')
}

// find returns what a reference inside the document names (RFC 6901), or nil.
func (r *refs) find(ref string) dialect.JSON {
	pointer, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return nil
	}
	v := r.root
	for step := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		if pointer == "" {
			break
		}
		step = strings.NewReplacer("~1", "/", "~0", "~", "%25", "%").Replace(step)
		if v = jsonscan.Get(v, step); v == nil {
			return nil
		}
	}
	return v
}
