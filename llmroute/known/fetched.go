package known

import (
	"hash/maphash"
	"sync"
)

// maxFetched bounds how many IDs of fetched responses are remembered.
const maxFetched = 4096

// Fetched remembers the responses that were fetched last.
type Fetched struct {
	mu   sync.Mutex
	seed maphash.Seed
	has  map[uint64]struct{}
	ring []uint64
	next int
}

// Add remembers a response, and reports whether it was not remembered before.
func (f *Fetched) Add(response string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.has == nil {
		f.seed, f.has = maphash.MakeSeed(), make(map[uint64]struct{})
	}
	id := maphash.String(f.seed, response)
	if _, old := f.has[id]; old {
		return false
	}
	f.has[id] = struct{}{}
	if len(f.ring) < maxFetched {
		f.ring = append(f.ring, id)
		return true
	}
	delete(f.has, f.ring[f.next])
	f.ring[f.next] = id
	f.next = (f.next + 1) % maxFetched
	return true
}
