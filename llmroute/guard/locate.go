package guard

import "github.com/caddy-llm/gateway/internal/jsonscan"

// locator finds where in the body a part of a text stands. Asked for one part after the
// other, as detectors find them, it takes one pass over a string, however many they are.
type locator struct {
	body        []byte
	src, srcEnd int    // of the string that the two below are of
	outer       cursor // in that string
	decoded     []byte // it without its escapes, if it is JSON; nil until it is needed
	from, to    int    // of the string in decoded that inner is in
	inner       cursor
	decodes     int // how often a string was decoded, for tests
}

// of returns where the part of a piece from start to end stands, which are offsets in
// text.b.
func (w *locator) of(p *piece, start, end int) (int, int) {
	start, end = start-p.start, end-p.start
	if p.raw {
		return p.src + start, p.src + end
	}
	if p.number && p.to == 0 {
		return p.src, p.srcEnd
	}
	if w.src != p.src || w.srcEnd != p.srcEnd {
		w.src, w.srcEnd, w.outer, w.decoded = p.src, p.srcEnd, w.outer.to(w.body[p.src:p.srcEnd]), nil
	}
	if p.to > 0 {
		if w.decoded == nil {
			w.decoded = jsonscan.AppendUnescaped(nil, w.outer.text)
			w.decodes++
			w.from, w.to = 0, 0
		}
		if p.number {
			start, end = 0, p.end-p.start
		} else {
			if w.from != p.from || w.to != p.to {
				w.from, w.to, w.inner = p.from, p.to, w.inner.to(w.decoded[p.from:p.to])
			}
			start, end = w.inner.find(start, end)
		}
		start, end = start+p.from, end+p.from
	}
	start, end = w.outer.find(start, end)
	return p.src + start, p.src + end
}

// cursor is a place in a text with escapes: i bytes of it are at bytes without them.
type cursor struct {
	text   []byte
	i, at  int
	walked int // bytes, since the cursor was first used
}

// to is the cursor at the beginning of another text.
func (c cursor) to(text []byte) cursor { return cursor{text: text, walked: c.walked} }

// find returns where the part from start to end of the text without its escapes stands.
// It goes on from the end of the part before, unless this one begins before that.
func (c *cursor) find(start, end int) (from, to int) {
	if start < c.at {
		c.i, c.at = 0, 0
	}
	from, to = -1, len(c.text)
	var room [8]byte
	for c.i < len(c.text) {
		n, wide := 1, 1
		if c.text[c.i] == '\\' && c.i+1 < len(c.text) {
			n = escapeWidth(c.text[c.i:])
			wide = len(jsonscan.AppendUnescaped(room[:0], c.text[c.i:c.i+n]))
		}
		c.walked += n
		if from < 0 && c.at+wide > start {
			from = c.i
		}
		if next := c.at + wide; next >= end {
			to = c.i + n
			if next == end {
				c.i, c.at = to, next
			}
			break
		}
		c.i, c.at = c.i+n, c.at+wide
	}
	if from < 0 {
		from = len(c.text)
	}
	return from, to
}

// escapeWidth is how many bytes the escape that b begins with has; both halves of a
// surrogate pair are one.
func escapeWidth(b []byte) int {
	if b[1] != 'u' {
		return 2
	}
	one := min(6, len(b))
	if len(b) >= 12 && b[6] == '\\' && b[7] == 'u' && b[2]|0x20 == 'd' && b[3] > '7' {
		// A pair has one character of four bytes; two halves have two of three each.
		var room [8]byte
		if len(jsonscan.AppendUnescaped(room[:0], b[:12])) == 4 {
			return 12
		}
	}
	return one
}
