package inject

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Operation is one operation of a JSON Patch (RFC 6902).
type Operation struct {
	Op    string `json:"op"`    // always "add"
	Path  string `json:"path"`  // a JSON pointer (RFC 6901)
	Value any    `json:"value"` // what encoding/json can write
}

// escape writes a key as a part of a JSON pointer.
func escape(key string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(key) }

// keys are the parts of a JSON pointer.
func keys(pointer string) []string {
	if pointer == "" {
		return nil
	}
	parts := strings.Split(pointer[1:], "/")
	for i, part := range parts {
		parts[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
	}
	return parts
}

// apply carries the operation out on what encoding/json has read.
func (op Operation) apply(to any) (any, error) {
	data, err := json.Marshal(op.Value)
	if err != nil {
		return nil, err
	}
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		return nil, err
	}
	out, ok := add(to, keys(op.Path), value)
	if !ok {
		return nil, fmt.Errorf("there is no place %s", op.Path)
	}
	return out, nil
}

func add(to any, path []string, value any) (any, bool) {
	if len(path) == 0 {
		return value, true
	}
	switch to := to.(type) {
	case map[string]any:
		if len(path) > 1 {
			ok := false
			value, ok = add(to[path[0]], path[1:], value)
			if !ok {
				return nil, false
			}
		}
		to[path[0]] = value
		return to, true
	case []any:
		i, err := strconv.Atoi(path[0])
		if err != nil || i < 0 || i > len(to) {
			return nil, false
		}
		if len(path) == 1 {
			return slices.Insert(to, i, value), true
		}
		if i == len(to) {
			return nil, false
		}
		changed, ok := add(to[i], path[1:], value)
		to[i] = changed
		return to, ok
	}
	return nil, false
}
