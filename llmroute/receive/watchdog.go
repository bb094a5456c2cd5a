// Package receive reads responses of providers before they are passed on: a watchdog
// cancels an attempt whose provider is silent for too long, the beginning of a
// response is looked at where it decides what becomes of the response, and so is the error
// where there is none.
//
// Of the gateway it imports llmprovider, llmprovider/dialect, which knows the codes of errors,
// llmprovider/upstream, which knows those of connections, and llmprovider/tap, whose verdicts it
// returns.
// Begin with Watchdog and Peek.
package receive

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

var (
	// ErrFirstByte is why an attempt is cancelled whose response does not begin in time.
	ErrFirstByte = errors.New("the provider did not begin its response in time")
	// ErrIdle is why an attempt is cancelled whose response does not go on in time.
	ErrIdle = errors.New("the provider was silent inside its response for too long")
)

// Watchdog cancels an attempt whose provider takes too long. Waiting for a piece
// of the response costs it no more than a look at the clock: the timer is set
// again only when it runs out.
type Watchdog struct {
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

// Watch begins the wait for the response's first byte.
func Watch(limit time.Duration, cancel context.CancelCauseFunc) *Watchdog {
	d, _ := watchdogs.Get().(*Watchdog)
	if d == nil {
		d = new(Watchdog)
	}
	d.cancel, d.limit, d.cause, d.began = cancel, limit, ErrFirstByte, time.Now()
	d.since.Store(0)
	if d.timer == nil {
		d.timer = time.AfterFunc(limit, d.bark)
	} else {
		d.timer.Reset(limit)
	}
	return d
}

// Restart begins another wait, with another limit.
func (d *Watchdog) Restart(limit time.Duration, cause error) {
	if !d.timer.Stop() {
		return // the attempt is being cancelled
	}
	d.limit, d.cause = limit, cause
	d.Wait()
	d.timer.Reset(limit)
}

// Wait begins the wait for the next piece of the response.
func (d *Watchdog) Wait() { d.since.Store(int64(time.Since(d.began))) }

// Rest ends it: what takes time now is not the provider.
func (d *Watchdog) Rest() { d.since.Store(resting) }

func (d *Watchdog) bark() {
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

// Stop ends the watch. The watchdog is not to be used afterwards.
func (d *Watchdog) Stop() {
	d.since.Store(ended)
	if d.timer.Stop() { // or bark is running, and must find what it looks for
		d.cancel, d.cause = nil, nil
		watchdogs.Put(d)
	}
}
