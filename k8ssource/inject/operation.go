package inject

import (
	"encoding/json"
	"strings"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
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

// apply carries operations out on a JSON document, and returns what encoding/json
// reads of the result.
func apply(operations []Operation, document []byte) (result any, err error) {
	data, err := json.Marshal(operations)
	if err != nil {
		return nil, err
	}
	patch, err := jsonpatch.DecodePatch(data)
	if err != nil {
		return nil, err
	}
	if document, err = patch.Apply(document); err != nil {
		return nil, err
	}
	err = json.Unmarshal(document, &result)
	return result, err
}
