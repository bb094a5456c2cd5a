package cluster

import "time"

const (
	// settleTime is how long after a change others that belong to it are waited
	// for.
	settleTime = 50 * time.Millisecond
	// patience is the longest that a change waits for others.
	patience = 500 * time.Millisecond
)

// debounce decides when changes are acted upon. The zero value has seen none.
type debounce struct {
	first, last time.Time // of the changes that were not acted upon
	rested      time.Time // nothing is done before
}

// change takes note of a change.
func (d *debounce) change(now time.Time) {
	if d.first.IsZero() {
		d.first = now
	}
	d.last = now
}

// due is when to act, if there is anything to act upon.
func (d *debounce) due() (at time.Time, ok bool) {
	if d.first.IsZero() {
		return time.Time{}, false
	}
	at = d.last.Add(settleTime)
	if latest := d.first.Add(patience); at.After(latest) {
		at = latest
	}
	if at.Before(d.rested) {
		at = d.rested
	}
	return at, true
}

// begin tells that the changes up to now are acted upon.
func (d *debounce) begin() { d.first, d.last = time.Time{}, time.Time{} }

// end tells that this took from began to now. As much time is left for other work.
func (d *debounce) end(began, now time.Time) { d.rested = now.Add(now.Sub(began)) }
