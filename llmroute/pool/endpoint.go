package pool

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// firstPause is the cool-down after a failure; each further one in a row doubles
	// it, up to maxPause.
	firstPause = time.Second
	maxPause   = 30 * time.Second
	// errorsInRow is how many errors in a row are a failure of which one alone says
	// nothing of the next request.
	errorsInRow = 3
	// freshFor is how long what an endpoint said of itself is used.
	freshFor = 5 * time.Second
)

// epoch is what times are counted from, so that they are one word and do not move
// with the wall clock. It is long ago, so that 0 is none of them.
var epoch = time.Now().Add(-100 * 365 * 24 * time.Hour)

func ticks(t time.Time) int64 { return int64(t.Sub(epoch)) }

// Endpoint is one server of a pool, and what is known of it. It is safe for
// concurrent use, and outlives configurations as long as one of them has it.
type Endpoint struct {
	// Address is the server's host and port, as it is connected to.
	Address string

	id   uint16 // in its Registry, from 1
	hash uint64 // of the address, for sessions
	refs int    // pools that have it; guarded by the Registry

	inFlight atomic.Int64
	chosen   atomic.Int64
	failures atomic.Int64

	until  atomic.Int64 // of a cool-down, in ticks
	errors atomic.Int64 // in a row of which one alone says nothing

	mu    sync.Mutex // guards what follows
	row   int        // failures in a row
	since int64      // the last of them, in ticks

	load    loadValues
	scraper scrapeState
}

// loadValues is what an endpoint's metrics said last.
type loadValues struct {
	at       atomic.Int64 // in ticks, 0 for never
	waiting  atomic.Int64
	running  atomic.Int64
	cache    atomic.Int64 // used part of the KV cache, in millionths; -1 if unknown
	adapters atomic.Pointer[[]string]
}

// fresh reports whether the values can be used at that time.
func (v *loadValues) fresh(now int64) bool {
	at := v.at.Load()
	return at != 0 && now-at <= int64(freshFor)
}

// queue is what a new request would wait behind: the requests in flight from here,
// and those that wait at the endpoint by its own word.
func (e *Endpoint) queue(now int64) int64 {
	n := e.inFlight.Load()
	if e.load.fresh(now) {
		n += e.load.waiting.Load()
	}
	return n
}

// busier compares two endpoints with equal queues: the one that runs more, or whose
// cache is fuller. Without fresh values of both it is 0.
func (e *Endpoint) busier(o *Endpoint, now int64) int64 {
	if !e.load.fresh(now) || !o.load.fresh(now) {
		return 0
	}
	if d := e.load.running.Load() - o.load.running.Load(); d != 0 {
		return d
	}
	return e.load.cache.Load() - o.load.cache.Load()
}

// hasAdapter reports whether the endpoint says that it has loaded the model as a LoRA
// adapter.
func (e *Endpoint) hasAdapter(model string, now int64) bool {
	list := e.load.adapters.Load()
	return list != nil && e.load.fresh(now) && slices.Contains(*list, model)
}

// cooling reports whether other endpoints are preferred.
func (e *Endpoint) cooling(now int64) bool {
	until := e.until.Load()
	return until != 0 && now < until
}

// Succeeded notes a response to a request that was sent then. It ends a cool-down
// that was there already when it was sent.
func (e *Endpoint) Succeeded(sent time.Time) {
	if e.errors.Load() != 0 {
		e.errors.Store(0)
	}
	if e.until.Load() == 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.since < ticks(sent) {
		e.row, e.since = 0, 0
		e.until.Store(0)
	}
}

// Erred notes that a request, sent then, ended with an error that may be the request's own
// fault. From the third in a row on it is a failure.
func (e *Endpoint) Erred(sent, now time.Time) time.Duration {
	if e.errors.Add(1) < errorsInRow {
		e.failures.Add(1)
		return 0
	}
	return e.Failed(sent, now, 0)
}

// Failed notes that a request, sent then, came to nothing at the endpoint, and returns
// the cool-down that follows. asked is the pause that the endpoint asked for, 0
// without one.
func (e *Endpoint) Failed(sent, now time.Time, asked time.Duration) time.Duration {
	e.failures.Add(1)
	e.mu.Lock()
	defer e.mu.Unlock()
	at := ticks(now)
	if e.row == 0 || e.since < ticks(sent) { // requests that were under way together say the same thing once
		e.row++
	}
	e.since = at
	pause := max(min(firstPause<<min(e.row-1, 10), maxPause), min(asked, maxPause))
	if until := at + int64(pause); until > e.until.Load() {
		e.until.Store(until)
	}
	return pause
}
