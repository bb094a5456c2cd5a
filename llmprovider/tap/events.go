package tap

import (
	"bytes"
	"slices"

	"github.com/tidwall/gjson"

	"github.com/caddy-llm/gateway/llmprovider"
)

// maxHeld bounds how much of an unfinished event is held back or remembered,
// in bytes. A longer event passes through as it comes; its usage is read on the
// way.
const maxHeld = 64 << 10

// maxIdle bounds what is kept allocated between events, in bytes.
const maxIdle = 8 << 10

// eventTap reads the usage of an event stream while the stream passes through,
// event for event as the bytes it came in. It looks into an event only if the
// event names what it is after.
type eventTap struct {
	usage *usageReader

	// hide says that the gateway, not the client, asked for usage, so that the
	// chunk that carries usage and no choices is kept from the client, and so is
	// usage that is null.
	hide bool

	ended   bool // an event said that the stream is complete
	failed  bool // an event carried an error
	content bool // an event carried content
	delta   bool // it was of a kind that another event ends
	settled bool // usage came with the finish reason or after it
	broken  bool // the stream ended inside an event
	events  int  // with data so far, of the Responses API

	failure []byte // the data of the first of those, or its beginning

	lines  lines
	held   []byte   // the unfinished event so far
	sent   int      // how much of it was passed on already
	long   *jsonTap // reads the unfinished event, which is too long to hold
	fate   fate     // of the unfinished event
	hidden bool     // the last event was kept from the client
	null   span     // usage that is null in the last event read
}

// fate is what was decided about an event before its end: comments are passed on
// at once, so that one between the fields of an event decides about those before
// it.
type fate uint8

const (
	undecided fate = iota
	shown
	dropped
)

// span is a part of an event; empty if it has no length.
type span struct{ start, end int }

// write takes the next piece of the stream and passes on what may go to the
// client, in one piece: each that is written to a client's connection has a price.
// The slice given to pass is valid only during the call.
func (t *eventTap) write(p []byte, pass func([]byte) error) error {
	if len(p) == 0 {
		return nil
	}
	var out pieces
	t.lines.comments = t.hide
	data := p
	from := 0    // data[from:] is not passed on yet
	at := 0      // where the unfinished event begins in data
	scanned := 0 // how much of data was searched for the event's end
	switch {
	case len(t.held) > 0:
		from, scanned = t.sent, len(t.held)
		t.held = append(t.held, p...)
		data = t.held
	case t.long == nil && t.lines.cutCRLF(p):
		at, scanned = 1, 1
		if t.hidden {
			from = 1
		}
	}
	for {
		n := t.lines.next(data[scanned:])
		if n < 0 {
			break
		}
		scanned += n
		if t.lines.comment {
			if !t.lines.fields { // it stands before the event
				at, t.hidden = scanned, false
				continue
			}
			if t.long == nil {
				comment := scanned - t.lines.length
				if t.fate == undecided {
					t.fate = t.decide(data[at:comment])
				}
				if t.fate == dropped {
					out.add(data[min(from, at):at])
					out.add(data[comment:scanned])
					from = scanned
				}
			}
			continue
		}
		t.hidden = !t.readEvent(data[at:scanned])
		switch {
		case t.hidden:
			out.add(data[min(from, at):at])
			from = scanned
		case t.null.end > 0 && at+t.null.start >= from:
			out.add(data[from : at+t.null.start])
			from = at + t.null.end
		}
		at = scanned
	}
	rest := data[at:]
	if t.long != nil || len(rest) > maxHeld {
		t.readLong(rest)
		t.held, t.sent = nil, 0
		out.add(data[from:])
		return out.passOn(pass)
	}
	through := len(data)
	if t.hide && t.fate != shown && (t.lines.fields || !t.lines.comment) {
		through = max(from, at)
	}
	out.add(data[from:through])
	err := out.passOn(pass)
	t.sent = through - at
	if len(rest) == 0 && cap(t.held) > maxIdle {
		t.held = nil
		return err
	}
	t.held = append(t.held[:0], rest...) // overlapping is fine: rest is never before the start
	return err
}

// decide decides about an event by the fields before a comment.
func (t *eventTap) decide(fields []byte) fate {
	if s, _ := prescan(fields); s&hintUsage != 0 && hidesUsage(eventData(fields)) {
		return dropped
	}
	return shown
}

// finish passes on what is held back when the stream has ended.
func (t *eventTap) finish(pass func([]byte) error) error {
	rest, sent := t.held, t.sent
	t.held, t.sent = nil, 0
	if len(rest) == 0 && t.long == nil {
		return nil
	}
	if data := eventData(rest); t.long != nil || len(data) > 0 && !gjson.ValidBytes(data) && !isDone(data) {
		t.broken = true
	}
	if !t.readEvent(rest) {
		return nil
	}
	var out pieces
	if t.null.end > 0 && t.null.start >= sent {
		out.add(rest[sent:t.null.start])
		sent = t.null.end
	}
	out.add(rest[sent:])
	return out.passOn(pass)
}

// readEvent reads one event, or the end of a long one, and reports whether the
// client is to see it.
func (t *eventTap) readEvent(event []byte) (show bool) {
	decided := t.fate
	t.fate, t.null = undecided, span{}
	if t.usage.operation.IsResponses() && bytes.Contains(event, dataField) {
		t.events++
	}
	if t.long == nil && len(event) <= maxHeld {
		show = t.read(event)
		if decided != undecided {
			t.null = span{} // it may have been passed on
			return decided == shown
		}
		return show
	}
	t.readLong(event)
	t.readKind(t.long.kind)
	t.noteContent(t.long.kind == "" || hasContent(t.long.kind), t.long.kind)
	t.long = nil
	return true
}

