package cache

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

const (
	// getTimeout bounds how long a request waits for a store that is elsewhere.
	getTimeout = 250 * time.Millisecond
	// putTimeout bounds how long a response is written to it.
	putTimeout = 2 * time.Second
	// maxPuts bounds how many responses are written at once; others are not stored.
	maxPuts = 64
	// pause is how long a store is left alone after it failed.
	pause = time.Second
)

// guarded keeps a store that fails, or is slow, from failing requests: they then find
// nothing in it.
type guarded struct {
	Store
	stats  *Stats
	logger *zap.Logger

	puts    atomic.Int64
	retryAt atomic.Int64 // when the store may be used again, in nanoseconds of the Unix time
	broken  atomic.Bool  // at the last try
}

// get returns the entry, nil without one and if the store fails, and the epoch; known is false
// if the store did not say.
func (g *guarded) get(ctx context.Context, key Key) (e *Entry, epoch Epoch, known bool) {
	if g.Local() {
		e, epoch, _ = g.Get(ctx, key)
		return e, epoch, true
	}
	if g.paused() {
		return nil, 0, false
	}
	own, cancel := context.WithTimeout(ctx, getTimeout)
	defer cancel()
	e, epoch, err := g.Get(own, key)
	if ctx.Err() == nil {
		g.note(err)
	}
	return e, epoch, err == nil
}

// put stores an entry, and then calls done: at once, or later if the store is elsewhere,
// since the client would wait for it.
func (g *guarded) put(key Key, e *Entry, epoch Epoch, done func()) {
	if g.Local() {
		_ = g.Put(context.Background(), key, e, epoch)
		done()
		return
	}
	if g.paused() || g.puts.Add(1) > maxPuts {
		g.puts.Add(-1)
		done()
		return
	}
	go func() {
		defer done()
		defer g.puts.Add(-1)
		ctx, cancel := context.WithTimeout(context.Background(), putTimeout)
		defer cancel()
		g.note(g.Put(ctx, key, e, epoch))
	}()
}

func (g *guarded) paused() bool { return g.broken.Load() && time.Now().UnixNano() < g.retryAt.Load() }

// note takes the result of a try.
func (g *guarded) note(err error) {
	if errors.Is(err, ErrClosed) {
		return
	}
	if err == nil {
		if g.broken.Load() && g.broken.Swap(false) {
			g.logger.Info("response cache store available again")
		}
		return
	}
	g.stats.storeErrors.Add(1)
	g.retryAt.Store(time.Now().Add(pause).UnixNano())
	if !g.broken.Swap(true) {
		g.logger.Error("response cache store unavailable; requests go to providers", zap.Error(err))
	}
}
