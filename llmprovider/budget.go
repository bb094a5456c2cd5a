package llmprovider

import (
	"errors"
	"math"
	"net/http"
	"sync/atomic"
	"time"
)

// Budget bounds the memory of all request bodies that are held at once, attempts
// that still send one included. A nil Budget has no bound. It is safe for
// concurrent use.
type Budget struct {
	// Within is a larger budget that what is taken of this one is taken of as well,
	// or nil. It is set before the first use.
	Within *Budget

	limit, held atomic.Int64
}

// SetLimit sets the bound, in bytes. Bodies held already are not affected.
func (b *Budget) SetLimit(n int64) { b.limit.Store(n) }

// Limit returns the bound, in bytes.
func (b *Budget) Limit() int64 {
	if b == nil {
		return math.MaxInt64
	}
	return b.limit.Load()
}

// Held returns how much is held now, in bytes.
func (b *Budget) Held() int64 { return b.held.Load() }

// room reports whether n bytes more could be held now.
func (b *Budget) room(n int64) bool {
	return b == nil || b.held.Load() <= b.limit.Load()-n && b.Within.room(n)
}

// reserve takes n bytes if there is room for them. Each is given back by release
// once.
func (b *Budget) reserve(n int64) bool {
	if b == nil {
		return true
	}
	if b.held.Add(n) <= b.limit.Load() && b.Within.reserve(n) {
		return true
	}
	b.held.Add(-n)
	return false
}

func (b *Budget) release(n int64) {
	for ; b != nil; b = b.Within {
		b.held.Add(-n)
	}
}

const (
	// slowGrace is how long any body may take to arrive, and minRate how fast it
	// must come after that, in bytes a second, while more than half of the budget is
	// held: clients that send slowly must not keep others out.
	slowGrace = 30 * time.Second
	minRate   = 16 << 10
)

// tooSlow reports whether a body of which n bytes have come since it began may
// not go on.
func (b *Budget) tooSlow(began time.Time, n int) bool {
	if b == nil || b.held.Load() <= b.limit.Load()/2 {
		return false
	}
	return time.Since(began) > slowGrace+time.Duration(n)*time.Second/minRate
}

var (
	// errTooLarge is returned by readBody for a body over its limit.
	errTooLarge = errors.New("request body exceeds the limit")
	// errNoRoom is returned for one that the budget has no room for.
	errNoRoom = errors.New("request bodies together exceed the limit")
	// errTooSlow is returned for one that comes too slowly while room is scarce.
	errTooSlow = errors.New("request body too slow")
)

// retryBodies is when a client may try again whose body there was no room for.
const retryBodies = time.Second

func errOverloaded() *Error {
	return &Error{
		Status: http.StatusServiceUnavailable, Type: TypeServer, Code: "overloaded", RetryAfter: retryBodies,
		Message: "the request bodies that the gateway holds have reached its memory limit (max_bodies); try again in a moment",
	}
}
