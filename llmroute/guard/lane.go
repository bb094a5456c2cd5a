package guard

import (
	"bytes"
	"slices"

	"github.com/caddy-llm/gateway/internal/jsonscan"
)

// laneKey tells the texts apart that a stream brings in pieces, side by side.
type laneKey struct {
	choice, call int
	name         string
}

// lane is one of these texts. Offsets in it count from its beginning, of which only the
// end is kept.
type lane struct {
	b        []byte // the text from base on
	base     int
	released int      // up to where events were passed on
	safe     int      // up to where they may be
	cut      int      // up to where something is replaced that has begun before safe
	looked   int      // how long the text was when guards looked last
	parts    []int    // where the parts of the message begin that are joined here
	part     int      // the number of the last of them
	deltas   []*delta // of events that are held
	asked    bool     // it is in the question that is being put together

	come *int // how much text has come of all lanes of the choice
	last int  // what that was with the last of this one

	json  bool // the text is JSON, which is looked at when it has come whole
	scan  jsonScan
	begun int // where the JSON begins that has not ended
	ended int // where the last one ended
}

// delta is a piece of a lane's text that an event brings.
type delta struct {
	lane        *lane
	event       *event
	start, end  int // in the lane
	src, srcEnd int // in the event's data, between the quotes
	cuts        []cut
}

// margin is how many bytes must follow what was found before it counts: what follows may
// make it something else, such as a part of a longer number.
const margin = 8

func (l *lane) len() int { return l.base + len(l.b) }

// add adds a string of the event that is being read to a lane.
func (s *stream) add(key laneKey, isJSON bool, value []byte) {
	l := s.lanes[key]
	if l == nil {
		l = &lane{json: isJSON, part: s.reader.partNo, come: s.comeOf()}
		s.lanes[key] = l
	}
	if l.part != s.reader.partNo {
		l.part = s.reader.partNo
		l.parts = append(l.parts, l.len())
	}
	at := s.reader.offset(value)
	d := &delta{lane: l, event: s.event, start: l.len(), src: at + 1, srcEnd: at + len(value) - 1}
	l.b = jsonscan.AppendUnescaped(l.b, value[1:len(value)-1])
	d.end = l.len()
	*l.come += d.end - d.start
	l.last = *l.come
	if l.json {
		l.ended = max(l.ended, l.scan.feed(l.b[d.start-l.base:], d.start))
	}
	l.deltas = append(l.deltas, d)
	s.event.deltas = append(s.event.deltas, d)
	s.deltas++
}

// comeOf returns the count of the text of the choice that is being read. In APIs with one
// response it is the same for all its items.
func (s *stream) comeOf() *int {
	choice := 0
	if s.reader.lane != nil {
		choice = s.reader.choiceNo
	}
	if s.come[choice] == nil {
		s.come[choice] = new(int)
	}
	return s.come[choice]
}

// ended reports whether the lane is taken to have ended since others of its choice have
// brought as much text as is held back, such as the response after the reasoning.
func (s *stream) ended(l *lane) bool {
	return s.hold >= 0 && !l.json && *l.come-l.last > s.hold+margin
}

// due reports whether guards are to look at the lane now.
func (s *stream) due(l *lane) bool {
	switch {
	case s.hold < 0:
		return false
	case l.json:
		return l.ended > l.begun
	}
	return l.len()-l.looked >= s.stride
}

// look has the guards look at a lane. last says that nothing follows.
func (s *stream) look(l *lane, last bool) error {
	l.looked = l.len()
	if l.json {
		return s.lookAtJSON(l, last)
	}
	t := texts.Get().(*text)
	defer t.release()
	l.read(t)
	n, released := len(l.b), l.released-l.base
	margin := margin
	limit := n
	switch {
	case last:
	case len(s.stage.guards) == 0: // only what was masked is put back
		margin, limit = 0, max(released, s.stage.kept.begins(l.b))
	default:
		limit = max(released, n-s.hold)
	}
	skipDeny := func(start, end int) bool {
		return end <= released || start == 0 && l.base > 0 || !last && end > n-margin
	}
	pending := n
	found, refused := s.find(s.stage.guards, s.stage.kept, t, skipDeny, func(start, end int) bool {
		if end > released && !last && end > n-margin {
			pending = min(pending, start)
		}
		return skipDeny(start, end)
	})
	if refused != nil {
		return refused
	}
	// No event is passed on that has a part of what may still become longer.
	limit = max(released, min(limit, pending))
	for changed := true; changed; {
		changed = false
		for _, f := range found {
			if f.start < limit && limit < f.end && f.start >= released {
				limit, changed = f.start, true
			}
		}
	}
	for _, d := range l.deltas {
		d.cuts = d.cuts[:0]
	}
	cut, cutter := l.cut, cutter{stream: s, lane: l}
	for _, f := range found {
		start, end := l.base+f.start, l.base+f.end
		if start < l.released && start < l.cut {
			f.word = "" // an event that was passed on has it
		}
		if cutter.cut(start, end, f.word); f.start < limit {
			cut = max(cut, end)
		}
	}
	l.cut = cut
	l.safe = max(l.safe, l.base+limit)
	return nil
}

