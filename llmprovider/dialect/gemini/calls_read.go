package gemini

import "github.com/caddy-llm/gateway/llmprovider/dialect"

// openCalls are the calls of a conversation that have no result yet. A conversation may have
// hundreds of thousands: each is found without a look at the others.
type openCalls struct {
	// Calls in their order, those that are closed as well: by id, by name, and by name those
	// alone that came without an id.
	byID, byName, withoutID map[string][]*dialect.ToolUse

	closed map[*dialect.ToolUse]struct{}
}

// add opens a call. placed reports whether its id is one of the gateway's own, since the
// client gives none.
func (o *openCalls) add(call *dialect.ToolUse, placed bool) {
	if o.byID == nil {
		o.byID, o.byName, o.withoutID = make(map[string][]*dialect.ToolUse), make(map[string][]*dialect.ToolUse), make(map[string][]*dialect.ToolUse)
		o.closed = make(map[*dialect.ToolUse]struct{})
	}
	o.byID[call.ID] = append(o.byID[call.ID], call)
	o.byName[call.Name] = append(o.byName[call.Name], call)
	if placed {
		o.withoutID[call.Name] = append(o.withoutID[call.Name], call)
	}
}

// take closes and returns the call that a result belongs to: the first open one with its
// id, or of its function if it has none; nil without one. A result whose id no call has
// belongs to the first call of its function that came without an id: Gemini CLI makes ids
// for the results of such calls.
func (o *openCalls) take(id, function string) *dialect.ToolUse {
	if id == "" {
		return o.first(o.byName, function)
	}
	if _, known := o.byID[id]; known {
		return o.first(o.byID, id)
	}
	return o.first(o.withoutID, function)
}

// first closes and returns the first of calls that is open.
func (o *openCalls) first(calls map[string][]*dialect.ToolUse, key string) *dialect.ToolUse {
	for len(calls[key]) > 0 {
		call := calls[key][0]
		calls[key] = calls[key][1:]
		if _, closed := o.closed[call]; !closed {
			o.closed[call] = struct{}{}
			return call
		}
	}
	return nil
}
