// Package health is whether what keeps limits works: one notion of it for checkpoints and
// for stores that gateways share. It imports nothing of the gateway. Begin with State.
package health

import (
	"sync/atomic"
	"time"
)

// Pause is how long a store is left alone after it failed.
const Pause = time.Second

// State is whether a store works. The zero value is that of one that works.
type State struct {
	// Errors is how many tries have failed.
	Errors atomic.Int64
	// Broken reports whether the last try failed.
	Broken bool

	retryAt time.Time
}

// Turn is what a try has changed of a store's health.
type Turn int

// The turns: it goes on as before, begins to fail, or works again.
const (
	Unchanged Turn = iota
	Failed
	Recovered
)

// Note takes the result of a try.
func (h *State) Note(err error, now time.Time) Turn {
	was := h.Broken
	if h.Broken = err != nil; h.Broken {
		h.Errors.Add(1)
		h.retryAt = now.Add(Pause)
	}
	switch {
	case h.Broken && !was:
		return Failed
	case was && !h.Broken:
		return Recovered
	}
	return Unchanged
}

// Paused reports whether the store is left alone.
func (h *State) Paused(now time.Time) bool { return h.Broken && now.Before(h.retryAt) }
