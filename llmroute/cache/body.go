package cache

import (
	"slices"

	"github.com/caddy-llm/gateway/internal/jsonscan"
)

// body writes a JSON object. The order of its members does not matter, but for those that
// some program may take for the same: of these the last one often counts. All else has to
// be the same, byte for byte. So has a body that is no object.
func (h *hasher) body(body []byte) {
	var room [32]member
	members := room[:0]
	if !jsonscan.Object(body, func(name, value []byte) {
		members = append(members, member{jsonscan.Folded(jsonscan.Plain(name)), name, value})
	}) {
		h.number(-1)
		h.bytes(body)
		return
	}
	slices.SortStableFunc(members, func(a, b member) int { return slices.Compare(a.folded, b.folded) })
	h.number(len(members))
	for i := range members {
		h.bytes(members[i].name)
		h.bytes(members[i].value)
	}
}

// member is a member of an object, as it is written.
type member struct {
	folded      []byte
	name, value []byte
}
