package tap

import (
	"bytes"
	"encoding/json"
)

// isUsageOnly reports whether an event's data is the chunk that carries usage and
// no choices, by decoding all of it.
func isUsageOnly(data []byte) bool {
	var chunk struct {
		Choices json.RawMessage `json:"choices"`
		Usage   json.RawMessage `json:"usage"`
		Error   json.RawMessage `json:"error"`
	}
	if json.Unmarshal(data, &chunk) != nil {
		return false
	}
	empty := func(raw json.RawMessage) bool {
		var list []json.RawMessage
		return len(raw) == 0 || json.Unmarshal(raw, &list) == nil && len(list) == 0
	}
	failed := bytes.HasPrefix(chunk.Error, []byte("{")) || bytes.HasPrefix(chunk.Error, []byte(`"`)) && string(chunk.Error) != `""`
	return bytes.HasPrefix(chunk.Usage, []byte("{")) && empty(chunk.Choices) && !failed
}
