package guard

import (
	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/guard/detect"
)

// reader finds the texts of a request. It knows where the APIs have conversations, and
// what in them is no text; every other string of the body is a text by itself.
type reader struct {
	*text
	body  []byte
	seen  role // whose text is looked at
	tasks []task

	// response says that a response is read: numbers are no text there, but for those in
	// calls of tools.
	response bool
	// lane, unless it is nil, takes the texts of a message that a stream brings in pieces,
	// and calls its calls of tools.
	lane  func(name string, value []byte)
	calls func(value []byte)
	// choiceNo and partNo are the numbers of the choice and of the part that is read.
	choiceNo, partNo int
}

// task is a part of the body that is read later, so that the texts of one message follow
// each other.
type task struct {
	how   how
	value []byte
	role  role
	depth int // in results of tools
	// name is that of the member of a message that content is of, if it is not the content
	// itself. That of a message is "delta" if it is one of chat completions in any case.
	name string
}

// how is the way a part of the body is read.
type how uint8

const (
	asLeaves  how = iota // each string and number in it is a text by itself
	asData               // so too, but for base64
	asCall               // so too, and JSON in strings is read as if it stood there
	asJSON               // what is in strings that are JSON, and nothing else
	asContent            // text, a part, or parts, which are joined
	asMessage            // a message, or an item of the Responses API
)

// maxDepth bounds how deep content is read in the results of tools.
const maxDepth = 4

// read reads the texts of the roles seen from the request's body.
func (t *text) read(in *llmprovider.Inbound, seen role) {
	t.reset()
	t.of = in
	if !in.IsJSON() {
		t.cannotRead("a form")
		return
	}
	r := reader{text: t, body: in.Body(), seen: seen}
	other := roleUser // text to embed, to rank, to paint
	switch in.Endpoint.Operation {
	case llmprovider.Chat, llmprovider.Responses, llmprovider.CountTokens:
		other = roleOther
	}
	var room [24]byte
	for key, value := range jsonscan.Members(r.body) {
		r.member(string(memberName(room[:0], key)), value, other)
		r.finish()
	}
}

// member reads a member of the body.
func (r *reader) member(name string, value []byte, other role) {
	switch name {
	case "model": // by which the request was routed; it is not changed
	case "messages", "contents":
		r.list(value, roleUser)
	case "content": // of Google's embeddings
		r.later(asMessage, value, roleUser, 0)
	case "requests": // of a batch of them
		for one := range jsonscan.Elements(value) {
			var room [24]byte
			for key, value := range jsonscan.Members(one) {
				if string(memberName(room[:0], key)) == "content" {
					r.later(asMessage, value, roleUser, 0)
				} else {
					r.later(asLeaves, value, other, 0)
				}
			}
		}
	case "input":
		r.list(value, roleUser)
		r.numbers(value)
	case "prompt", "tokens", "prompttokenids":
		r.later(asLeaves, value, roleUser, 0)
		r.numbers(value)
	case "promptembeds", "image", "mask":
		r.unreadable(roleUser, "an image or numbers in place of text")
	case "system", "systeminstruction", "instructions":
		r.later(asMessage, value, roleSystem, 0)
	default:
		if value[0] == '"' || value[0] == '[' || value[0] == '{' { // a number is a setting, such as seed
			r.later(asLeaves, value, other, 0)
		}
	}
}

// list has each element read as a message, or the value itself if it is no list.
func (r *reader) list(value []byte, role role) {
	if len(value) == 0 || value[0] != '[' {
		r.later(asMessage, value, role, 0)
		return
	}
	for one := range jsonscan.Elements(value) {
		switch one[0] {
		case '{', '[', '"':
			r.later(asMessage, one, role, 0)
		default: // millions of numbers are not kept for later
			if r.role = role; role&r.seen != 0 {
				r.leaves(one, asLeaves)
			}
		}
	}
}

// numbers notes tokens: text that is sent as numbers.
func (r *reader) numbers(value []byte) {
	if len(value) == 0 || value[0] != '[' {
		return
	}
	for one := range jsonscan.Elements(value) {
		if one[0] == '[' || one[0] == '-' || detect.IsDigit(one[0]) {
			r.unreadable(roleUser, "tokens")
			return
		}
	}
}

func (r *reader) unreadable(role role, what string) {
	if role&r.seen != 0 {
		r.cannotRead(what)
	}
}

func (r *reader) later(how how, value []byte, role role, depth int) {
	if len(value) > 0 {
		keep(r.text, &r.tasks, task{how: how, value: value, role: role, depth: depth})
	}
}

// finish reads what is left for later.
func (r *reader) finish() {
	for len(r.tasks) > 0 {
		t := r.tasks[len(r.tasks)-1]
		r.tasks = r.tasks[:len(r.tasks)-1]
		first := len(r.pieces)
		r.role = t.role
		switch t.how {
		case asMessage:
			r.message(&t)
		case asContent:
			r.content(&t)
		default:
			if t.role&r.seen != 0 {
				r.leaves(t.value, t.how)
			}
			continue
		}
		r.endGroup(first)
	}
}

