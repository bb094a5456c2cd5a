package cache

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// stalled is for how long in all a request's client may not take its response, before
	// that is no longer waited for.
	stalled = 3 * time.Second
	// maxWaiting bounds how many requests wait for one. Others are sent.
	maxWaiting = 256
)

// flights are the requests that others wait for, by their keys.
type flights struct {
	mu   sync.Mutex
	open map[Key]*flight
}

// flight is a request whose response others wait for.
type flight struct {
	of  *flights
	key Key

	// blocked is since when the leader's client has not taken what was written, in
	// nanoseconds of the Unix time; 0 while it takes all.
	blocked atomic.Int64
	// slow is for how long it has not, before, in nanoseconds.
	slow atomic.Int64

	waiting atomic.Int64 // requests

	done   chan struct{} // closed when what follows is known
	entry  *Entry        // nil if there is none to share
	result landing
	landed bool // guarded by of.mu
}

// landing is what became of a flight.
type landing uint8

const (
	// arrived: its response may be shared.
	arrived landing = iota
	// failed: it may not, and the next response may not either.
	failed
	// abandoned: its client has left.
	abandoned
	// left: the one that waits has left, or has waited long enough.
	left
)

// join returns the flight of the key, and whether the caller leads it: then it has to be
// landed.
func (f *flights) join(key Key) (fl *flight, leads bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl = f.open[key]; fl != nil {
		return fl, false
	}
	if f.open == nil {
		f.open = make(map[Key]*flight)
	}
	fl = &flight{of: f, key: key, done: make(chan struct{})}
	f.open[key] = fl
	return fl, true
}

// land says what became of the flight. The first call counts.
func (fl *flight) land(result landing, e *Entry) {
	fl.of.mu.Lock()
	defer fl.of.mu.Unlock()
	if fl.landed {
		return
	}
	fl.landed, fl.result, fl.entry = true, result, e
	if result != arrived {
		fl.forget()
	}
	close(fl.done)
}

// forget has later requests join another flight. The caller holds of.mu.
func (fl *flight) forget() {
	if fl.of.open[fl.key] == fl {
		delete(fl.of.open, fl.key)
	}
}

// close has later requests find the response in the store. It must have landed.
func (fl *flight) close() {
	fl.of.mu.Lock()
	defer fl.of.mu.Unlock()
	fl.forget()
}

// clear has later requests join no flight of those that there are.
func (f *flights) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open = nil
}

// wait waits for the flight to land.
func (fl *flight) wait(ctx context.Context) (*Entry, landing) {
	select { // for most, the leader finds its response in the store
	case <-fl.done:
		return fl.entry, fl.result
	default:
	}
	defer fl.waiting.Add(-1)
	if fl.waiting.Add(1) > maxWaiting {
		return nil, failed
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-fl.done:
			return fl.entry, fl.result
		case <-ctx.Done():
			return nil, left
		case now := <-tick.C:
			slow := fl.slow.Load()
			if since := fl.blocked.Load(); since != 0 {
				slow += now.UnixNano() - since
			}
			if slow > int64(stalled) {
				return nil, failed
			}
		}
	}
}
