package guard

import (
	"bytes"
	"slices"
	"unsafe"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmroute/guard/decide"
)

// stream holds the events of a stream back until guards have seen their text together
// with what follows. Events are passed on in their order, as the bytes they came in unless
// a part of their text is replaced.
type stream struct {
	*step
	*stage
	pass func([]byte) error
	// hold is how many bytes of text must follow before an event is passed on; -1 for
	// the whole stream.
	hold   int
	stride int // how many bytes of a text come before guards look again

	buf    []byte // the events held, and what has come of the next one
	next   int    // where in buf the next one begins
	line   int    // where in buf the line begins that has not ended
	seen   int    // how much of buf was looked through for the end of a line
	held   []*event
	deltas int // of the events held
	events int // that were passed on with data
	lanes  map[laneKey]*lane
	come   map[int]*int // how much text has come, by choice
	event  *event       // that is being read
	reader reader       // of what events have beside the texts of lanes
	leaves text
}

// event is an event that is held.
type event struct {
	start, end int // in buf
	// data is where in buf its data is, if it is in one line; else lines is its data.
	dataStart, dataEnd int
	lines              []byte
	deltas             []*delta
	cuts               []cut // of what belongs to no lane
	text               *text // that is, until a service is asked about it
}

// size is the memory that is held beside the bytes of events, in bytes.
func (s *stream) size() int {
	const pointer = int(unsafe.Sizeof(uintptr(0)))
	return len(s.held)*(int(unsafe.Sizeof(event{}))+pointer) + s.deltas*(int(unsafe.Sizeof(delta{}))+2*pointer)
}

// maxLanes bounds the texts that one stream may bring side by side.
const maxLanes = 4096

func newStream(s *step, stage *stage, pass func([]byte) error) *stream {
	st := &stream{step: s, stage: stage, pass: pass, lanes: make(map[laneKey]*lane), come: make(map[int]*int), stride: 1}
	for _, g := range stage.guards {
		if g.OnResponse.Stream != StreamWindow {
			st.hold = -1
			break
		}
		st.hold = max(st.hold, g.OnResponse.Window+margin)
	}
	if st.hold > 0 {
		st.stride = min(max(st.hold/4, 16), max(st.hold/16, 256))
		if stage.kept != nil {
			st.hold = max(st.hold, stage.kept.longest+margin)
		}
	}
	st.reader = reader{text: &st.leaves, seen: roleAny, response: true}
	return st
}

// take takes what has come of the stream.
func (s *stream) take(p []byte) error {
	s.buf = append(s.buf, p...)
	for {
		i := bytes.IndexAny(s.buf[s.seen:], "\r\n")
		if i < 0 {
			s.seen = len(s.buf)
			break
		}
		i += s.seen
		after := i + 1
		if s.buf[i] == '\r' {
			if after == len(s.buf) { // a line feed may follow
				s.seen = i
				break
			}
			if s.buf[after] == '\n' {
				after++
			}
		}
		blank := i == s.line
		s.line, s.seen = after, after
		if blank {
			if err := s.end(after); err != nil {
				return err
			}
		}
	}
	if len(s.buf) > maxHeld || s.size() > maxHeld {
		if refused := s.tooLong(s.stage.guards); refused != nil {
			return refused
		}
		if err := s.lookAtAll(); err != nil || len(s.buf) <= maxHeld {
			return err
		}
		rest := s.buf // of one event, which goes on unseen
		s.buf, s.next, s.line, s.seen = nil, 0, 0, 0
		return s.pass(rest)
	}
	return s.release()
}

// finish has the guards look at all that is held.
func (s *stream) finish() error {
	if len(s.buf) > s.next {
		if err := s.end(len(s.buf)); err != nil {
			return err
		}
	}
	return s.lookAtAll()
}

