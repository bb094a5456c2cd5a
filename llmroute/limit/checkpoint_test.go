package limit

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/llmroute/limit/period"
)

// TestRestartGivesNothingBack lives through many lives of a process, each ended at a
// random moment, with storage that fails at times. What is used over all of them stays
// within the limit, and a life knows of all that earlier ones used.
func TestRestartGivesNothingBack(t *testing.T) {
	for _, window := range []string{"month", "2000h"} {
		for seed := range uint64(15) {
			rng := rand.New(rand.NewPCG(seed, 7))
			limit := int64(2000 + rng.IntN(100_000))
			def := func() *Definition {
				return &Definition{Name: "a", Key: []Key{KeyClient}, Amounts: one(UnitTokens, UnitTokens.Format(limit), window), OnStoreFailure: OnFailureDeny}
			}
			b := newBench(t)
			began := b.clock.now()
			used := map[string]int64{}
			refusals := 0
			for range 12 {
				s := b.compile(t, def())
				var open []*Reservation
				for range 40 {
					b.add(time.Duration(rng.IntN(3000)) * time.Millisecond)
					b.disk.setBroken(rng.IntN(8) == 0)
					client := string(rune('a' + rng.IntN(3)))
					r, refused := s.Reserve(t.Context(), request(subject{KeyClient: client}, 5, rng.Int64N(300)))
					if refused != nil {
						refusals++
						continue
					}
					if rng.IntN(10) == 0 {
						open = append(open, r)
						continue
					}
					n := 5 + rng.Int64N(r.holds[0].amount-4)
					used[client] += n
					r.Charge(Metered, Usage{Input: n})
					r.End()
				}
				for client, n := range used {
					most := limit
					if window != "month" {
						most += int64(float64(limit)*b.clock.now().Sub(began).Hours()/2000) + 1
					}
					if n > most {
						t.Fatalf("per %s, seed %d: %s used %d of %d", window, seed, client, n, limit)
					}
				}
				b.disk.setBroken(false)
				if rng.IntN(3) == 0 {
					s.Close() // as at an orderly end
				}
				_ = open // those of a process that was killed
				b = benchOn(b.disk.copy(), b.clock)
			}
			if refusals == 0 {
				t.Errorf("per %s, seed %d: nothing was ever refused", window, seed)
			}
		}
	}
}

// TestRestartCostsABlock holds how much a restart may cost.
func TestRestartCostsABlock(t *testing.T) {
	b := newBench(t)
	def := &Definition{Name: "a", Amounts: one(UnitRequests, "1000", "day")}
	admitted := 0
	for range 5 {
		s := b.compile(t, def)
		for range 100 {
			if spend(t, s, request(nil, 0, 0), 0, 0) == nil {
				admitted++
			}
			b.add(20 * time.Second)
		}
		b.t = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
		b = benchOn(b.disk.copy(), b.clock)
	}
	s := b.compile(t, def)
	for spend(t, s, request(nil, 0, 0), 0, 0) == nil {
		admitted++
	}
	if admitted > 1000 || admitted < 1000-5*50 {
		t.Errorf("%d requests of 1000 through 5 restarts", admitted)
	}
}

func TestOrderlyEndCostsNothing(t *testing.T) {
	b := newBench(t)
	def := &Definition{Name: "a", Key: []Key{KeyClient}, Amounts: one(UnitCost, "10", "month")}
	r := request(subject{KeyClient: "alice"}, 10, 20)
	r.Price = &Price{Input: 1_000_000, Output: 1_000_000}
	for range 3 {
		s := b.compile(t, def)
		got := mustReserve(t, s, r)
		got.Charge(Metered, Usage{Cost: 5})
		got.End()
		s.Close()
		b = benchOn(b.disk.copy(), b.clock)
	}
	s := b.compile(t, def)
	mustReserve(t, s, r).End()
	if got := used(t, s, "a", 0); got != "0.000000015" {
		t.Errorf("used %s", got)
	}
	for key := range b.disk.files {
		if strings.Contains(key, "alice") || strings.Contains(string(b.disk.files[key]), "alice") {
			t.Errorf("%s has the client's name", key)
		}
	}
}

