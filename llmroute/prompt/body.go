package prompt

import (
	"bytes"
	"cmp"
	"fmt"
	"net/http"
	"slices"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
)

// body is a request's body, and what is changed in it.
type body struct {
	raw     []byte
	places  *places
	members []member
	edits   []edit
	added   []byte // new members, a comma between them
}

// member is a member of an object.
type member struct {
	key, value []byte
	leave      bool // it is left out of what is sent
}

// edit puts text in the place of the bytes from start to end.
type edit struct {
	start, end int
	text       []byte
}

func newBody(raw []byte, places *places) *body {
	b := &body{raw: raw, places: places}
	for key, value := range jsonscan.Members(raw) {
		b.members = append(b.members, member{key: key, value: value})
	}
	return b
}

// add adds texts before and after the conversation, which may be missing if some are of a
// template. The error is what the client is told: a request that the texts cannot be
// added to is not sent without them.
func (b *body) add(before, after []text, templated bool) *llmprovider.Error {
	if len(before)+len(after) == 0 {
		return nil
	}
	role := RoleSystem
	if b.places.system != "" {
		var head, tail string
		head, before = split(before)
		tail, after = split(after)
		if head+tail != "" {
			if refused := b.addSystem(head, tail); refused != nil {
				return refused
			}
		}
		if len(before)+len(after) == 0 {
			return nil
		}
	}
	list, refused := b.find(b.places.list)
	if refused != nil {
		return refused
	}
	if list != nil && list.value[0] == '[' && b.places.system == "" {
		role = systemRole(list.value)
	}
	return b.addMessages(list, b.places.messages(before, role), b.places.messages(after, role), templated)
}

// systemRole is the role of system messages in a conversation: newer models of OpenAI's
// call it developer, and reject requests that have both.
func systemRole(list []byte) string {
	role := RoleSystem
	for one := range jsonscan.Elements(list) {
		if one[0] != '{' {
			continue
		}
		switch string(jsonscan.Plain(jsonscan.Get(one, "role"))) {
		case RoleSystem:
			return RoleSystem
		case "developer":
			role = "developer"
		}
	}
	return role
}

// addMessages adds messages before and after those of the list, which is nil if the body
// has none.
func (b *body) addMessages(list *member, before, after []byte, templated bool) *llmprovider.Error {
	p := b.places
	switch {
	case list == nil || jsonscan.IsNull(list.value):
		if !p.optional && !templated {
			return invalid(p.list, p.list+" is missing; send the conversation in it")
		}
		b.put(p.list, list, enclosed("[", joined(before, after), "]"))
	case list.value[0] == '[':
		b.addElements(list.value, before, after)
	case list.value[0] == '{' && p.single:
		b.wrap(list.value, "", "", before, after)
	case list.value[0] == '"' && p.text:
		b.wrap(list.value, `{"role":"user","content":`, "}", before, after)
	case p.text:
		return invalid(p.list, p.list+" has to be a string or an array")
	default:
		return invalid(p.list, p.list+" has to be an array of messages")
	}
	return nil
}

// addSystem adds texts before and after the system prompt.
func (b *body) addSystem(head, tail string) *llmprovider.Error {
	p := b.places
	name := p.system
	own, refused := b.find(name, p.instead)
	if refused != nil {
		return refused
	}
	if own == nil || jsonscan.IsNull(own.value) {
		var value []byte
		if p.parts {
			value = enclosed(`{"parts":[`, p.block(joinedText(head, tail)), "]}")
		} else {
			value = jsonscan.AppendString(nil, joinedText(head, tail))
		}
		b.put(name, own, value)
		return nil
	}
	switch {
	case p.parts && own.value[0] == '{':
		return b.addParts(own.value, head, tail)
	case p.parts:
		return invalid(name, name+" has to be an object with parts")
	case own.value[0] == '[' && p.blocks:
		b.addElements(own.value, b.blockOf(head), b.blockOf(tail))
	case own.value[0] == '"':
		b.addText(own.value, head, tail)
	case p.blocks:
		return invalid(name, name+" has to be a string or an array of text blocks")
	default:
		return invalid(name, name+" has to be a string")
	}
	return nil
}

// addParts adds texts to an object with parts.
func (b *body) addParts(object []byte, head, tail string) *llmprovider.Error {
	inner := newBody(object, b.places)
	parts, refused := inner.find("parts")
	if refused != nil {
		return refused
	}
	switch {
	case parts == nil:
		new := enclosed(`"parts":[`, b.places.block(joinedText(head, tail)), "]")
		if len(inner.members) > 0 {
			new = append(new, ',')
		}
		b.insert(b.offset(object)+1, new)
	case jsonscan.IsNull(parts.value):
		b.replace(parts.value, enclosed("[", b.places.block(joinedText(head, tail)), "]"))
	case parts.value[0] == '[':
		b.addElements(parts.value, b.blockOf(head), b.blockOf(tail))
	case parts.value[0] == '{':
		b.wrap(parts.value, "", "", b.blockOf(head), b.blockOf(tail))
	default:
		return invalid(b.places.system+".parts", b.places.system+".parts has to be an array of parts")
	}
	return nil
}

