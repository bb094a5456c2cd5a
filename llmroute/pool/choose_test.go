package pool

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

// testPool returns a pool with n endpoints, 10.0.0.1:8000 and so on.
func testPool(t testing.TB, n int) (*Pool, []*Endpoint) {
	t.Helper()
	addresses := make([]string, n)
	for i := range addresses {
		addresses[i] = fmt.Sprintf("10.0.%d.%d:8000", i/250, i%250+1)
	}
	p := New(new(Registry), Options{Addresses: addresses, Logger: zap.NewNop()})
	t.Cleanup(p.Close)
	byAddress := make([]*Endpoint, n)
	for i, address := range addresses {
		byAddress[i] = p.registry.byAddress[address]
	}
	return p, byAddress
}

func key(model, session string, body string) *Key {
	k := &Key{Model: model}
	if session != "" {
		k.Session = SessionHash(session)
	}
	if body != "" {
		k.Prefix.Read([]byte(body), model)
	}
	return k
}

func conversation(turns ...string) string {
	out := `{"model":"m","messages":[`
	for i, turn := range turns {
		if i > 0 {
			out += ", "
		}
		out += fmt.Sprintf(`{"role":"user","content":%q}`, turn)
	}
	return out + `]}`
}

func TestChooseByLoad(t *testing.T) {
	now := time.Now()
	for _, tc := range []struct {
		name string
		set  func(e []*Endpoint)
		want []int // the only ones chosen
	}{
		{"all equal", func([]*Endpoint) {}, []int{0, 1, 2}},
		{"the busiest of three never", func(e []*Endpoint) { e[1].inFlight.Store(3) }, []int{0, 2}},
		{"one that cools down never", func(e []*Endpoint) { e[2].Failed(now, now, 0) }, []int{0, 1}},
		{"all cool down", func(e []*Endpoint) {
			for _, e := range e {
				e.Failed(now, now, 0)
			}
		}, []int{0, 1, 2}},
		{"a queue at the server counts", func(e []*Endpoint) { e[0].load.set(&values{waiting: 5}, ticks(now)) }, []int{1, 2}},
		{"an old queue does not", func(e []*Endpoint) { e[0].load.set(&values{waiting: 5}, ticks(now)-int64(freshFor)-1) }, []int{0, 1, 2}},
		{"equal queues: the fullest cache never", func(e []*Endpoint) {
			for i, cache := range []int64{500_000, 900_000, 500_000} {
				e[i].load.set(&values{cache: cache}, ticks(now))
			}
		}, []int{0, 2}},
		{"an adapter is worth a longer queue", func(e []*Endpoint) {
			for i := range e {
				e[i].load.set(&values{waiting: 1}, ticks(now))
			}
			e[0].load.set(&values{waiting: 4}, ticks(now))
			e[1].load.set(&values{waiting: 2, adapters: []string{"m"}}, ticks(now))
		}, []int{1, 2}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, endpoints := testPool(t, 3)
			tc.set(endpoints)
			found := make(map[int]int)
			for range 600 {
				e, reason := p.current.Load().choose(key("m", "", ""), nil, nil, now)
				if reason != ByLoad {
					t.Fatalf("reason %s", reason)
				}
				found[slices.Index(endpoints, e)]++
			}
			for i := range endpoints {
				if got := found[i] > 0; got != slices.Contains(tc.want, i) {
					t.Errorf("endpoint %d was chosen %d times", i, found[i])
				}
			}
		})
	}
}

func TestChooseAmongTheUntried(t *testing.T) {
	p, endpoints := testPool(t, 20)
	now := time.Now()
	for i := range 15 { // all but five
		endpoints[i].Failed(now, now, 0)
	}
	for _, session := range []string{"", "s"} {
		var tried []*Endpoint
		for n := range 20 {
			e, _ := p.current.Load().choose(key("", session, ""), nil, tried, now)
			if e == nil || slices.Contains(tried, e) {
				t.Fatalf("choice %d is %v, which was tried", n, e)
			}
			if n < 5 && e.cooling(ticks(now)) {
				t.Errorf("choice %d cools down, and others do not", n)
			}
			tried = append(tried, e)
		}
		if e, _ := p.current.Load().choose(key("", session, ""), nil, tried, now); e != nil {
			t.Errorf("got %s, all were tried", e.Address)
		}
	}
}

