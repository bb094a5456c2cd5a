package cache

import (
	"container/list"
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

	"github.com/caddy-llm/gateway/internal/options"
)

func init() {
	caddy.RegisterModule(new(Memory))
}

const (
	defaultBytes   = 256 << 20
	defaultEntries = 100_000
	// swept is how many of the entries that were not used for the longest time are looked
	// at for those that have expired, each time that one is stored.
	swept = 4
)

// Memory keeps responses in this process. Those that were not used for the longest time
// make room for new ones. They stay through reloads, and are gone when the process ends.
type Memory struct {
	// The most memory that responses may take, in bytes. Default: 268435456 (256 MiB).
	Bytes int64 `json:"bytes,omitempty"`

	// The most responses that are kept. Default: 100000.
	Entries int64 `json:"entries,omitempty"`

	kept *memory
}

// CaddyModule returns the Caddy module information.
func (*Memory) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: StoreNamespace + ".memory", New: func() caddy.Module { return new(Memory) }}
}

// memories holds the memory of the process, which outlives configurations.
var memories = caddy.NewUsagePool()

// Provision finds the memory.
func (m *Memory) Provision(caddy.Context) error {
	if m.Bytes < 0 || m.Entries < 0 {
		return errors.New("the size of the store is negative; write a size such as 256MiB, and a number of entries")
	}
	if m.Bytes == 0 {
		m.Bytes = defaultBytes
	}
	if m.Entries == 0 {
		m.Entries = defaultEntries
	}
	value, _, err := memories.LoadOrNew("memory", func() (caddy.Destructor, error) { return newMemory(), nil })
	if err != nil {
		return err
	}
	m.kept = value.(*memory)
	m.kept.resize(m.Bytes, m.Entries)
	return nil
}

// Cleanup lets go of the memory.
func (m *Memory) Cleanup() error {
	if m.kept == nil {
		return nil
	}
	_, err := memories.Delete("memory")
	return err
}

// KeySecret implements Store.
func (m *Memory) KeySecret() []byte { return m.kept.secret }

// Local implements Store.
func (*Memory) Local() bool { return true }

// Get implements Store.
func (m *Memory) Get(_ context.Context, key Key) (*Entry, Epoch, error) {
	e, epoch := m.kept.get(key, time.Now())
	return e, epoch, nil
}

// Put implements Store.
func (m *Memory) Put(_ context.Context, key Key, e *Entry, epoch Epoch) error {
	m.kept.put(key, e, epoch, time.Now())
	return nil
}

// Purge implements Store.
func (m *Memory) Purge(_ context.Context, tags Tags) (int, error) { return m.kept.purge(tags), nil }

// Use implements Store.
func (m *Memory) Use() Use { return m.kept.use() }

// UnmarshalCaddyfile reads:
//
//	store memory [<size>] {
//		entries <number>
//	}
func (m *Memory) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // its name
	if d.NextArg() {
		n, err := humanize.ParseBytes(d.Val())
		if err != nil || n == 0 || n > 1<<60 {
			return d.Errf("store memory takes a size above 0, such as 256MiB, got %s", options.Quoted(d.Val()))
		}
		m.Bytes = int64(n)
	}
	if d.NextArg() {
		return d.Errf("store memory takes one size, got %s as well; its options go into a block", options.Quoted(d.Val()))
	}
	entries := 0
	if err := options.Parse(d, "store memory", []options.Option{
		{Name: "entries", Parse: options.Value(&entries, "a number of responses, 1 or more", options.Number(1, 1<<30))},
	}); err != nil {
		return err
	}
	m.Entries = int64(entries)
	return nil
}

// memory is entries in the order of their use.
type memory struct {
	secret []byte

	mu         sync.Mutex
	items      map[Key]*list.Element
	order      list.List // of *item, the one used last first
	bytes      int64
	maxBytes   int64
	maxEntries int64
	evicted    int64
	epoch      Epoch
}

type item struct {
	key   Key
	entry *Entry
}

func newMemory() *memory {
	m := &memory{secret: make([]byte, 32), items: make(map[Key]*list.Element)}
	_, _ = rand.Read(m.secret) // never fails
	return m
}

// Destruct implements caddy.Destructor.
func (*memory) Destruct() error { return nil }

// resize sets how much is kept, from now on.
func (m *memory) resize(bytes, entries int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.maxBytes, m.maxEntries = bytes, entries
	m.makeRoom()
}

func (m *memory) get(key Key, now time.Time) (*Entry, Epoch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.items[key]
	if at == nil {
		return nil, m.epoch
	}
	it := at.Value.(*item)
	if !now.Before(it.entry.Expires) {
		m.remove(at)
		return nil, m.epoch
	}
	m.order.MoveToFront(at)
	return it.entry, m.epoch
}

func (m *memory) put(key Key, e *Entry, epoch Epoch, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if epoch != m.epoch {
		return
	}
	if old := m.items[key]; old != nil {
		m.remove(old)
	}
	if e.Size() > m.maxBytes { // all others would make room in vain
		return
	}
	m.items[key] = m.order.PushFront(&item{key, e})
	m.bytes += e.Size()
	for at, n := m.order.Back(), 0; at != nil && n < swept; n++ {
		previous := at.Prev()
		if !now.Before(at.Value.(*item).entry.Expires) {
			m.remove(at)
		}
		at = previous
	}
	m.makeRoom()
}

// makeRoom removes what was not used for the longest time. The caller holds mu.
func (m *memory) makeRoom() {
	for m.bytes > m.maxBytes || int64(len(m.items)) > m.maxEntries {
		m.remove(m.order.Back())
		m.evicted++
	}
}

// remove removes an entry. The caller holds mu.
func (m *memory) remove(at *list.Element) {
	it := m.order.Remove(at).(*item)
	delete(m.items, it.key)
	m.bytes -= it.entry.Size()
}

func (m *memory) purge(tags Tags) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.epoch++
	n := 0
	for at := m.order.Front(); at != nil; {
		next := at.Next()
		if tags.Selects(at.Value.(*item).entry.Tags) {
			m.remove(at)
			n++
		}
		at = next
	}
	return n
}

func (m *memory) use() Use {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Use{Entries: int64(len(m.items)), MaxEntries: m.maxEntries, Bytes: m.bytes, MaxBytes: m.maxBytes, Evicted: m.evicted}
}

// Interface guards
var (
	_ Store                 = (*Memory)(nil)
	_ caddy.Provisioner     = (*Memory)(nil)
	_ caddy.CleanerUpper    = (*Memory)(nil)
	_ caddyfile.Unmarshaler = (*Memory)(nil)
)
