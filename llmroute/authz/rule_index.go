package authz

import (
	"net/netip"
	"slices"
)

// key is a value of an attribute that a rule may be filed under.
type key struct {
	attribute *attribute
	form      textForm
	text      string       // without the asterisk
	prefix    netip.Prefix // of an address, without text
}

// textForm is how a text is compared.
type textForm int

const (
	textExact textForm = iota
	textPrefix
	textSuffix
)

// ruleIndex has the numbers of rules, in order, under values of one attribute.
type ruleIndex struct {
	attribute *attribute
	// By form.
	texts [textSuffix + 1]map[string][]int32
	// The lengths of prefixes and of suffixes: each is looked up.
	lengths [textSuffix + 1][]int

	addresses map[netip.Prefix][]int32
	bits      []int // the lengths of address ranges
}

func newRuleIndex(a *attribute) *ruleIndex {
	f := &ruleIndex{attribute: a, addresses: make(map[netip.Prefix][]int32)}
	for i := range f.texts {
		f.texts[i] = make(map[string][]int32)
	}
	return f
}

func (f *ruleIndex) add(k key, rule int32) {
	if k.prefix.IsValid() {
		f.addresses[k.prefix] = append(f.addresses[k.prefix], rule)
		if !slices.Contains(f.bits, k.prefix.Bits()) {
			f.bits = append(f.bits, k.prefix.Bits())
		}
		return
	}
	f.texts[k.form][k.text] = append(f.texts[k.form][k.text], rule)
	if !slices.Contains(f.lengths[k.form], len(k.text)) {
		f.lengths[k.form] = append(f.lengths[k.form], len(k.text))
	}
}

// find is the first of the filed rules before best that matches, else best.
func (f *ruleIndex) find(s *ruleSet, r *request, best int32) int32 {
	switch f.attribute.kind {
	case attrSourceIP, attrRemoteIP, attrDestinationIP:
		addr := r.address(f.attribute.kind)
		for _, bits := range f.bits {
			if prefix, err := addr.Prefix(bits); err == nil {
				best = s.first(f.addresses[prefix], r, best)
			}
		}
	case attrPath:
		readings := r.readPaths()
		for i, reading := range readings {
			if i == 0 || reading != readings[i-1] {
				best = f.findText(s, r, reading, best)
			}
		}
	default:
		for _, text := range r.texts(f.attribute) {
			best = f.findText(s, r, text, best)
		}
	}
	return best
}

func (f *ruleIndex) findText(s *ruleSet, r *request, text string, best int32) int32 {
	best = s.first(f.texts[textExact][text], r, best)
	for _, length := range f.lengths[textPrefix] {
		if length <= len(text) {
			best = s.first(f.texts[textPrefix][text[:length]], r, best)
		}
	}
	for _, length := range f.lengths[textSuffix] {
		if length <= len(text) {
			best = s.first(f.texts[textSuffix][text[len(text)-length:]], r, best)
		}
	}
	return best
}
