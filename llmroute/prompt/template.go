package prompt

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
)

// variable is how a text of a template names a property.
var variable = regexp.MustCompile(`{{ *([A-Za-z0-9_-]{1,64}) *}}`)

// expand returns the texts of the template that a request names, and leaves the members
// that name it out of the body. It returns nothing if the request names none.
func (b *body) expand(templates map[string][]text) ([]text, *llmprovider.Error) {
	named, refused := b.find("template")
	if refused != nil || named == nil || jsonscan.IsNull(named.value) {
		return nil, refused
	}
	if !jsonscan.IsString(named.value) {
		return nil, invalid("template", "template has to be the name of a template, as a string")
	}
	name := jsonscan.Text(named.value)
	template, known := templates[name]
	if !known {
		return nil, invalid("template", "there is no template of that name; there are: "+strings.Join(slices.Sorted(maps.Keys(templates)), ", "))
	}
	properties, refused := b.find("properties")
	if refused != nil {
		return nil, refused
	}
	values := make(map[string]string)
	named.leave = true
	if properties != nil {
		properties.leave = true
		if values, refused = readProperties(properties.value); refused != nil {
			return nil, refused
		}
	}
	out := make([]text, len(template))
	for i, t := range template {
		out[i] = text{t.role, variable.ReplaceAllStringFunc(t.text, func(found string) string {
			property := variable.FindStringSubmatch(found)[1]
			value, ok := values[property]
			if !ok && refused == nil {
				refused = invalid("properties", fmt.Sprintf("the template %s needs the property %s; send it in properties, as in {\"template\": %q, \"properties\": {%q: \"...\"}}", name, property, name, property))
			}
			return value
		})}
	}
	if refused != nil {
		return nil, refused
	}
	// Some providers reject a message without text, and a part of one.
	return slices.DeleteFunc(out, func(t text) bool { return strings.TrimSpace(t.text) == "" }), nil
}

// readProperties returns the values of an object by their names.
func readProperties(value []byte) (map[string]string, *llmprovider.Error) {
	if value[0] != '{' && !jsonscan.IsNull(value) {
		return nil, invalid("properties", "properties has to be an object of strings, numbers and booleans")
	}
	out := make(map[string]string)
	for key, value := range jsonscan.Members(value) {
		name := jsonscan.Text(key)
		if _, twice := out[name]; twice {
			return nil, invalid("properties", "properties has a member twice; send each once")
		}
		switch value[0] {
		case '"':
			out[name] = strings.ToValidUTF8(jsonscan.Text(value), "\uFFFD")
		case '{', '[', 'n':
			return nil, invalid("properties", "properties has to be an object of strings, numbers and booleans")
		default:
			out[name] = string(value)
		}
	}
	return out, nil
}
