package main

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
)

// answer is a body as it must arrive: the provider's own bytes, with gaps where
// each response has an id and a time of its own.
type answer struct {
	contentType string
	size        int
	parts       []part
	whole       []byte // an example
}

type part struct {
	text []byte // nil for a gap
	gap  gap
	size int
}

type gap uint8

const (
	gapNone gap = iota
	gapID       // hexadecimal digits, the same in all of a response's ids
	gapTime     // decimal digits
)

// variable finds what differs between answers to the same request.
var variable = regexp.MustCompile(`"(?:chatcmpl-|msg_|resp_)([0-9a-f]{16})|"created(?:_at)?":([0-9]{10}),`)

// newAnswer makes the template of all responses like this one.
func newAnswer(contentType string, example []byte) (*answer, error) {
	a := &answer{contentType: contentType, size: len(example), whole: example}
	at := 0
	add := func(start, end int, kind gap) {
		a.parts = append(a.parts, part{text: example[at:start], size: start - at}, part{gap: kind, size: end - start})
		at = end
	}
	for _, m := range variable.FindAllSubmatchIndex(example, -1) {
		if m[2] >= 0 {
			add(m[2], m[3], gapID)
		} else {
			add(m[4], m[5], gapTime)
		}
	}
	if at == 0 {
		return nil, fmt.Errorf("the provider's response has no id: %.300q", example)
	}
	a.parts = append(a.parts, part{text: example[at:], size: len(example) - at})
	return a, nil
}

// checker compares a body that comes in pieces with the answer it must be.
type checker struct {
	want   *answer
	i, off int // the place in want.parts
	got    int
	id     [16]byte
	known  bool // id was read
}

var errTooLong = errors.New("the response goes on after its end")

// take checks the next piece.
func (c *checker) take(p []byte) error {
	for len(p) > 0 {
		if c.i == len(c.want.parts) {
			return errTooLong
		}
		here := &c.want.parts[c.i]
		n := min(len(p), here.size-c.off)
		if !c.fits(here, p[:n]) {
			return fmt.Errorf("the response differs from the provider's between byte %d and %d: got %.200q, want %.200q",
				c.got, c.got+n, p[:n], c.want.whole[c.got:c.got+n])
		}
		p = p[n:]
		c.got += n
		if c.off += n; c.off == here.size {
			c.i, c.off = c.i+1, 0
			c.known = c.known || here.gap == gapID
		}
	}
	return nil
}

func (c *checker) fits(here *part, p []byte) bool {
	switch here.gap {
	case gapID:
		if c.known {
			return bytes.Equal(p, c.id[c.off:c.off+len(p)])
		}
		for _, b := range p {
			if (b < '0' || b > '9') && (b < 'a' || b > 'f') {
				return false
			}
		}
		copy(c.id[c.off:], p)
		return true
	case gapTime:
		for _, b := range p {
			if b < '0' || b > '9' {
				return false
			}
		}
		return true
	}
	return bytes.Equal(p, here.text[c.off:c.off+len(p)])
}

// end checks that nothing is missing.
func (c *checker) end() error {
	if c.got != c.want.size {
		return fmt.Errorf("the response ended after %d of %d bytes", c.got, c.want.size)
	}
	return nil
}

// withoutUsage returns a stream without the event that carries usage, and without
// the null that stands for it in the others, as a client that did not ask for it must
// see it.
func withoutUsage(stream []byte) ([]byte, error) {
	var out []byte
	removed := 0
	for _, event := range bytes.SplitAfter(stream, []byte("\n\n")) {
		if bytes.Contains(event, []byte(`"choices":[],"usage":{`)) {
			removed++
			continue
		}
		out = append(out, bytes.Replace(event, []byte(`,"usage":null`), nil, 1)...)
	}
	if removed != 1 {
		return nil, fmt.Errorf("the provider's stream has %d events with usage, expected 1", removed)
	}
	return out, nil
}
