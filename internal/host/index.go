package host

import (
	"iter"
	"strings"
)

// Index finds what belongs to a request's host: the exact name before the
// longest suffix before any host. Of two entries for one host the first stays.
type Index[T any] struct {
	exact  map[string]*T
	suffix map[string]*T // by what follows the star, the dot included
	any    *T
}

// NewIndex returns an index without entries; size is about how many exact names there will be.
func NewIndex[T any](size int) Index[T] {
	return Index[T]{exact: make(map[string]*T, size), suffix: make(map[string]*T)}
}

// Add adds the entry for a host: a name, *.suffix, or *.
func (x *Index[T]) Add(pattern string, entry *T) {
	name, ok := Name(pattern)
	switch {
	case !ok: // no request has it
	case name == "*":
		if x.any == nil {
			x.any = entry
		}
	case strings.HasPrefix(name, "*."):
		if x.suffix[name[1:]] == nil {
			x.suffix[name[1:]] = entry
		}
	case x.exact[name] == nil:
		x.exact[name] = entry
	}
}

// Get returns the entry that was added for a host, or nil.
func (x *Index[T]) Get(pattern string) *T {
	switch name, _ := Name(pattern); {
	case name == "*":
		return x.any
	case strings.HasPrefix(name, "*."):
		return x.suffix[name[1:]]
	default:
		return x.exact[name]
	}
}

// Find returns the entry for the host of a request or a handshake, or nil.
func (x *Index[T]) Find(sent string) *T {
	name, ok := Name(sent)
	if !ok {
		return nil
	}
	return x.lookup(name)
}

// All returns the entries of all hosts that have the host of a request, as Find finds them: the
// one that Find returns is the first.
func (x *Index[T]) All(sent string) iter.Seq[*T] {
	return func(yield func(*T) bool) {
		name, ok := Name(sent)
		if !ok {
			return
		}
		x.each(name, yield)
	}
}

// Exact returns the entry for a host as its exact name, or nil.
func (x *Index[T]) Exact(sent string) *T {
	name, ok := Name(sent)
	if !ok {
		return nil
	}
	return x.exact[name]
}

// lookup returns the entry for a normalized host, or nil.
func (x *Index[T]) lookup(host string) (found *T) {
	x.each(host, func(e *T) bool {
		found = e
		return false
	})
	return found
}

// each calls yield with the entries for a normalized host until it returns false.
func (x *Index[T]) each(host string, yield func(*T) bool) {
	if e := x.exact[host]; e != nil && !yield(e) {
		return
	}
	if len(x.suffix) > 0 {
		for rest := host; ; {
			i := strings.IndexByte(rest, '.')
			if i < 0 {
				break
			}
			if e := x.suffix[rest[i:]]; e != nil && i > 0 && !yield(e) {
				return
			}
			rest = rest[i+1:]
		}
	}
	if x.any != nil {
		yield(x.any)
	}
}
