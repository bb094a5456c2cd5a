package httproute

import "net/http"

// HeaderChange changes headers: first it sets, then it adds, then it removes.
type HeaderChange struct {
	// Headers that get one value in place of all others.
	Set []Header `json:"set,omitempty"`

	// Values that come after those that a header has.
	Add []Header `json:"add,omitempty"`

	// The names of headers that are removed.
	Remove []string `json:"remove,omitempty"`
}

// Header is a header's name and value. The value is taken as it is.
type Header struct {
	Name  string `json:"name,omitempty"`
	Value string `json:"value,omitempty"`
}

// apply makes the changes. A nil change makes none.
func (c *HeaderChange) apply(h http.Header) {
	if c == nil {
		return
	}
	for _, header := range c.Set {
		h.Set(header.Name, header.Value)
	}
	for _, header := range c.Add {
		h.Add(header.Name, header.Value)
	}
	for _, name := range c.Remove {
		h.Del(name)
	}
}
