package pool

import (
	"slices"
	"sync"
	"sync/atomic"
)

// maxEndpoints is the most endpoints a pool may have. More are left out.
const maxEndpoints = 10_000

// Registry holds what is known of a pool's endpoints by their addresses, and where
// conversations were last. It outlives configurations: the pool that a new one makes
// under the same name goes on with it. Its zero value is ready for use.
type Registry struct {
	mu        sync.Mutex // guards what follows, up to pools
	byAddress map[string]*Endpoint
	ids       []bool   // in use
	origin    string   // of last
	last      []string // what a source returned last
	pools     int      // that use it

	table          atomic.Pointer[affinity]
	choices        [reasons]atomic.Int64
	retries        atomic.Int64
	pickerFailures atomic.Int64
	scrapes        atomic.Int64 // that gave values
	unread         atomic.Int64 // scrapes that failed
}

// take returns the endpoint of that address. Each call is paired with one of drop.
func (r *Registry) take(address string) *Endpoint {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.byAddress[address]; e != nil {
		e.refs++
		return e
	}
	id := slices.Index(r.ids, false)
	if id < 0 {
		id = len(r.ids)
		r.ids = append(r.ids, true)
	}
	r.ids[id] = true
	e := &Endpoint{Address: address, id: uint16(id + 1), hash: hashString(address), refs: 1}
	e.load.cache.Store(-1)
	if r.byAddress == nil {
		r.byAddress = make(map[string]*Endpoint)
	}
	r.byAddress[address] = e
	return e
}

// drop gives an endpoint up. Requests in flight keep it.
func (r *Registry) drop(e *Endpoint) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.refs--; e.refs == 0 {
		delete(r.byAddress, e.Address)
		if t := r.table.Load(); t != nil {
			t.forget(e.id) // the number is the next one's
		}
		r.ids[e.id-1] = false
	}
}

// note remembers what the source of an origin returned.
func (r *Registry) note(origin string, addresses []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.origin, r.last = origin, addresses
}

// lastOf returns what a source of that origin returned last, nil if none did.
func (r *Registry) lastOf(origin string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if origin == "" || origin != r.origin {
		return nil
	}
	return r.last
}

// affinityTable returns the table, and makes it at its first use: most pools that are
// configured in a sidecar are never used.
func (r *Registry) affinityTable() *affinity {
	if t := r.table.Load(); t != nil {
		return t
	}
	r.table.CompareAndSwap(nil, new(affinity))
	return r.table.Load()
}
