// Package jsonscan reads JSON where it stands: it checks documents, walks through
// objects and arrays as spans of the source's bytes, and moves text in and out of
// JSON strings. It decodes no numbers and builds no trees. Begin with Object for
// input from outside, with Members for what has been checked, and with EachMember and the
// functions After for what may be cut off.
package jsonscan

// Object reports whether doc is one JSON object (RFC 8259) with nothing around it
// but space, and calls member with each of its members as they are written: the
// name with its quotes, and the value. It takes one pass and no recursion, so no
// nesting exhausts the stack. It does not check that strings are UTF-8.
func Object(doc []byte, member func(key, value []byte)) bool {
	c := NewChecker(doc)
	i := AfterSpace(doc, 0)
	if i >= len(doc) || doc[i] != '{' {
		return false
	}
	i = AfterSpace(doc, i+1)
	if i < len(doc) && doc[i] == '}' {
		return AfterSpace(doc, i+1) == len(doc)
	}
	for {
		key := i
		value := c.Name(i)
		if value < 0 {
			return false
		}
		if i = c.Value(value); i < 0 {
			return false
		}
		member(doc[key:passString(doc, key)], doc[value:i])
		i = AfterSpace(doc, i)
		switch {
		case i >= len(doc):
			return false
		case doc[i] == '}':
			return AfterSpace(doc, i+1) == len(doc)
		case doc[i] != ',':
			return false
		}
		i = AfterSpace(doc, i+1)
	}
}

// Valid reports whether doc is one JSON value with nothing around it but space.
func Valid(doc []byte) bool {
	c := NewChecker(doc)
	i := c.Value(AfterSpace(doc, 0))
	return i >= 0 && AfterSpace(doc, i) == len(doc)
}