func TestStoreFails(t *testing.T) {
	for onFailure, want := range map[string]int{"": 5, OnFailureDeny: 0, OnFailureAllow: 10, OnFailureShare: 5} {
		b := newBench(t)
		b.disk.broken = true
		s := b.compile(t, &Definition{Name: "a", Amounts: one(UnitRequests, "5", "day"), OnStoreFailure: onFailure})
		admitted := 0
		for range 10 {
			refused := spend(t, s, request(nil, 0, 0), 0, 0)
			if refused == nil {
				admitted++
			} else if (refused.Reason == ReasonStore) != (onFailure == OnFailureDeny) {
				t.Errorf("%q: %+v", onFailure, refused)
			}
		}
		if admitted != want || b.StoreErrors() == 0 || !b.StoreDown() {
			t.Errorf("%q: %d admitted, want %d; %d errors", onFailure, admitted, want, b.StoreErrors())
		}
		b.disk.setBroken(false)
		b.add(2 * time.Second)
		refused := spend(t, s, request(nil, 0, 0), 0, 0)
		if (refused == nil) != (onFailure == OnFailureDeny) { // nothing was forgotten
			t.Errorf("%q: after the failure %+v", onFailure, refused)
		}
		for range 300 { // the writer tries again by itself
			if !b.StoreDown() {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		b = benchOn(b.disk.copy(), b.clock)
		s = b.compile(t, &Definition{Name: "a", Amounts: one(UnitRequests, "5", "day")})
		if refused := spend(t, s, request(nil, 0, 0), 0, 0); (refused == nil) != (onFailure == OnFailureDeny) {
			t.Errorf("%q: in the next life %+v", onFailure, refused)
		}
	}
}

// TestStoreHangs holds that requests do not wait for a store for ever.
func TestStoreHangs(t *testing.T) {
	b := newBench(t)
	hang := make(chan struct{})
	defer close(hang)
	b.disk.before = func(string) { <-hang }
	s := b.compile(t, &Definition{Name: "a", Amounts: one(UnitRequests, "5", "day"), OnStoreFailure: OnFailureDeny})
	if _, refused := reserve(t, s, request(nil, 0, 0)); refused == nil || refused.Reason != ReasonStore {
		t.Errorf("got %+v", refused)
	}
}

// TestRequestEndsWhileStoreHangs holds that a request that ends meanwhile, since its client has
// left or a guard denies it, is none that the store has failed: it gets nothing, even where
// requests pass without the store, and is not counted.
func TestRequestEndsWhileStoreHangs(t *testing.T) {
	for _, onFailure := range []string{OnFailureDeny, OnFailureAllow, OnFailureShare} {
		b := newBench(t)
		asked, hang := make(chan struct{}), make(chan struct{})
		var once sync.Once
		b.disk.before = func(string) {
			once.Do(func() { close(asked) })
			<-hang
		}
		s := b.compile(t, &Definition{Name: "a", Amounts: one(UnitRequests, "5", "day"), OnStoreFailure: onFailure})
		ctx, end := context.WithCancel(t.Context())
		go func() {
			<-asked
			end()
		}()
		got, refused := s.Reserve(ctx, request(nil, 0, 0))
		if refused == nil || refused.Reason != ReasonGone || refused.OfTarget {
			t.Errorf("%s: got %+v", onFailure, refused)
		}
		got.End()
		if v := s.Stats()[0]; len(v.Refused) > 0 || v.Admitted > 0 || b.StoreErrors() > 0 || b.StoreDown() {
			t.Errorf("%s: counted %+v, %d errors of the store", onFailure, v, b.StoreErrors())
		}
		close(hang)
	}
}

func TestDamagedCheckpoint(t *testing.T) {
	b := newBench(t)
	def := &Definition{Name: "a", Amounts: one(UnitRequests, "5", "day"), OnStoreFailure: OnFailureDeny}
	spend(t, b.compile(t, def), request(nil, 0, 0), 0, 0)
	for key := range b.disk.files {
		b.disk.files[key] = b.disk.files[key][:20]
	}
	b = benchOn(b.disk, b.clock)
	if refused := spend(t, b.compile(t, def), request(nil, 0, 0), 0, 0); refused == nil || refused.Reason != ReasonStore {
		t.Errorf("got %+v", refused)
	}
}

func TestChanges(t *testing.T) {
	b := newBench(t)
	def := &Definition{Name: "a", Key: []Key{KeyClient}, Amounts: []Amount{{Unit: UnitTokens, Amount: "100", Window: "day"}, {Unit: UnitRequests, Amount: "50", Window: "1m"}}, Concurrent: 9}
	alice, bob := subject{KeyClient: "alice"}, subject{KeyClient: "bob"}
	s := b.compile(t, def)
	for _, who := range []subject{alice, bob} {
		if refused := spend(t, s, request(who, 100, 0), 100, 0); refused != nil {
			t.Fatal(refused)
		}
	}
	open := mustReserve(t, s, request(alice, 0, 0))
	s.Close()
	b = benchOn(b.disk.copy(), b.clock) // both are in storage alone
	s = b.compile(t, def)
	key := map[string]string{"client": "alice"}
	if n, err := s.Credit("a", Change{Key: key, Unit: UnitTokens, Amount: "30"}); n != 1 || err != nil {
		t.Errorf("credit: %d, %v", n, err)
	}
	if refused := spend(t, s, request(alice, 31, 0), 0, 0); refused == nil || refused.Remaining != 30 {
		t.Errorf("after the credit: %+v", refused)
	}
	if refused := spend(t, s, request(alice, 30, 0), 30, 0); refused != nil {
		t.Errorf("after the credit: %+v", refused)
	}
	if n, err := s.Reset("a", Change{Unit: UnitTokens}); n == 0 || err != nil {
		t.Errorf("reset: %d, %v", n, err)
	}
	b = benchOn(b.disk.copy(), b.clock)
	s = b.compile(t, def)
	for _, who := range []subject{alice, bob} {
		if refused := spend(t, s, request(who, 90, 0), 90, 0); refused != nil {
			t.Errorf("after the reset %v: %+v", who, refused)
		}
	}
	open.Charge(Metered, Usage{Input: 5}) // of before all this
	open.End()
	for _, test := range []struct {
		name string
		ch   Change
	}{
		{"b", Change{}}, {"a", Change{Key: map[string]string{}}}, {"a", Change{Key: map[string]string{"client": "a", "ip": "b"}}}, {"a", Change{Unit: UnitCost}}, {"a", Change{Unit: UnitConcurrent}}, {"a", Change{Amount: "3"}},
	} {
		if n, err := s.Reset(test.name, test.ch); err == nil || n != 0 {
			t.Errorf("reset %s %+v: %d, %v", test.name, test.ch, n, err)
		}
	}
	for _, ch := range []Change{{}, {Amount: "3"}, {Unit: UnitTokens}, {Unit: UnitTokens, Amount: "-3"}, {Unit: UnitTokens, Amount: "1.5"}, {Unit: "token", Amount: "3"}} {
		if n, err := s.Credit("a", ch); err == nil || n != 0 {
			t.Errorf("credit %+v: %d, %v", ch, n, err)
		}
	}
}

func FuzzParseShard(f *testing.F) {
	f.Add([]byte(`{"version":1,"meter":"m","counters":[{"key":"157dcfdfa60b738cd275b74f4bdca073","at":1793487600000000000,"units":3715000}]}`))
	f.Add([]byte(`{"version":1,"meter":"m"}{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		records, err := parseShard(data, "m")
		if err != nil {
			return
		}
		for _, window := range []period.Window{{Period: period.Month, Zone: time.UTC}, {Every: time.Hour}} {
			m := &meter{unit: UnitTokens, window: window}
			now, n := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC), &numbers{100, 100}
			for _, r := range records {
				c := &counter{m: m, level: n.burst, at: now}
				c.advance(now, n)
				c.restore(r, now, n)
				if room := c.available(n); room > n.burst && r.Units >= 0 && !m.bucket() {
					t.Errorf("%+v leaves %d", r, room)
				}
			}
		}
	})
}

// TestManyWaitForTheStore has many requests arrive before anything is leased.
func TestManyWaitForTheStore(t *testing.T) {
	b := newBench(t)
	b.disk.before = func(string) { time.Sleep(2 * time.Millisecond) }
	s := b.compile(t, &Definition{Name: "a", Amounts: one(UnitTokens, "10000000", "day"), OnStoreFailure: OnFailureDeny})
	var wg sync.WaitGroup
	for range 300 {
		wg.Go(func() {
			r, refused := s.Reserve(t.Context(), request(nil, 15000, 15000))
			if refused != nil {
				t.Errorf("refused: %+v", refused)
			}
			time.Sleep(5 * time.Millisecond)
			r.End()
		})
	}
	wg.Wait()
}

// TestNothingIsStoredAfterClose holds that a set that was closed has stored what it was
// to store: what was about to be written does not follow later, with leases that nobody
// has any more.
func TestNothingIsStoredAfterClose(t *testing.T) {
	b := newBench(t)
	s := b.compile(t, &Definition{Name: "a", Key: []Key{KeyClient}, Amounts: one(UnitTokens, "100000", "month")})
	for range 20 {
		if refused := spend(t, s, request(subject{KeyClient: "alice"}, 10, 200), 10, 700); refused != nil { // an overrun each
			t.Fatal(refused)
		}
	}
	s.Close()
	b.disk.mu.Lock()
	writes := b.disk.writes
	var stored string
	for _, data := range b.disk.files {
		stored += string(data)
	}
	b.disk.mu.Unlock()
	time.Sleep(2 * gather)
	b.disk.mu.Lock()
	defer b.disk.mu.Unlock()
	if b.disk.writes != writes || !strings.Contains(stored, `"units":14200`) {
		t.Errorf("%d writes after the close, which has stored %s", b.disk.writes-writes, stored)
	}
}