// end ends the event up to there in buf.
func (s *stream) end(end int) error {
	e := &event{start: s.next, end: end}
	s.next = end
	data := e.find(s.buf)
	if n := len(s.held); n > 0 && e.dataEnd == 0 && s.held[n-1].lines == nil {
		s.held[n-1].end = end // such as a blank line; it has no part in what is replaced
		return nil
	}
	s.held = append(s.held, e)
	switch {
	case len(data) == 0:
		return nil
	case string(data) == "[DONE]":
		return s.lookAtAll()
	case !jsonscan.Valid(data):
		s.leaves.readPlain(data)
		s.leaves.cannotRead("an event that is no JSON")
		return s.lookAtLeaves(e, data)
	}
	last, err := s.read(e, data)
	if err == nil && last {
		return s.lookAtAll()
	}
	return err
}

// find finds the event's data.
func (e *event) find(buf []byte) []byte {
	count := 0
	for i := e.start; i < e.end; {
		n := bytes.IndexAny(buf[i:e.end], "\r\n")
		if n < 0 {
			n = e.end - i
		}
		line := buf[i : i+n]
		skip := 0
		if i == 0 && bytes.HasPrefix(line, byteOrderMark) {
			skip = len(byteOrderMark)
		}
		if field := line[skip:]; bytes.HasPrefix(field, []byte("data:")) {
			from := i + skip + len("data:")
			if from < i+n && buf[from] == ' ' {
				from++
			}
			if count++; count == 1 {
				e.dataStart, e.dataEnd = from, i+n
			} else {
				if count == 2 {
					e.lines = bytes.Clone(buf[e.dataStart:e.dataEnd])
				}
				e.lines = append(append(e.lines, '\n'), buf[from:i+n]...)
			}
		}
		i += n + 1
	}
	return e.data(buf)
}

func (e *event) data(buf []byte) []byte {
	if e.lines != nil {
		return e.lines
	}
	return buf[e.dataStart:e.dataEnd]
}

// lookAtLeaves has the guards look at what an event has beside the texts of lanes.
func (s *stream) lookAtLeaves(e *event, data []byte) error {
	t := &s.leaves
	if s.asks {
		if len(t.pieces) > 0 {
			e.text = &text{b: bytes.Clone(t.b), pieces: slices.Clone(t.pieces), groups: slices.Clone(t.groups)}
		}
		return nil
	}
	for _, g := range s.stage.guards {
		if refused := s.unreadable(onResponse, g, t.unreadable); refused != nil {
			return refused
		}
	}
	if len(t.pieces) == 0 {
		return nil
	}
	found, refused := s.find(s.stage.guards, s.stage.kept, t, nil, nil)
	if refused != nil {
		return refused
	}
	e.cuts = t.cuts(data, found)
	return nil
}

// lookAtAll has the guards look at all texts as they are at the end of the stream, and
// passes everything on.
func (s *stream) lookAtAll() error {
	if s.asks {
		if err := s.askAboutAll(); err != nil {
			return err
		}
		return s.release()
	}
	for _, e := range s.held {
		for _, d := range e.deltas {
			if l := d.lane; l.safe < l.len() {
				if err := s.look(l, true); err != nil {
					return err
				}
			}
		}
	}
	return s.release()
}

// askAboutAll asks the guard's service about all that is held.
func (s *stream) askAboutAll() error {
	var messages []decide.Message
	var lanes []*lane
	for _, e := range s.held {
		if e.text != nil {
			messages = append(messages, e.text.messages()...)
		}
		for _, d := range e.deltas {
			if l := d.lane; l.safe < l.len() && !l.asked {
				l.asked = true
				lanes = append(lanes, l)
			}
		}
	}
	for _, l := range lanes {
		messages = append(messages, decide.Message{Role: roleAssistant.name(), Content: string(l.b[l.safe-l.base:])})
	}
	replaced, refused := s.ask(onResponse, s.stage.guards[0], messages)
	if refused != nil {
		return refused
	}
	for _, e := range s.held {
		if e.text != nil && replaced != nil {
			n := len(e.text.groups)
			e.cuts = e.text.cuts(e.data(s.buf), e.text.replaced(replaced[:n]))
			replaced = replaced[n:]
		}
		e.text = nil
	}
	for i, l := range lanes {
		if replaced != nil {
			if was := string(l.b[l.safe-l.base:]); was != replaced[i] {
				from, to, with := difference(was, replaced[i])
				cutter := cutter{stream: s, lane: l}
				cutter.cut(l.safe+from, l.safe+to, with)
			}
		}
		l.safe, l.asked = l.len(), false
	}
	return nil
}