// message reads a message, or an item of the Responses API.
func (r *reader) message(t *task) {
	if t.value[0] != '{' {
		r.content(t)
		return
	}
	role, isItem := r.roleOf(t)
	t.role, r.role = role, role
	if isItem && t.name != "delta" {
		if kind := partKindOf(t.value); kind == partUnknown || kind >= partDocument {
			t.role = roleAny // the item does not say
		}
		r.part(t)
		return
	}
	var room [24]byte
	for key, value := range jsonscan.Members(t.value) {
		switch name := string(memberName(room[:0], key)); name {
		case "content", "parts", "text":
			r.content(&task{how: asContent, value: value, role: role, depth: t.depth})
		case "refusal", "reasoningcontent", "reasoning", "thinking":
			r.content(&task{how: asContent, value: value, role: role, depth: t.depth, name: name})
		case "toolcalls", "functioncall":
			if r.calls != nil {
				r.calls(value)
				continue
			}
			r.later(asCall, value, role, t.depth)
		case "role":
			if roleNamed(jsonscan.Plain(value)) == roleAny {
				r.later(asData, value, role, t.depth)
			}
		case "images":
			r.unreadable(role, "an image")
		case "audio":
			if value[0] == '{' {
				r.unreadable(role, "a sound")
			}
			r.later(asData, value, role, t.depth)
		default:
			if r.lane != nil && jsonscan.IsString(value) && name != "role" {
				r.lane(name, value)
				continue
			}
			r.later(asData, value, role, t.depth)
		}
	}
	if role == roleTool {
		r.jsonIn(t.value)
	}
}

// jsonIn has the content of a tool's result read as JSON, if it is JSON in a string.
func (r *reader) jsonIn(message []byte) {
	var room [24]byte
	for key, value := range jsonscan.Members(message) {
		switch string(memberName(room[:0], key)) {
		case "content", "output":
			if jsonscan.IsString(value) {
				r.later(asJSON, value, roleTool, 0)
				continue
			}
			for part := range jsonscan.Elements(value) {
				if text := jsonscan.Get(part, "text"); jsonscan.IsString(text) {
					r.later(asJSON, text, roleTool, 0)
				}
			}
		}
	}
}

// roleOf is the role of a message, and whether it is an item of another type.
func (r *reader) roleOf(t *task) (role role, isItem bool) {
	var room [24]byte
	typed, named := false, false
	for key, value := range jsonscan.Members(t.value) {
		switch string(memberName(room[:0], key)) {
		case "role":
			next := roleNamed(jsonscan.Plain(value))
			if named && next != role {
				next = roleAny
			}
			role, named = next, true
		case "type":
			typed = typed || string(jsonscan.Plain(value)) != "message"
		}
	}
	if !named || t.role == roleSystem {
		role |= t.role // Google's system instructions may name any role
	}
	return role, typed || !named && !hasContent(t.value)
}

// hasContent reports whether an object without a role is a message all the same.
func hasContent(object []byte) bool {
	var room [24]byte
	for key := range jsonscan.Members(object) {
		switch string(memberName(room[:0], key)) {
		case "content", "parts":
			return true
		}
	}
	return false
}

// content reads text, a part, or a list of them.
func (r *reader) content(t *task) {
	switch {
	case t.role&r.seen == 0:
	case t.depth > maxDepth:
		r.cannotRead("content that is nested too deep")
		r.later(asData, t.value, t.role, t.depth)
	case jsonscan.IsString(t.value):
		r.textOf(t.name, t.value)
	case t.value[0] == '{':
		r.part(t)
	case t.value[0] == '[':
		for one := range jsonscan.Elements(t.value) {
			switch {
			case jsonscan.IsString(one):
				r.textOf(t.name, one)
			case one[0] == '{':
				r.part(&task{how: asContent, value: one, role: t.role, depth: t.depth})
			case !jsonscan.IsNull(one):
				r.cannotRead("tokens")
			}
		}
	default:
		r.later(asLeaves, t.value, t.role, t.depth)
	}
}

// textOf adds a text of a message, which is of the member of that name unless it is its
// content.
func (r *reader) textOf(name string, value []byte) {
	if r.lane != nil {
		r.lane(name, value)
		return
	}
	r.string(value)
}

// string adds the text of a string to the group that is being made.
func (r *reader) string(value []byte) {
	at := r.offset(value)
	p := piece{start: len(r.b), src: at + 1, srcEnd: at + len(value) - 1}
	r.b = jsonscan.AppendUnescaped(r.b, value[1:len(value)-1])
	r.add(p)
}

// offset returns where in the body a part of it begins.
func (r *reader) offset(part []byte) int { return cap(r.body) - cap(part) }

// memberName appends a member's name as careless decoders may read it: without escapes,
// case and underscores, so that inline_data and inlineData are one.
func memberName(dst, quoted []byte) []byte {
	inner := jsonscan.Plain(quoted)
	for i := 0; i < len(inner) && len(dst) < 24; i++ {
		switch c := inner[i]; {
		case c == '_':
		case c == 0xc5 && i+1 < len(inner) && inner[i+1] == 0xbf: // the long s
			dst = append(dst, 's')
			i++
		case c == 0xe2 && i+2 < len(inner) && inner[i+1] == 0x84 && inner[i+2] == 0xaa: // the sign for kelvin
			dst = append(dst, 'k')
			i += 2
		case 'A' <= c && c <= 'Z':
			dst = append(dst, c+'a'-'A')
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