// read reads the lane as a group of its parts.
func (l *lane) read(t *text) {
	t.reset()
	from := 0
	for _, at := range l.parts {
		if at -= l.base; at > from {
			t.b = append(t.b, l.b[from:at]...)
			t.add(piece{start: from})
			from = at
		}
	}
	t.b = append(t.b, l.b[from:]...)
	t.add(piece{start: from})
	t.endGroup(0)
}

// lookAtJSON has the guards look at JSON that has come whole, or that nothing follows.
func (s *stream) lookAtJSON(l *lane, last bool) error {
	end := l.ended
	if last {
		end = l.len()
	}
	if end <= l.begun {
		return nil
	}
	doc := bytes.Clone(l.b[l.begun-l.base : end-l.base])
	t := texts.Get().(*text)
	defer t.release()
	if jsonscan.Valid(doc) {
		t.reset()
		r := reader{text: t, body: doc, seen: roleAny, response: true}
		r.leaves(doc, asCall)
	} else {
		t.readPlain(doc)
	}
	found, refused := s.find(s.stage.guards, s.stage.kept, t, nil, nil)
	if refused != nil {
		return refused
	}
	cutter := cutter{stream: s, lane: l}
	for _, c := range t.cuts(doc, found) {
		cutter.cut(l.begun+c.start, l.begun+c.end, c.with)
	}
	l.begun, l.safe = end, max(l.safe, end)
	return nil
}

// cutter replaces parts of a lane's text in the events that bring it. Asked for one part
// after the other, it takes one pass over each string, however many they are.
type cutter struct {
	stream *stream
	lane   *lane
	delta  *delta // that the cursor is in
	cursor cursor
}

// cut replaces a part of the text: the first event that brings it has the word.
func (c *cutter) cut(start, end int, word string) {
	deltas := c.lane.deltas
	i, _ := slices.BinarySearchFunc(deltas, start, func(d *delta, at int) int { return d.end - (at + 1) })
	for ; i < len(deltas) && deltas[i].start < end; i++ {
		d := deltas[i]
		if d.start == d.end {
			continue
		}
		if c.delta != d {
			c.delta, c.cursor = d, c.cursor.to(d.event.data(c.stream.buf)[d.src:d.srcEnd])
		}
		from, to := c.cursor.find(max(start, d.start)-d.start, min(end, d.end)-d.start)
		d.cuts = append(d.cuts, cut{d.src + from, d.src + to, escaped(word)})
		word = ""
	}
}

// release notes that the event of a delta was passed on. keep is how much text before
// what is held is kept, so that guards see what is found in its surroundings.
func (l *lane) release(d *delta, keep int) {
	l.released = max(l.released, d.end)
	if len(l.deltas) > 0 && l.deltas[0] == d {
		l.deltas[0] = nil
		l.deltas = l.deltas[1:]
	}
	from := l.released
	if !l.json {
		from -= max(keep, margin) + 1
	}
	from = min(from, l.len())
	if l.json {
		from = min(from, l.begun)
	}
	if drop := from - l.base; drop > 4096 && drop > len(l.b)/4 { // or what is kept is moved again and again
		for drop > 0 && drop < len(l.b) && l.b[drop]&0xc0 == 0x80 {
			drop--
		}
		l.b = l.b[:copy(l.b, l.b[drop:])]
		l.base += drop
		l.parts = slices.DeleteFunc(l.parts, func(at int) bool { return at <= l.base })
	}
}

// jsonScan finds where a value of JSON that comes in pieces ends.
type jsonScan struct {
	depth            int
	inString, escape bool
}

// feed takes the next piece, which begins at that offset, and returns the offset after the
// last object or array that ends in it, or 0.
func (j *jsonScan) feed(b []byte, at int) (end int) {
	for i, c := range b {
		switch {
		case j.escape:
			j.escape = false
		case j.inString:
			j.escape, j.inString = c == '\\', c != '"'
		case c == '"':
			j.inString = true
		case c == '{' || c == '[':
			j.depth++
		case c == '}' || c == ']':
			if j.depth--; j.depth <= 0 {
				j.depth, end = 0, at+i+1
			}
		}
	}
	return end
}
