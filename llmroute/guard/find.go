package guard

import (
	"cmp"
	"slices"
	"strings"
)

// span is a part of the text that is replaced by word.
type span struct {
	start, end int // in text.b
	category   string
	word       string
}

// spans returns what the guard masks of the text, in order and without overlaps, and the
// categories of what was found. skip reports whether what was found is of no account; nil
// for never.
func (g *guard) spans(t *text, skip func(start, end int) bool) (found []span, categories []string) {
	for _, d := range g.mask {
		n := len(found)
		t.each(d, func(start, end int) bool {
			return skip != nil && skip(start, end) || keep(t, &found, span{start: start, end: end, category: d.Category})
		})
		if len(found) > n {
			categories = append(categories, d.Category)
		}
	}
	return inOrder(found), categories
}

// inOrder returns the spans in order and without overlaps: of those that overlap, the first
// grows over the others.
func inOrder(all []span) []span {
	if len(all) < 2 {
		return all
	}
	slices.SortStableFunc(all, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(b.end, a.end))
	})
	out := all[:1]
	for _, s := range all[1:] {
		if last := &out[len(out)-1]; s.start < last.end {
			last.end = max(last.end, s.end)
			continue
		}
		out = append(out, s)
	}
	return out
}

// overlaps reports whether the part from start to end has anything of the spans, which are
// in order and without overlaps.
func overlaps(all []span, start, end int) bool {
	i, _ := slices.BinarySearchFunc(all, start, func(s span, at int) int { return cmp.Compare(s.end, at+1) })
	return i < len(all) && all[i].start < end
}

// masks returns what of the body is to be replaced, in order and without overlaps, and
// the categories of what was found. kept takes what is to be put back into the response;
// nil to put back nothing.
func (g *guard) masks(t *text, body []byte, kept *kept) (cuts []cut, categories []string) {
	found, categories := g.spans(t, nil)
	t.locator = locator{body: body}
	if kept != nil && len(found) > 0 {
		kept.written = writtenIn(body, g.mask)
		defer func() { kept.written = nil }()
	}
	for _, s := range found {
		word := mask(s.category)
		if kept != nil {
			word = kept.mask(s.category, string(t.b[s.start:s.end]))
		}
		cuts = t.cutsOf(cuts, s.start, s.end, word)
	}
	return merged(cuts), categories
}

// mask is what stands in place of a text of the category.
func mask(category string) string { return "[" + maskWord(category) + "]" }

// maskWord is the category as masks have it.
func maskWord(category string) string { return strings.ToUpper(category) }
