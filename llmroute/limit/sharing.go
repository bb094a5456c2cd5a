package limit

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmroute/limit/grant"
	"github.com/caddy-llm/gateway/llmroute/limit/health"
)

const (
	// callTimeout bounds one round of calls of the shared store.
	callTimeout = time.Second
	// tickEvery is how often leases are looked at that nobody uses.
	tickEvery = time.Second
	// giveBackAfter is how long a lease may be unused until it is given back.
	giveBackAfter = 2 * time.Second
	// fresh is how long what the store said is believed before a request is refused.
	fresh = 250 * time.Millisecond
	// beatEvery is how often the store is told that this gateway is there.
	beatEvery = 5 * time.Second
	// warnEvery is how often it is logged that a counter is unusable.
	warnEvery = time.Minute
)

// sharing is one shared store, as this process uses it: one goroutine asks it for what
// counters want, for many of them in one round.
type sharing struct {
	now      func() time.Time
	gateway  string // which is this one
	serial   atomic.Uint64
	gateways atomic.Int64 // how many there are, 0 if that was never known
	countsUp bool         // as Traits says

	calling sync.Mutex // held while calls are made

	mu     sync.Mutex
	store  grant.Store
	logger *zap.Logger
	seq    uint64
	dirty  map[*counter]bool
	next   *batch
	meters map[*meter]bool
	health.State
	beatAt time.Time
	warned time.Time // of a counter that is unusable
	refs   int       // guarded by Engine.mu
	wake   chan struct{}
	stop   chan struct{} // nil as long as nothing runs
}

func newSharing(now func() time.Time, s grant.Store) *sharing {
	var id [8]byte
	_, _ = rand.Read(id[:]) // it never fails
	sh := &sharing{
		now: now, store: s, gateway: hex.EncodeToString(id[:]), logger: zap.NewNop(), dirty: make(map[*counter]bool), next: &batch{make(chan struct{})},
		meters: make(map[*meter]bool), wake: make(chan struct{}, 1), countsUp: s.Traits().CountsUp,
	}
	sh.gateways.Store(int64(s.Traits().Gateways))
	return sh
}

// use sets the store, of a configuration that is in force now, and begins.
func (s *sharing) use(store grant.Store, logger *zap.Logger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store, s.logger = store, logger
	if n := store.Traits().Gateways; n > 0 {
		s.gateways.Store(int64(n))
	}
	if s.stop == nil {
		s.stop = make(chan struct{})
		go s.run(s.stop)
	}
}

// ask has the store asked for what c.want says. The result is nil while the store is left
// alone after a failure. The caller holds c.mu.
func (s *sharing) ask(c *counter) *batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dirty[c] = true
	if s.Paused(s.now()) {
		return nil
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return s.next
}

func (s *sharing) run(stop chan struct{}) {
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	s.tick()
	for {
		s.flush()
		select {
		case <-stop:
			return
		case <-ticker.C:
			s.tick()
		case <-s.wake:
		}
	}
}

// tick looks for what is to be told to the store although no request asks it.
func (s *sharing) tick() {
	now := s.now()
	s.mu.Lock()
	meters := make([]*meter, 0, len(s.meters))
	for m := range s.meters {
		meters = append(meters, m)
	}
	beat := !now.Before(s.beatAt) && s.store.Traits().Gateways == 0
	s.mu.Unlock()
	if beat {
		s.beat(now)
	}
	for _, m := range meters {
		m.each(now, func(c *counter, _ *numbers) {
			unused := !s.countsUp && now.Sub(c.touched) >= giveBackAfter
			switch {
			case c.left < 0, m.unit == UnitConcurrent && c.granted > 0 && now.Sub(c.contact) >= grant.DeadAfter/3:
			case c.left > 0 && unused:
				c.unused = true
			default:
				return
			}
			s.mu.Lock()
			s.dirty[c] = true
			s.mu.Unlock()
		})
	}
}

