package cache

import (
	"fmt"
	"testing"
	"time"
)

func keyNo(n int) Key {
	h := newHasher(nil)
	h.number(n)
	return h.key()
}

// entryOf is an entry of that size, which expires then.
func entryOf(size int, expires time.Time) *Entry {
	return &Entry{Stored: expires.Add(-time.Hour), Expires: expires, Body: make([]byte, size), Tags: Tags{Client: "alice", Model: "m", Rule: "r"}}
}

// TestMemoryIsBounded holds that bytes and entries stay below their bounds, and that what
// was used last stays.
func TestMemoryIsBounded(t *testing.T) {
	now := time.Now()
	later := now.Add(time.Hour)
	m := newMemory()
	m.resize(100*overhead, 10)
	for i := range 1000 {
		m.put(keyNo(i), entryOf(100+i%7, later), 0, now)
		if lookedUp(m, keyNo(0), now) == nil {
			t.Fatalf("what is used was removed after %d", i)
		}
		if use := m.use(); use.Entries > 10 || use.Bytes > use.MaxBytes || use.Entries != int64(m.order.Len()) {
			t.Fatalf("%+v", use)
		}
	}
	if use := m.use(); use.Entries != 10 || use.Evicted != 990 || lookedUp(m, keyNo(999), now) == nil || lookedUp(m, keyNo(500), now) != nil {
		t.Errorf("%+v", use)
	}
	m.resize(3*overhead+1000, 100)
	m.put(keyNo(1), entryOf(900, later), 0, now)
	if use := m.use(); use.Bytes > 3*overhead+1000 || lookedUp(m, keyNo(1), now) == nil {
		t.Errorf("%+v", use)
	}
	for _, no := range []int{2, 1} { // one that has no room at all takes none from others
		m.put(keyNo(no), entryOf(1<<20, later), 0, now)
		if use := m.use(); lookedUp(m, keyNo(1), now) == nil != (no == 1) || lookedUp(m, keyNo(no), now) != nil || use.Bytes > use.MaxBytes || use.Entries != int64(m.order.Len()) {
			t.Errorf("after one for key %d: %+v", no, use)
		}
	}
}

// TestMemoryForgets holds that entries that have expired are not given, and go away as
// others come; and that one takes the place of another with its key.
func TestMemoryForgets(t *testing.T) {
	now := time.Now()
	m := newMemory()
	m.resize(1<<20, 1000)
	for i := range 20 {
		m.put(keyNo(i), entryOf(10, now.Add(time.Minute)), 0, now)
	}
	if lookedUp(m, keyNo(0), now.Add(59*time.Second)) == nil || lookedUp(m, keyNo(0), now.Add(time.Minute)) != nil {
		t.Error("an entry is not there as long as it should")
	}
	for i := 100; i < 110; i++ {
		m.put(keyNo(i), entryOf(10, now.Add(time.Hour)), 0, now.Add(2*time.Minute))
	}
	if use := m.use(); use.Entries != 10 || use.Evicted != 0 {
		t.Errorf("%+v", use)
	}
	m.put(keyNo(100), entryOf(50, now.Add(time.Hour)), 0, now)
	if use := m.use(); use.Entries != 10 || use.Bytes != 10*(overhead+10)+40 {
		t.Errorf("%+v", use)
	}
}

// TestMemoryPurges holds what is removed by tags.
func TestMemoryPurges(t *testing.T) {
	now := time.Now()
	for _, test := range []struct {
		tags Tags
		left int64
	}{
		{Tags{}, 0}, {Tags{Client: "c0"}, 4}, {Tags{Model: "m1"}, 4}, {Tags{Client: "c0", Model: "m1", Rule: "r0"}, 7}, {Tags{Client: "c"}, 8}, {Tags{Rule: "r1"}, 4},
	} {
		m := newMemory()
		m.resize(1<<20, 1000)
		for i := range 8 {
			e := entryOf(10, now.Add(time.Hour))
			e.Tags = Tags{Client: fmt.Sprint("c", i&1), Model: fmt.Sprint("m", i>>1&1), Rule: fmt.Sprint("r", i>>2)}
			m.put(keyNo(i), e, 0, now)
		}
		if n := m.purge(test.tags); m.use().Entries != test.left || int64(n) != 8-test.left {
			t.Errorf("%+v: removed %d, left %+v", test.tags, n, m.use())
		}
	}
}

// TestMemoryPurgesWhatComes holds that of a request that began before a purge nothing is stored.
func TestMemoryPurgesWhatComes(t *testing.T) {
	now := time.Now()
	m := newMemory()
	m.resize(1<<20, 1000)
	_, before := m.get(keyNo(1), now)
	m.purge(Tags{Client: "another"})
	m.put(keyNo(1), entryOf(10, now.Add(time.Minute)), before, now)
	e, after := m.get(keyNo(1), now)
	if e != nil || after == before {
		t.Errorf("%+v, epochs %d and %d", e, before, after)
	}
	m.put(keyNo(1), entryOf(10, now.Add(time.Minute)), after, now)
	if lookedUp(m, keyNo(1), now) == nil {
		t.Error("nothing is stored after a purge")
	}
}

func lookedUp(m *memory, key Key, now time.Time) *Entry {
	e, _ := m.get(key, now)
	return e
}
