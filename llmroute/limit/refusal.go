package limit

import "time"

// Reason is why a request was refused.
type Reason int

// The reasons.
const (
	// ReasonExceeded is that there is no room in the running window.
	ReasonExceeded Reason = iota
	// ReasonTooLarge is that the request alone needs more than the limit.
	ReasonTooLarge
	// ReasonKey is that the request lacks a value that the limit requires.
	ReasonKey
	// ReasonPrice is that the model has no price, and the limit is one of money.
	ReasonPrice
	// ReasonStore is that the store cannot be used, and the limit lets no request pass
	// without it.
	ReasonStore
	// ReasonCut is that a stream was ended, since there was no room for more of it.
	ReasonCut

	// ReasonGone is that the request has ended while the store was waited for. No limit has
	// refused it, and it is not counted.
	ReasonGone

	reasons = int(ReasonCut) + 1 // that are counted
)

var reasonNames = [...]string{"exceeded", "too_large", "key", "no_price", "store", "cut", "gone"}

// String returns the reason's name in metrics.
func (r Reason) String() string { return reasonNames[r] }

// Standing is where a limit stands for a request.
type Standing struct {
	Limit  string
	Unit   Unit
	Window string        // as it was configured: a duration or a period
	Length time.Duration // of the window, about, for a period of the calendar

	// Amount is what may be used in the window, or how much the bucket holds.
	// Remaining is what is left of it now, never below 0. Rate is what comes back to a
	// bucket in the window, else Amount.
	Amount, Remaining, Rate int64
	// Reset is how long it takes until all of the amount may be used again.
	Reset time.Duration
	// Budget reports whether the window is so long, or the unit such, that trying
	// again soon is of no use.
	Budget bool
}

// share is the part that is left, in millionths.
func (s *Standing) share() int64 {
	if s.Amount <= 0 {
		return 0
	}
	return int64(float64(s.Remaining) / float64(s.Amount) * 1e6)
}

// Refusal is why a request is not admitted.
type Refusal struct {
	Standing
	Reason Reason
	// Needed is what the request would have reserved.
	Needed int64
	// RetryAfter is when there may be room, 0 if that is not known or of no use.
	RetryAfter time.Duration
	// Key is the missing value for ReasonKey.
	Key Key
	// Model is the one without a price for ReasonPrice.
	Model string
	// OfTarget reports whether the limit depends on where the request is sent: another
	// provider, or another model, may have room for it.
	OfTarget bool
}

// worse reports whether the refusal says more than another one: what will never
// fit before a budget, a budget before a rate, a longer wait before a shorter one.
func (r *Refusal) worse(than *Refusal) bool {
	if than == nil {
		return true
	}
	rank := func(r *Refusal) int {
		switch {
		case r.Reason == ReasonTooLarge:
			return 2
		case r.Budget:
			return 1
		}
		return 0
	}
	if a, b := rank(r), rank(than); a != b {
		return a > b
	}
	return r.RetryAfter > than.RetryAfter
}