func TestSessionsStay(t *testing.T) {
	p, _ := testPool(t, 50)
	now := time.Now()
	place := func(session string) *Endpoint {
		e, reason := p.current.Load().choose(key("", session, ""), nil, nil, now)
		if reason != BySession {
			t.Fatalf("reason %s", reason)
		}
		return e
	}
	before := make(map[string]*Endpoint)
	used := make(map[*Endpoint]bool)
	for i := range 1000 {
		s := fmt.Sprint("session ", i)
		before[s] = place(s)
		used[before[s]] = true
		before[s].inFlight.Add(1) // they stay all the same
	}
	if len(used) < 45 {
		t.Errorf("1000 sessions are at %d of 50 endpoints", len(used))
	}
	var addresses []string
	for i, e := range p.current.Load().endpoints {
		if i != 7 {
			addresses = append(addresses, e.Address)
		}
	}
	gone := p.current.Load().endpoints[7]
	p.Set(append(addresses, "10.9.9.9:8000"))
	moved := 0
	for s, e := range before {
		after := place(s)
		if after == e {
			continue
		}
		if moved++; e != gone && after.Address != "10.9.9.9:8000" {
			t.Errorf("%s moved from %s to %s", s, e.Address, after.Address)
		}
	}
	if moved > 100 {
		t.Errorf("%d of 1000 sessions moved with one of 50 endpoints", moved)
	}
	s := "session 1"
	home := place(s)
	home.Failed(now, now, 0)
	if place(s) == home {
		t.Error("a session stays at an endpoint that cools down")
	}
	now = now.Add(firstPause + 1)
	if place(s) != home {
		t.Error("a session does not go back after the cool-down")
	}
}

func TestConversationsStay(t *testing.T) {
	p, endpoints := testPool(t, 10)
	table, now := p.registry.affinityTable(), time.Now()
	choose := func(model string, turns ...string) (*Endpoint, Reason) {
		return p.current.Load().choose(key(model, "", conversation(turns...)), table, nil, now)
	}
	first, reason := choose("m", "hello")
	if reason != ByLoad {
		t.Errorf("reason %s for a conversation that is new", reason)
	}
	turns := []string{"hello"}
	for range 20 {
		turns = append(turns, "and then?")
		if e, reason := choose("m", turns...); e != first || reason != ByPrefix {
			t.Fatalf("turn %d is at %s by %s, the first was at %s", len(turns), e.Address, reason, first.Address)
		}
	}
	elsewhere := 0
	for i := range 50 {
		if e, reason := choose("m", fmt.Sprint("another ", i)); e != first && reason == ByLoad {
			elsewhere++
		}
	}
	if elsewhere < 30 {
		t.Errorf("%d of 50 other conversations are elsewhere", elsewhere)
	}
	if _, reason := choose("n", "hello"); reason != ByLoad {
		t.Errorf("reason %s with another model", reason)
	}
	first.inFlight.Store(1)
	if e, _ := choose("m", turns...); e != first {
		t.Error("left for a queue that is hardly shorter")
	}
	first.inFlight.Store(20)
	e, reason := choose("m", turns...)
	if e == first || reason != ByLoad {
		t.Errorf("stays at a queue of 20 by %s", reason)
	}
	first.inFlight.Store(0)
	if again, _ := choose("m", turns...); again != e {
		t.Error("goes back to where it was before, not to where it was last")
	}
	e.Failed(now, now, 0)
	if again, _ := choose("m", turns...); again == e {
		t.Error("stays at an endpoint that cools down")
	}
	_ = endpoints
}

// TestConversationsLeaveWithTheirEndpoint holds that a number that another endpoint has
// now leads to no endpoint that is gone.
func TestConversationsLeaveWithTheirEndpoint(t *testing.T) {
	p, _ := testPool(t, 3)
	table, now := p.registry.affinityTable(), time.Now()
	k := key("m", "", conversation("hello"))
	first, _ := p.current.Load().choose(k, table, nil, now)
	var rest []string
	for _, e := range p.current.Load().endpoints {
		if e != first {
			rest = append(rest, e.Address)
		}
	}
	p.Set(rest)
	for range 100 {
		if e, _ := p.current.Load().choose(k, table, nil, now); e == first || e == nil {
			t.Fatalf("got %v", e)
		}
	}
}

// TestNumbersAreUsedAgain holds that an endpoint which gets the number of one that is gone
// gets none of its conversations with it.
func TestNumbersAreUsedAgain(t *testing.T) {
	p, endpoints := testPool(t, 2)
	table, now := p.registry.affinityTable(), time.Now()
	k := key("m", "", conversation("hello"))
	first, _ := p.current.Load().choose(k, table, nil, now)
	stays := endpoints[0]
	if stays == first {
		stays = endpoints[1]
	}
	p.Set([]string{stays.Address})
	p.Set([]string{stays.Address, "10.9.9.9:8000"})
	if next := p.registry.byAddress["10.9.9.9:8000"]; next.id != first.id {
		t.Fatalf("the number is %d, not %d again", next.id, first.id)
	}
	if id, size := table.last(&k.Prefix); id != 0 {
		t.Errorf("%d bytes of the conversation are at endpoint %d, which never had it", size, id)
	}
}

