package limit

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmroute/limit/health"
	"github.com/caddy-llm/gateway/llmroute/limit/tuple"
)

// Storage is the part of certmagic.Storage, which is Caddy's, that checkpoints use.
type Storage interface {
	Store(ctx context.Context, key string, value []byte) error
	Load(ctx context.Context, key string) ([]byte, error)
}

const (
	// writeTimeout bounds one read or write of storage.
	writeTimeout = 5 * time.Second
	// gather is how long what is not urgent waits for more of it.
	gather = 100 * time.Millisecond
	// shardsOfKeyed is how many parts the counters of a keyed meter are stored in.
	shardsOfKeyed = 64
)

// shard is a part of a meter's counters, stored under a key of its own.
type shard struct {
	m       *meter
	key     string
	members map[tuple.Hash]*counter // guarded by meter.mu

	// dormant is what an earlier process used and nobody asked for since; nil as
	// long as storage was not read. Only the writer has it.
	dormant map[tuple.Hash]record
	failed  atomic.Bool // at the last try

	asked, written int // how often a write was asked for, and of these, before the last one; guarded by checkpoint.mu
}

func (m *meter) makeShards() {
	n := 1
	if len(m.keys) > 0 {
		n = shardsOfKeyed
	}
	for i := range n {
		m.shards = append(m.shards, &shard{
			m: m, members: make(map[tuple.Hash]*counter),
			key: "llm/limits/" + m.limit + "/" + hex.EncodeToString(m.sum[:8]) + "-" + strconv.Itoa(i) + ".json",
		})
	}
}

func (m *meter) shardOf(c *counter) *shard { return m.shards[int(c.hash[0])%len(m.shards)] }

// checkpoint writes what may be used before it is used, in blocks, from one
// goroutine that runs while there is something to write.
type checkpoint struct {
	now func() time.Time

	writing sync.Mutex // held while a shard is written

	mu      sync.Mutex
	storage Storage
	logger  *zap.Logger
	dirty   map[*shard]bool
	next    *batch
	urgent  chan struct{} // closed when somebody waits for the next batch
	waited  bool
	running bool
	health.State
}

// batch is closed when it was written, or could not be.
type batch struct{ done chan struct{} }

func newCheckpoint(now func() time.Time) *checkpoint {
	return &checkpoint{now: now, logger: zap.NewNop(), dirty: make(map[*shard]bool), next: &batch{make(chan struct{})}, urgent: make(chan struct{})}
}

// use sets where to write from now on.
func (k *checkpoint) use(s Storage, logger *zap.Logger) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.storage, k.logger = s, logger
}

// useFirst is use, if nothing was set before.
func (k *checkpoint) useFirst(s Storage, logger *zap.Logger) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.storage == nil {
		k.storage, k.logger = s, logger
	}
}

// ask has the counter's shard written with what c.want says. The result is nil
// while storage is left alone after a failure. The caller holds c.mu.
func (k *checkpoint) ask(c *counter, urgent bool) *batch {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.Paused(k.now()) {
		return nil
	}
	s := c.m.shardOf(c)
	k.dirty[s] = true
	s.asked++
	if urgent && !k.waited {
		k.waited = true
		close(k.urgent)
	}
	if !k.running {
		k.running = true
		go k.run()
	}
	return k.next
}

func (k *checkpoint) run() {
	for {
		k.mu.Lock()
		if len(k.dirty) == 0 {
			k.running = false
			k.mu.Unlock()
			return
		}
		urgent, wait := k.urgent, gather
		if k.Broken {
			wait = health.Pause
		}
		k.mu.Unlock()
		timer := time.NewTimer(wait)
		select {
		case <-urgent:
		case <-timer.C:
		}
		timer.Stop()
		k.mu.Lock()
		dirty, b, storage := k.dirty, k.next, k.storage
		k.dirty, k.next, k.urgent, k.waited = make(map[*shard]bool), &batch{make(chan struct{})}, make(chan struct{}), false
		k.mu.Unlock()
		var failed []*shard
		for s := range dirty {
			closed := s.m.closed.Load()
			if closed && k.upToDate(s) { // Close has stored it
				continue
			}
			if k.write(s, storage, closed) != nil && !closed { // the error is logged and counted
				failed = append(failed, s)
			}
		}
		close(b.done)
		k.mu.Lock()
		for _, s := range failed { // what was used meanwhile is not to be forgotten
			k.dirty[s] = true
		}
		k.mu.Unlock()
	}
}

