// Package jsontest reads JSON with encoding/json, for tests of what reads it in another
// way. It imports nothing of the gateway.
package jsontest

import (
	"bytes"
	"encoding/json"
)

// Member is a member of an object as it is in a text.
type Member struct{ Name, Value string }

// Members returns the members of an object in their order, with the text of their values.
// ok is false if doc is not an object.
func Members(doc []byte) (members []Member, ok bool) {
	if !json.Valid(doc) {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(doc))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, false
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, false
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, false
		}
		members = append(members, Member{name.(string), string(value)})
	}
	return members, true
}

// Find returns the value of the first member of that name.
func Find(members []Member, name string) (value string, ok bool) {
	for _, m := range members {
		if m.Name == name {
			return m.Value, true
		}
	}
	return "", false
}