// beat tells the store that this gateway is there.
func (s *sharing) beat(now time.Time) {
	s.calling.Lock()
	defer s.calling.Unlock()
	s.mu.Lock()
	store, stopped := s.store, s.stop == nil
	s.mu.Unlock()
	if stopped {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	n, err := store.Gateways(ctx, s.gateway, false)
	switch {
	case err == nil:
		s.gateways.Store(int64(max(n, 1)))
	case errors.Is(err, grant.ErrCounter):
		s.unusable(err)
		err = nil
	}
	s.report(err)
	s.mu.Lock()
	s.beatAt = now.Add(beatEvery)
	if err != nil {
		s.beatAt = now.Add(tickEvery)
	}
	s.mu.Unlock()
}

var errNoReply = errors.New("the store gave no reply")

// flush asks the store for what all counters want.
func (s *sharing) flush() {
	s.calling.Lock()
	defer s.calling.Unlock()
	s.mu.Lock()
	dirty, b, store := s.dirty, s.next, s.store
	if len(dirty) == 0 {
		s.mu.Unlock()
		return
	}
	s.next = &batch{make(chan struct{})}
	if s.Paused(s.now()) {
		s.mu.Unlock()
		close(b.done) // of who asked while the round before failed: they decide without the store
		return
	}
	s.dirty = make(map[*counter]bool)
	seq := s.seq
	s.seq += uint64(len(dirty))
	s.mu.Unlock()
	defer close(b.done)

	counters := make([]*counter, 0, len(dirty))
	calls := make([]grant.Call, 0, len(dirty))
	marks := make([]mark, 0, len(dirty))
	for c := range dirty {
		seq++
		call, m := c.call(seq, s)
		counters, calls, marks = append(counters, c), append(calls, call), append(marks, m)
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	replies := store.Do(ctx, calls)
	cancel()
	var failed error
	now := s.now()
	for i, c := range counters {
		reply := grant.Reply{Err: errNoReply}
		if i < len(replies) {
			reply = replies[i]
		}
		c.mu.Lock()
		switch {
		case reply.Err == nil:
			c.reply(&calls[i], marks[i], &reply, now)
		case errors.Is(reply.Err, grant.ErrCounter):
			s.unusable(reply.Err)
			c.unreachable = true
		default:
			failed = reply.Err
			c.unreachable = true
		}
		c.mu.Unlock()
	}
	s.mu.Lock()
	if failed != nil { // what was used meanwhile is not to be forgotten
		for _, c := range counters {
			s.dirty[c] = true
		}
	}
	s.mu.Unlock()
	s.report(failed)
}

// unusable logs which counters are unusable, now and then.
func (s *sharing) unusable(err error) {
	s.Errors.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.now(); now.Sub(s.warned) >= warnEvery {
		s.warned = now
		s.logger.Error("limit counter in the store is unusable; on_store_failure of its limit applies", zap.Error(err))
	}
}

// report logs when the store begins to fail, and when it works again.
func (s *sharing) report(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.Note(err, s.now()) {
	case health.Failed:
		s.logger.Error("limit store unavailable; leases are used up, then on_store_failure of each limit applies", zap.Error(err))
	case health.Recovered:
		s.logger.Info("limit store available again")
	}
}

// down reports whether the store could not be used at the last try.
func (s *sharing) down() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Broken
}

// share returns this gateway's part of a limit's number.
func (s *sharing) share(n int64) int64 { return n / max(s.gateways.Load(), 1) }

// add adds a meter, whose counters are looked at from now on.
func (s *sharing) add(m *meter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.meters[m] = true
}

// remove gives back what is leased to the meter, which no configuration has any more.
func (s *sharing) remove(m *meter) {
	s.mu.Lock()
	delete(s.meters, m)
	s.mu.Unlock()
	m.each(s.now(), func(c *counter, _ *numbers) {
		if c.left == 0 || s.countsUp && c.left > 0 {
			return
		}
		c.unused = c.left > 0
		s.mu.Lock()
		s.dirty[c] = true
		s.mu.Unlock()
	})
}

// closeStore closes the store of a set that is closed, which no call uses any more.
func (s *sharing) closeStore(store grant.Store) {
	s.calling.Lock()
	defer s.calling.Unlock()
	store.Close()
}

// close ends the use of the store, after what is left to do was done.
func (s *sharing) close() {
	s.mu.Lock()
	stop, store := s.stop, s.store
	s.stop = nil
	s.mu.Unlock()
	if stop == nil {
		return
	}
	close(stop)
	s.flush()
	s.calling.Lock()
	defer s.calling.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	if !s.down() && store.Traits().Gateways == 0 {
		_, _ = store.Gateways(ctx, s.gateway, true) // or it is forgotten after a while
	}
}