// addText adds texts to a string.
func (b *body) addText(value []byte, head, tail string) {
	at := b.offset(value)
	if len(value) == 2 {
		b.insert(at+1, jsonscan.AppendEscaped(nil, joinedText(head, tail)))
		return
	}
	if head != "" {
		b.insert(at+1, jsonscan.AppendEscaped(nil, head+separator))
	}
	if tail != "" {
		b.insert(at+len(value)-1, jsonscan.AppendEscaped(nil, separator+tail))
	}
}

// addElements adds elements before and after those of an array.
func (b *body) addElements(array, before, after []byte) {
	at := b.offset(array)
	empty := true
	for range jsonscan.Elements(array) {
		empty = false
		break
	}
	if empty {
		b.insert(at+1, joined(before, after))
		return
	}
	if len(before) > 0 {
		b.insert(at+1, append(before, ','))
	}
	if len(after) > 0 {
		b.insert(at+len(array)-1, enclosed(",", after, ""))
	}
}

// wrap makes a list of a value, between open and closing, and of elements before and after.
func (b *body) wrap(value []byte, open, closing string, before, after []byte) {
	at := b.offset(value)
	first := append([]byte{'['}, before...)
	if len(before) > 0 {
		first = append(first, ',')
	}
	b.insert(at, append(first, open...))
	last := []byte(closing)
	if len(after) > 0 {
		last = append(append(last, ','), after...)
	}
	b.insert(at+len(value), append(last, ']'))
}

func (b *body) blockOf(text string) []byte {
	if text == "" {
		return nil
	}
	return b.places.block(text)
}

// put gives a member the value, in the place of own if that is not nil.
func (b *body) put(name string, own *member, value []byte) {
	if own != nil {
		b.replace(own.value, value)
		return
	}
	b.added = joined(b.added, append(append(jsonscan.AppendString(nil, name), ':'), value...))
}

func (b *body) insert(at int, text []byte) {
	b.edits = append(b.edits, edit{at, at, text})
}

func (b *body) replace(value, text []byte) {
	at := b.offset(value)
	b.edits = append(b.edits, edit{at, at + len(value), text})
}

// offset returns where in the body a part of it begins.
func (b *body) offset(part []byte) int { return cap(b.raw) - cap(part) }

// find returns the member of one of the names, nil without one. An empty name is none. The
// error is a body that has it twice, or in a spelling that only some decoders take for it:
// what is changed might not be what the provider reads.
func (b *body) find(names ...string) (*member, *llmprovider.Error) {
	var found *member
	folded := jsonscan.Folded([]byte(names[0]))
	for i := range b.members {
		m := &b.members[i]
		name := jsonscan.Plain(m.key)
		switch {
		case slices.ContainsFunc(names, func(n string) bool { return n != "" && n == string(name) }):
			if found != nil {
				return nil, invalid(names[0], "the request body has more than one member "+names[0]+"; send it once")
			}
			found = m
		case bytes.Equal(jsonscan.Folded(name), folded):
			return nil, invalid(names[0], fmt.Sprintf("the request body has a member that some providers would read as %s; write it so", names[0]))
		}
	}
	return found, nil
}

// all returns the edits in their order, those of new members and of members that are left
// out among them.
func (b *body) all() []edit {
	kept := 0
	for i := 0; i < len(b.members); {
		if !b.members[i].leave {
			kept++
			i++
			continue
		}
		first := i
		for i < len(b.members) && b.members[i].leave {
			i++
		}
		last := b.members[i-1].value
		start, end := b.offset(b.members[first].key), b.offset(last)+len(last)
		switch { // with the comma before, or else the one after
		case first > 0:
			before := b.members[first-1].value
			start = b.offset(before) + len(before)
		case i < len(b.members):
			end = b.offset(b.members[i].key)
		}
		b.edits = append(b.edits, edit{start, end, nil})
	}
	if len(b.added) > 0 {
		if kept > 0 {
			b.added = append(b.added, ',')
		}
		b.insert(bytes.IndexByte(b.raw, '{')+1, b.added)
	}
	slices.SortStableFunc(b.edits, func(x, y edit) int { return cmp.Or(cmp.Compare(x.start, y.start), cmp.Compare(x.end, y.end)) })
	return b.edits
}

// spliced appends the body with the edits made, which are in their order.
func spliced(dst, raw []byte, edits []edit) []byte {
	at := 0
	for _, e := range edits {
		dst = append(append(dst, raw[at:e.start]...), e.text...)
		at = e.end
	}
	return append(dst, raw[at:]...)
}

// joined returns both lists of elements as one, with a comma between them.
func joined(a, b []byte) []byte {
	if len(a) > 0 && len(b) > 0 {
		a = append(slices.Clip(a), ',')
	}
	return append(a, b...)
}

func joinedText(head, tail string) string {
	if head != "" && tail != "" {
		return head + separator + tail
	}
	return head + tail
}

func enclosed(open string, value []byte, closing string) []byte {
	return append(append([]byte(open), value...), closing...)
}

func invalid(param, message string) *llmprovider.Error {
	return &llmprovider.Error{Status: http.StatusBadRequest, Type: llmprovider.TypeInvalidRequest, Code: "invalid_value", Param: param, Message: message}
}
