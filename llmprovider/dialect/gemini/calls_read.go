package gemini

import "github.com/caddy-llm/gateway/llmprovider/dialect"

// openCalls are the calls of a conversation that have no result yet. A conversation may have
// hundreds of thousands: each is found without a look at the others.
type openCalls struct {
	byID, byName map[string][]*dialect.ToolUse // in their order; those that are closed as well
	closed       map[*dialect.ToolUse]struct{}
}

func (o *openCalls) add(call *dialect.ToolUse) {
	if o.byID == nil {
		o.byID, o.byName, o.closed = make(map[string][]*dialect.ToolUse), make(map[string][]*dialect.ToolUse), make(map[*dialect.ToolUse]struct{})
	}
	o.byID[call.ID] = append(o.byID[call.ID], call)
	o.byName[call.Name] = append(o.byName[call.Name], call)
}

// take closes and returns the first open call with an ID or, if that is empty, of a function;
// nil without one.
func (o *openCalls) take(id, function string) *dialect.ToolUse {
	calls, key := o.byID, id
	if id == "" {
		calls, key = o.byName, function
	}
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