// readLong reads a part of an event that is too long to hold. The names and
// colons of its fields are nothing to the JSON reader; it finds the data.
func (t *eventTap) readLong(part []byte) {
	if t.long == nil {
		t.long = &jsonTap{usage: t.usage, event: true}
	}
	t.long.write(part)
}

// read looks into one event and reports whether the client is to see it.
func (t *eventTap) read(event []byte) (show bool) {
	s, null := prescan(event)
	if t.usage.Model != "" {
		s &^= hintModel
	}
	if !t.hide {
		s &^= hintNull
	}
	if !t.content {
		t.noteContent(carriesContent(eventData(event)))
	}
	if s == 0 {
		return true
	}
	if s&hintNull != 0 {
		t.null = nullUsage(event, null)
	}
	if s == hintNull {
		return true
	}
	data := eventData(event)
	if s&hintModel != 0 {
		t.readModel(data)
	}
	if s&hintFinish != 0 {
		t.readFinish(data)
	}
	if s&hintKind != 0 {
		t.readKind(gjson.GetBytes(data, "type").Str)
	}
	if s&hintError != 0 {
		t.failed = t.failed || carriesError(data)
	}
	if s&hintDone != 0 {
		t.ended = t.ended || isDone(data)
	}
	if t.failed && t.failure == nil {
		t.failure = bytes.Clone(data[:min(len(data), maxCaptured)])
	}
	return s&hintUsage == 0 || t.readUsage(data)
}

func (t *eventTap) readModel(data []byte) {
	for _, path := range [...]string{"model", "response.model", "message.model"} {
		if v := gjson.GetBytes(data, path); v.Type == gjson.String {
			t.usage.setModel([]byte(v.Raw))
			return
		}
	}
}

// readFinish reads the finish reason of the first choice. Where a client asked
// for several, each has events of its own.
func (t *eventTap) readFinish(data []byte) {
	if t.usage.api == llmprovider.MessagesAPI {
		t.usage.setFinish(gjson.GetBytes(data, "delta.stop_reason").Str)
		return
	}
	if choice := gjson.GetBytes(data, "choices.0"); choice.Get("index").Int() == 0 {
		t.usage.setFinish(choice.Get("finish_reason").Str)
	}
}

// readKind notes the events that end a stream of the Responses API, and its
// error event.
func (t *eventTap) readKind(kind string) {
	switch kind {
	case "response.completed", "response.incomplete", "response.failed", "response.cancelled":
		t.ended = true
		t.failed = t.failed || kind == "response.failed"
		t.usage.setFinish(kind[len("response."):])
	case "error":
		t.failed = true
	default:
		t.ended = t.ended || slices.Contains(lastKinds[:], kind)
	}
}

// lastKinds are the events that end other streams than those of the Responses
// API: of transcriptions, of speech, of images and of Anthropic's messages.
var lastKinds = [...]string{"message_stop", "transcript.text.done", "speech.audio.done", "image_generation.completed", "image_edit.completed"}

func isDone(data []byte) bool { return string(bytes.TrimSpace(data)) == "[DONE]" }

// unfinished reports whether the stream itself says that more was to come.
func (t *eventTap) unfinished() bool {
	if t.ended || t.failed || t.usage.FinishReason != "" {
		return false
	}
	switch t.usage.operation {
	case llmprovider.Chat, llmprovider.TextCompletion, llmprovider.Responses, llmprovider.StoredResponse: // each ends with an event that says so
		return true
	}
	return t.delta || t.broken
}

// carriesError reports whether a provider says in an event that it failed.
func carriesError(data []byte) bool {
	e := gjson.GetBytes(data, "error")
	return e.IsObject() || e.Type == gjson.String && e.Str != ""
}

// usagePlaces are where providers put usage into an event: at the top, in a
// response of the Responses API, in the message that Anthropic's streams begin with, in
// a choice (Moonshot), beside it (Groq).
var usagePlaces = [...]string{"usage", "response.usage", "message.usage", "choices.0.usage", "x_groq.usage"}

// readUsage reads an event's data that has a usage object somewhere.
func (t *eventTap) readUsage(data []byte) (show bool) {
	show = true
	if t.usage.operation == llmprovider.StoredResponse {
		t.usage.Background = t.usage.Background || gjson.GetBytes(data, "response.background").Bool()
	}
	for _, path := range usagePlaces {
		u := gjson.GetBytes(data, path)
		if !u.IsObject() || u.Raw[len(u.Raw)-1] != '}' {
			continue
		}
		t.usage.readUsage([]byte(u.Raw))
		t.settled = t.settled || t.usage.Known && t.usage.FinishReason != ""
		if path == "usage" && t.hide && hidesUsage(data) {
			show = false
		}
	}
	return show
}

// hidesUsage reports whether an event that has usage has nothing else for the
// client.
func hidesUsage(data []byte) bool {
	return gjson.GetBytes(data, "usage").IsObject() && !carriesError(data) && !carriesChoices(data) && gjson.ValidBytes(data)
}

// carriesChoices reports whether an event has content for the client.
func carriesChoices(data []byte) bool {
	choices := gjson.GetBytes(data, "choices")
	switch {
	case choices.Type == gjson.Null: // absent too
		return false
	case choices.IsArray():
		return choices.Get("#").Int() > 0
	}
	return true
}
