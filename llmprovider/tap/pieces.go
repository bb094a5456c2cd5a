package tap

import "sync"

// joinedRooms holds the memory in which pieces are joined.
var joinedRooms = sync.Pool{New: func() any { return new([]byte) }}

// pieces collects what is left of a read where parts of it are kept from the
// client, and passes it on as one. What is in one piece already is not copied.
type pieces struct {
	first  []byte  // the only one so far
	joined *[]byte // all of them, if there are several
}

// add adds a piece, whose bytes must stay as they are until passOn.
func (o *pieces) add(p []byte) {
	switch {
	case len(p) == 0:
	case o.joined != nil:
		*o.joined = append(*o.joined, p...)
	case len(o.first) == 0:
		o.first = p
	default:
		o.joined = joinedRooms.Get().(*[]byte)
		*o.joined = append(append((*o.joined)[:0], o.first...), p...)
	}
}

// passOn passes on what was added, if there is any. There is nothing to be added after it.
func (o *pieces) passOn(pass func([]byte) error) error {
	if o.joined == nil {
		if len(o.first) == 0 {
			return nil
		}
		return pass(o.first)
	}
	err := pass(*o.joined)
	if cap(*o.joined) <= maxHeld {
		joinedRooms.Put(o.joined)
	}
	return err
}
