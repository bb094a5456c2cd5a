package llmroute

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// watchdog cancels an attempt whose provider takes too long. Waiting for a piece
// of the answer costs it no more than a look at the clock: the timer is set
// again only when it runs out.
type watchdog struct {
	cancel context.CancelCauseFunc
	timer  *time.Timer
	limit  time.Duration
	cause  error
	began  time.Time
	since  atomic.Int64 // when the wait began, in nanoseconds after began, or one of the below
}

const (
	resting = -1 // nothing is waited for
	ended   = -2 // nothing will be any more
)

// watchdogs holds those that have ended, with timers that have not run out.
var watchdogs sync.Pool

// startWatchdog begins the wait for the answer's first byte.
func startWatchdog(limit time.Duration, cancel context.CancelCauseFunc) *watchdog {
	d, _ := watchdogs.Get().(*watchdog)
	if d == nil {
		d = new(watchdog)
	}
	d.cancel, d.limit, d.cause, d.began = cancel, limit, errFirstByte, time.Now()
	d.since.Store(0)
	if d.timer == nil {
		d.timer = time.AfterFunc(limit, d.bark)
	} else {
		d.timer.Reset(limit)
	}
	return d
}

// restart begins another wait, with another limit.
func (d *watchdog) restart(limit time.Duration, cause error) {
	if !d.timer.Stop() {
		return // the attempt is being cancelled
	}
	d.limit, d.cause = limit, cause
	d.wait()
	d.timer.Reset(limit)
}

// wait begins the wait for the next piece of the answer.
func (d *watchdog) wait() { d.since.Store(int64(time.Since(d.began))) }

// rest ends it: what takes time now is not the provider.
func (d *watchdog) rest() { d.since.Store(resting) }

func (d *watchdog) bark() {
	waited := time.Duration(0)
	switch since := d.since.Load(); since {
	case ended:
		return
	case resting:
	default:
		waited = time.Since(d.began) - time.Duration(since)
	}
	if waited >= d.limit {
		d.cancel(d.cause)
		return
	}
	d.timer.Reset(d.limit - waited)
}

// stop ends the watch. The watchdog is not to be used afterwards.
func (d *watchdog) stop() {
	d.since.Store(ended)
	if d.timer.Stop() { // or bark is running, and must find what it looks for
		d.cancel, d.cause = nil, nil
		watchdogs.Put(d)
	}
}
