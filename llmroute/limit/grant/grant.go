// Package grant is how a store that several gateways use at once grants what each of them may use
// of a limit: the calls that a gateway makes, and the replies. The limit stores implement it, and
// limit makes the calls.
//
// It imports its neighbour tuple. Begin with Store, then Call and Reply.
package grant

import (
	"context"
	"errors"
	"time"
)

// Store is a store that several gateways use at once. What each of them may use of a
// counter is granted by the store, before it is used and once for many requests, so that
// all together never have more than the limit.
type Store interface {
	// ID says which store it is, and which part of it is used: what was used is the
	// same for two with the same ID. It has no password.
	ID() string
	// Traits says what of this the store does not do.
	Traits() Traits
	// Do makes the calls, each in one move, and returns as many replies. It may have made
	// them although it says that it failed. An error that is ErrCounter concerns the one
	// counter, any other the whole store.
	Do(ctx context.Context, calls []Call) []Reply
	// Gateways notes that the gateway is there, or gone, and returns how many are. Its error
	// may be ErrCounter, too.
	Gateways(ctx context.Context, id string, gone bool) (int, error)
	// Keys returns the keys of the counters that begin so.
	Keys(ctx context.Context, prefix string) ([]string, error)
	// Close ends the use of it. It is called once, after all other calls: when the set
	// that was compiled with it has given back what was leased. Caddy's Cleanup would be too
	// early, since modules of a configuration are cleaned up in any order.
	Close()
}

// ErrCounter is that one counter of a Store is unusable. The rest of the store can be
// used.
var ErrCounter = errors.New("the counter is unusable")

// Traits says how a Store falls short of one that was made for leases. The zero value is
// a store that does all that Call describes.
type Traits struct {
	// CountsUp reports that the store only adds up what it is told, in windows of a fixed
	// length: a duration is such a window there, not a bucket. It takes nothing back, so a
	// lease stays with its gateway until the window ends. It is asked to raise counters of
	// SortWindow, and must reject resets and credits. It may count a call twice that it says
	// has failed.
	CountsUp bool
	// Gateways is how many gateways share the store, as it was configured; 0 if the store
	// counts them. With it, Gateways of the store is not called.
	Gateways int
}

// Op is what a Call does.
type Op string

// The operations.
const (
	// OpRaise has at least Claim granted to the holder, and as much of Target as there is.
	OpRaise Op = "raise"
	// OpLower gives back what is granted to the holder beyond Target.
	OpLower Op = "lower"
	// OpReset begins another generation, in which nothing is granted.
	OpReset Op = "reset"
	// OpCredit adds Target to what may be granted.
	OpCredit Op = "credit"
)

// Sort is how a counter counts.
type Sort string

// The sorts of counters.
const (
	// SortWindow is that of a window of the calendar: what was granted stays granted until
	// its end, whatever becomes of the holder.
	SortWindow Sort = "window"
	// SortBucket refills.
	SortBucket Sort = "bucket"
	// SortSlots is that of open requests: a holder that was not heard of for DeadAfter
	// has none any more.
	SortSlots Sort = "slots"
)

// DeadAfter is how long a gateway may not be heard of until its open requests do not
// count any more: they died with it.
const DeadAfter = 30 * time.Second

// Call is one move on one counter of a Store. Units are whole numbers below 2^53; those of
// money are millionths of the currency.
type Call struct {
	Op   Op
	Sort Sort
	Key  string // of the counter and its window; it has no text of clients
	Of   Counted
	// Holder is what units are granted to: this counter of this gateway. Seq grows with
	// each of its calls: the store makes none that is older than the last one.
	Holder string
	Seq    uint64
	// Gen is the generation that the holder knows.
	Gen int64
	// Base is what the holder knows to be granted to it, Claim that and what it used
	// beyond, Target what it wants. Below Least, more is of no use to it.
	Base, Claim, Target, Least int64
	// Known is what the holder knows to be granted to all; of a bucket, what is left. It
	// counts if the store does not know the holder, as after it has lost its data.
	Known int64
	// Amount is the limit: of a bucket, what it gains in Every, and Burst what it holds.
	Amount, Burst int64
	Every         time.Duration
	// Keep is how long the counter is of interest from now on.
	Keep time.Duration
}

// Reply is how a counter stands after a call.
type Reply struct {
	// Granted is what is granted to the holder, and Total to all; of a bucket, Total is
	// what is left. Gen is the generation: if it is not the call's, nothing was done.
	Granted, Total, Gen int64
	Err                 error
}