func TestPrefix(t *testing.T) {
	long := make([]byte, 100_000)
	for i := range long {
		long[i] = 'a' + byte(i%26)
	}
	a, b := string(long), string(long[:80_000])+"another end"
	for _, tc := range []struct {
		name, one, two string
		common         int // bytes, at least
	}{
		{"the next turn", conversation("a", "b"), conversation("a", "b", "c"), 50},
		{"a long text with another end", conversation(a), conversation(b), 64 << 10},
		{"a system prompt of its own member", `{"system":"` + a + `","messages":["a"]}`, `{"system":"` + a + `","messages":["b"]}`, 100_000},
		{"a text", `{"prompt":"` + a + `"}`, `{"prompt":"` + b + `"}`, 64 << 10},
		{"input", `{"model":"m","input":["a","b"]}`, `{"input":["a","b","c"],"model":"m"}`, 6},
		{"another beginning", conversation("b", "a"), conversation("a", "b"), 0},
		{"nothing", `{}`, `{}`, 0},
		{"no list", `{"messages":null}`, `{"messages":7}`, 0},
	} {
		one, two := key("m", "", tc.one).Prefix, key("m", "", tc.two).Prefix
		common := 0
		for i := range min(one.n, two.n) {
			if one.hashes[i] != two.hashes[i] {
				break
			}
			common = int(one.sizes[i])
		}
		if common < tc.common || tc.common == 0 && common > 0 {
			t.Errorf("%s: %d bytes in common, want %d", tc.name, common, tc.common)
		}
	}
	var turns []string
	for i := range 500 {
		turns = append(turns, fmt.Sprint(i))
	}
	if n := key("m", "", conversation(turns...)).Prefix.n; n != maxBlocks {
		t.Errorf("%d blocks", n)
	}
}

func FuzzPrefix(f *testing.F) {
	f.Add(conversation("a", "b"), 2000)
	f.Add(`{"prompt":["`, 0)
	f.Fuzz(func(t *testing.T, body string, repeat int) {
		var p Prefix
		p.Read([]byte(body), "m") // must not panic, even for what is no JSON
		if p.n > maxBlocks {
			t.Errorf("%d blocks", p.n)
		}
		text := fmt.Sprintf("%q", body)
		for range max(0, min(repeat, 3000)) {
			text += "x"
		}
		p.Read([]byte(conversation(text, "b")), "m")
	})
}

func BenchmarkChoose(b *testing.B) {
	now := time.Now()
	for _, bc := range []struct {
		name string
		key  *Key
	}{
		{"load", key("m", "", "")},
		{"session", key("m", "s", "")},
		{"prefix", key("m", "", conversation("system", "hello", "answer", "next", "answer", "next"))},
	} {
		b.Run(bc.name, func(b *testing.B) {
			p, endpoints := testPool(b, 100)
			for i, e := range endpoints {
				e.load.set(&values{waiting: int64(i % 7), adapters: []string{"x", "y"}}, ticks(now))
				if i%10 == 0 {
					e.Failed(now, now, 0)
				}
			}
			table := p.registry.affinityTable()
			b.ReportAllocs()
			for b.Loop() {
				if e, _ := p.current.Load().choose(bc.key, table, nil, now); e == nil {
					b.Fatal("none")
				}
			}
		})
	}
	b.Run("readPrefix20KB", func(b *testing.B) {
		body := []byte(conversation(strings.Repeat("some words of a prompt ", 800), "b"))
		b.SetBytes(int64(len(body)))
		var p Prefix
		b.ReportAllocs()
		for b.Loop() {
			p.Read(body, "m")
		}
	})
}

// TestChooseAllocates nothing.
func TestChooseAllocatesNothing(t *testing.T) {
	p, _ := testPool(t, 100)
	table, now := p.registry.affinityTable(), time.Now()
	for _, k := range []*Key{key("m", "", ""), key("m", "s", ""), key("m", "", conversation("a", "b"))} {
		if n := testing.AllocsPerRun(100, func() { p.current.Load().choose(k, table, nil, now) }); n > 0 {
			t.Errorf("%v allocations", n)
		}
	}
}
