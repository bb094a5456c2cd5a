package host

import "strings"

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

// Exact returns the entry for a host as its exact name, or nil.
func (x *Index[T]) Exact(sent string) *T {
	name, ok := Name(sent)
	if !ok {
		return nil
	}
	return x.exact[name]
}

// lookup returns the entry for a normalized host, or nil.
func (x *Index[T]) lookup(host string) *T {
	if e := x.exact[host]; e != nil {
		return e
	}
	if len(x.suffix) > 0 {
		for rest := host; ; {
			i := strings.IndexByte(rest, '.')
			if i < 0 {
				break
			}
			if e := x.suffix[rest[i:]]; e != nil && i > 0 {
				return e
			}
			rest = rest[i+1:]
		}
	}
	return x.any
}
