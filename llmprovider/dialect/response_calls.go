package dialect

// Providers stream a call without arguments with no text at all, as Anthropic's do, or
// with an empty one. Clients of OpenAI's APIs parse the text of a call, and one that is
// empty is an error to them: it is to be {}. Only what comes after the call tells it from
// one that was cut off before its arguments began.

// emptyCall is how the last call of a choice stands, if its arguments have no text yet.
type emptyCall uint8

const (
	emptyOpen   emptyCall = iota + 1
	emptyClosed           // its Close is held until what follows has come
)

// openCall notes that a call has begun.
func (t *Response) openCall(e *Event) {
	if e.Part != ToolCall || e.Custom {
		return
	}
	if t.empty == nil {
		t.empty = make(map[int]emptyCall)
	}
	t.empty[e.Choice] = emptyOpen
}

// closePart passes on the end of a part, but holds that of a call without arguments.
func (t *Response) closePart(e *Event) {
	if t.empty[e.Choice] != 0 && e.Part == ToolCall {
		t.empty[e.Choice] = emptyClosed
		return
	}
	t.out = t.writer.Append(t.out, e)
	t.passState(e.Choice)
}

// closeEmpty passes on the end of a choice's call that was held, if one was. whole reports
// whether the call was not cut off: then its arguments are an empty object.
func (t *Response) closeEmpty(choice int, whole bool) {
	if t.empty[choice] != emptyClosed {
		return
	}
	delete(t.empty, choice)
	if whole {
		t.out = t.writer.Append(t.out, &Event{Kind: Delta, Choice: choice, Part: ToolCall, Text: []byte("{}")})
	}
	t.closePart(&Event{Kind: Close, Choice: choice, Part: ToolCall})
}