// write stores the shard, and leases to its counters what they want. At the end of
// the process, final has it write what was used and not what is leased.
func (k *checkpoint) write(s *shard, storage Storage, final bool) error {
	k.writing.Lock()
	defer k.writing.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	k.mu.Lock()
	asked := s.asked
	k.mu.Unlock()
	err := k.load(ctx, s, storage)
	if err == nil {
		err = k.store(ctx, s, storage, final)
	}
	if err == nil {
		k.mu.Lock()
		s.written = asked
		k.mu.Unlock()
	}
	s.failed.Store(err != nil)
	k.report(err)
	return err
}

// upToDate reports whether nothing asked for a write since the last one.
func (k *checkpoint) upToDate(s *shard) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return s.asked == s.written
}

// writeNow stores the shard in this goroutine.
func (k *checkpoint) writeNow(s *shard) error {
	k.mu.Lock()
	storage := k.storage
	k.mu.Unlock()
	return k.write(s, storage, false)
}

// report logs when storage begins to fail, and when it works again.
func (k *checkpoint) report(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch k.Note(err, k.now()) {
	case health.Failed:
		k.logger.Error("limit counters cannot be stored; on_store_failure of each limit applies until they can", zap.Error(err))
	case health.Recovered:
		k.logger.Info("limit counters are stored again")
	}
}

var errNoStorage = errors.New("there is no storage")

func (k *checkpoint) load(ctx context.Context, s *shard, storage Storage) error {
	if storage == nil {
		return errNoStorage
	}
	if s.dormant != nil {
		return nil
	}
	data, err := storage.Load(ctx, s.key)
	if errors.Is(err, fs.ErrNotExist) {
		s.dormant = make(map[tuple.Hash]record)
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", s.key, err)
	}
	records, err := parseShard(data, s.m.id)
	if err != nil {
		return fmt.Errorf("%s in Caddy's storage is damaged; delete it to count from 0: %w", s.key, err)
	}
	s.dormant = records
	return nil
}

// leased is what a counter gets when its record is stored.
type leased struct {
	c    *counter
	gen  uint64
	more int64
}

func (k *checkpoint) store(ctx context.Context, s *shard, storage Storage, final bool) error {
	now, n := k.now(), s.m.numbers.Load()
	file := shardFile{Version: shardVersion, Meter: s.m.id, Counters: []record{}}
	s.m.mu.RLock()
	members := make([]*counter, 0, len(s.members))
	for _, c := range s.members {
		members = append(members, c)
	}
	s.m.mu.RUnlock()
	leases := make([]leased, 0, len(members))
	for _, c := range members {
		c.mu.Lock()
		c.advance(now, n)
		if r, ok := s.dormant[c.hash]; ok && !c.restored {
			c.restore(r, now, n)
		}
		delete(s.dormant, c.hash)
		c.restored = true
		more := int64(0)
		switch {
		case final:
			c.left = min(c.left, 0)
		case c.want > 0 || c.lowOnLease():
			more = c.ask(c.want, now, n)
			c.want = 0
		}
		if r := c.record(more, now); !r.expired(s.m, now, n) {
			file.Counters = append(file.Counters, r)
		}
		leases = append(leases, leased{c, c.gen, more})
		c.mu.Unlock()
	}
	for h, r := range s.dormant {
		if r.expired(s.m, now, n) {
			delete(s.dormant, h)
			continue
		}
		file.Counters = append(file.Counters, r)
	}
	data, err := json.Marshal(file)
	if err == nil {
		err = storage.Store(ctx, s.key, data)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", s.key, err)
	}
	for _, l := range leases {
		l.c.mu.Lock()
		if l.gen == l.c.gen {
			l.c.left += l.more
		}
		l.c.mu.Unlock()
	}
	return nil
}