// release passes on the events whose texts were seen.
func (s *stream) release() error {
	n := 0
	for ; n < len(s.held) && s.held[n].text == nil; n++ {
		for _, d := range s.held[n].deltas {
			if d.end <= d.lane.safe {
				continue
			}
			if !s.ended(d.lane) {
				goto passed
			}
			if err := s.look(d.lane, true); err != nil {
				return err
			}
		}
	}
passed:
	if n == 0 {
		return nil
	}
	changed := slices.ContainsFunc(s.held[:n], (*event).isCut)
	end := s.held[n-1].end
	out := s.buf[:end]
	if changed {
		out = nil
		for _, e := range s.held[:n] {
			out = e.appendTo(out, s.buf)
		}
	}
	if err := s.pass(out); err != nil {
		return err
	}
	for _, e := range s.held[:n] {
		if e.dataEnd > 0 {
			s.events++
		}
		for _, d := range e.deltas {
			d.lane.release(d, s.hold)
		}
		s.deltas -= len(e.deltas)
	}
	s.buf = s.buf[:copy(s.buf, s.buf[end:])]
	clear(s.held[:n])
	s.held = append(s.held[:0], s.held[n:]...)
	s.next, s.line, s.seen = s.next-end, s.line-end, s.seen-end
	for _, e := range s.held {
		e.start, e.end, e.dataStart, e.dataEnd = e.start-end, e.end-end, e.dataStart-end, e.dataEnd-end
	}
	return nil
}

// isCut reports whether something of the event is replaced.
func (e *event) isCut() bool {
	return len(e.cuts) > 0 || slices.ContainsFunc(e.deltas, func(d *delta) bool { return len(d.cuts) > 0 })
}

// appendTo appends the event with its cuts made.
func (e *event) appendTo(dst, buf []byte) []byte {
	cuts := e.cuts
	for _, d := range e.deltas {
		cuts = append(cuts, d.cuts...)
	}
	if len(cuts) == 0 {
		return append(dst, buf[e.start:e.end]...)
	}
	cuts = merged(cuts)
	if e.lines == nil {
		dst = append(dst, buf[e.start:e.dataStart]...)
		dst = spliced(dst, buf[e.dataStart:e.dataEnd], cuts)
		return append(dst, buf[e.dataEnd:e.end]...)
	}
	for line := range bytes.FieldsFuncSeq(buf[e.start:e.end], func(c rune) bool { return c == '\r' || c == '\n' }) {
		if !bytes.HasPrefix(bytes.TrimPrefix(line, byteOrderMark), []byte("data:")) {
			dst = append(append(dst, line...), '\n')
		}
	}
	for line := range bytes.SplitSeq(spliced(nil, e.lines, cuts), []byte{'\n'}) {
		dst = append(append(append(dst, "data: "...), line...), '\n')
	}
	return append(dst, '\n')
}

// array has the guards look at an array of events, as Google's API streams without
// server-sent events.
func (s *stream) array(doc []byte) error {
	s.hold = -1
	s.buf = doc
	for one := range jsonscan.Elements(doc) {
		start := cap(doc) - cap(one)
		e := &event{start: s.next, end: start + len(one), dataStart: start, dataEnd: start + len(one)}
		s.next = e.end
		s.held = append(s.held, e)
		if one[0] != '{' {
			s.leaves.reset()
			s.reader.body = one
			s.reader.later(asContent, one, roleAssistant, 0)
			s.reader.finish()
			if err := s.lookAtLeaves(e, one); err != nil {
				return err
			}
			continue
		}
		if _, err := s.read(e, one); err != nil {
			return err
		}
	}
	s.held = append(s.held, &event{start: s.next, end: len(doc)})
	s.next = len(doc)
	return s.lookAtAll()
}
