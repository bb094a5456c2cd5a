// Package inflight knows what is under way, such as the requests that are being served.
//
// It imports nothing of the gateway. Begin with Set.
package inflight

import (
	"math/rand/v2"
	"sync"
)

// Set has what is under way. It is split so that goroutines on many cores do not wait for
// each other. The zero value is empty.
type Set[T any] struct{ shards [shards]shard[T] }

const shards = 16

type shard[T any] struct {
	mu    sync.Mutex
	first *Place[T]
	n     int
	_     [40]byte // keeps neighbours out of one cache line
}

// Place is the place of one in a Set, and a part of it, so that adding it allocates nothing.
type Place[T any] struct {
	shard            *shard[T]
	earlier, further *Place[T]
	of               *T
}

// Add adds one, which has the place p and is in no set.
func (s *Set[T]) Add(p *Place[T], one *T) {
	sh := &s.shards[rand.Uint32()%shards]
	sh.mu.Lock()
	p.of, p.shard, p.further = one, sh, sh.first
	if sh.first != nil {
		sh.first.earlier = p
	}
	sh.first = p
	sh.n++
	sh.mu.Unlock()
}

// Remove removes the one that has the place p, which was added.
func (*Set[T]) Remove(p *Place[T]) {
	sh := p.shard
	sh.mu.Lock()
	if p.earlier != nil {
		p.earlier.further = p.further
	} else {
		sh.first = p.further
	}
	if p.further != nil {
		p.further.earlier = p.earlier
	}
	sh.n--
	sh.mu.Unlock()
}

// Count returns how many there are.
func (s *Set[T]) Count() int {
	n := 0
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		n += sh.n
		sh.mu.Unlock()
	}
	return n
}

// Each calls f with each of them. f must be quick: those that begin or end meanwhile may
// have to wait for it.
func (s *Set[T]) Each(f func(*T)) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		for p := sh.first; p != nil; p = p.further {
			f(p.of)
		}
		sh.mu.Unlock()
	}
}
