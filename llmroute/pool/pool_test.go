package pool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
)

func addressesOf(p *Pool) (out []string) {
	if s := p.current.Load(); s != nil {
		for _, e := range s.endpoints {
			out = append(out, e.Address)
		}
	}
	return out
}

func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		addresses, failure := []string(nil), errors.New("no such host")
		say := func(a []string, err error) {
			mu.Lock()
			defer mu.Unlock()
			addresses, failure = a, err
		}
		p := New(new(Registry), Options{Logger: zap.NewNop(), Source: func(context.Context) ([]string, error) {
			mu.Lock()
			defer mu.Unlock()
			return addresses, failure
		}})
		began := time.Now()
		if _, ok := p.Visit(false).Next(t.Context(), began); ok || time.Since(began) != firstWait {
			t.Errorf("an endpoint: %v, after %s", ok, time.Since(began))
		}
		if view := p.View(time.Now(), 5); view.Problem != "no such host" {
			t.Errorf("problem %q", view.Problem)
		}
		began = time.Now()
		if v := p.Visit(false); v.Many(t.Context()) || !p.Empty() || !time.Now().Equal(began) {
			t.Errorf("a later request waits for %s while lookups fail, and the pool counts as empty: %v", time.Since(began), p.Empty())
		}
		say([]string{"b:1", "a:1", "b:1"}, nil)
		time.Sleep(2 * time.Second)
		e, ok := p.Visit(false).Next(t.Context(), time.Now())
		if got := fmt.Sprint(addressesOf(p)); !ok || got != "[a:1 b:1]" {
			t.Fatalf("%v %v %s", e, ok, got)
		}
		e.inFlight.Store(7)
		say(nil, errors.New("timeout"))
		time.Sleep(5 * time.Second)
		if got := fmt.Sprint(addressesOf(p)); got != "[a:1 b:1]" {
			t.Errorf("endpoints %s while the source fails", got)
		}
		say([]string{e.Address, "c:1"}, nil)
		time.Sleep(2 * time.Second)
		if view := p.View(time.Now(), 5); view.Problem != "" || view.Endpoints != 2 {
			t.Errorf("%+v", view)
		}
		if p.registry.byAddress[e.Address] != e {
			t.Error("an endpoint that stayed is a new one")
		}
		say(nil, nil)
		time.Sleep(2 * time.Second)
		if !p.Empty() {
			t.Error("endpoints that are gone are still there")
		}
		p.Close()
		p.Close()
	})
}

// TestUnknownEndpoints holds that one request waits once for the first endpoints, and that a
// pool counts as empty while these cannot be looked up.
func TestUnknownEndpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := New(new(Registry), Options{Logger: zap.NewNop(), Source: func(ctx context.Context) ([]string, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		defer hangs.Close()
		hangs.Start()
		if hangs.Empty() {
			t.Error("a pool is empty while the first endpoints are looked up")
		}
		began := time.Now()
		v := hangs.Visit(true)
		many := v.Many(t.Context())
		if _, ok := v.Next(t.Context(), time.Now()); ok || many || time.Since(began) != firstWait || !hangs.Empty() {
			t.Errorf("a request waits for %s, and the pool counts as empty: %v", time.Since(began), hangs.Empty())
		}
		fails := New(new(Registry), Options{Logger: zap.NewNop(), Source: func(context.Context) ([]string, error) { return nil, errors.New("no such host") }})
		defer fails.Close()
		fails.Start()
		synctest.Wait()
		if !fails.Empty() {
			t.Error("a pool whose endpoints cannot be looked up does not count as empty")
		}
	})
}

// TestReloadKeepsWhatSourcesSaid holds that the endpoints that were looked up last stay in use
// through a reload while lookups fail, but not if others are to be looked up.
func TestReloadKeepsWhatSourcesSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := new(Registry)
		old := New(r, Options{Logger: zap.NewNop(), Origin: "one", Source: func(context.Context) ([]string, error) { return []string{"a:1", "b:1"}, nil }})
		old.Start()
		synctest.Wait()
		fails := func(context.Context) ([]string, error) { return nil, errors.New("no such host") }
		for origin, want := range map[string]string{"one": "[a:1 b:1]", "two": "[]"} {
			next := New(r, Options{Logger: zap.NewNop(), Origin: origin, Source: fails})
			next.Start()
			synctest.Wait()
			if got := fmt.Sprint(addressesOf(next)); got != want {
				t.Errorf("origin %s: the endpoints are %s, want %s", origin, got, want)
			}
			next.Close()
		}
		old.Close()
	})
}

// TestReloadKeeps holds that a new configuration knows what the old one knew.
func TestReloadKeeps(t *testing.T) {
	r := new(Registry)
	old := New(r, Options{Addresses: []string{"a:1", "b:1"}, Logger: zap.NewNop()})
	now := time.Now()
	k := key("m", "", conversation("hello"))
	first, _ := old.current.Load().choose(k, r.affinityTable(), nil, now)
	first.inFlight.Add(1)
	next := New(r, Options{Addresses: []string{"a:1", "b:1", "c:1"}, Logger: zap.NewNop()})
	old.Close()
	if again, _ := next.current.Load().choose(k, r.affinityTable(), nil, now); again != first || again.inFlight.Load() != 1 {
		t.Errorf("the conversation goes to %s with %d requests, was at %s", again.Address, again.inFlight.Load(), first.Address)
	}
	if e, ok := old.Visit(false).Next(t.Context(), now); !ok || e == nil {
		t.Error("a request of the old configuration finds no endpoint")
	}
	next.Close()
	if len(r.byAddress) != 0 {
		t.Errorf("%d endpoints are left", len(r.byAddress))
	}
}

func TestCoolDown(t *testing.T) {
	_, endpoints := testPool(t, 1)
	e, now := endpoints[0], time.Now()
	for i, seconds := range []int{1, 2, 4, 8, 16, 30, 30} {
		sent, want := now, time.Duration(seconds)*time.Second
		now = now.Add(time.Millisecond)
		if got := e.Failed(sent, now, 0); got != want {
			t.Errorf("failure %d: %s", i+1, got)
		}
		e.Failed(sent, now, 0) // sent at the same time: says nothing new
		now = now.Add(time.Millisecond)
	}
	e.Succeeded(now.Add(-time.Hour))
	if !e.cooling(ticks(now)) {
		t.Error("a response to an old request ends the cool-down")
	}
	e.Succeeded(now)
	if e.cooling(ticks(now)) {
		t.Error("a response does not end the cool-down")
	}
	if got := e.Failed(now, now.Add(1), 10*time.Second); got != 10*time.Second {
		t.Errorf("asked for 10 s: %s", got)
	}
	if got := e.Failed(now, now.Add(2), time.Hour); got != maxPause {
		t.Errorf("asked for an hour: %s", got)
	}
}

func TestVisit(t *testing.T) {
	p, endpoints := testPool(t, 3)
	now := time.Now()
	v := p.Visit(true)
	for i := range 3 {
		e, ok := v.Next(t.Context(), now)
		if !ok || e.inFlight.Load() != 1 || v.Endpoint() != e {
			t.Fatalf("endpoint %d: %v", i, e)
		}
		e.Failed(now, now, 0)
		v.Done()
		v.Done()
		if more := v.More(now); more != (i < 2) {
			t.Errorf("after %d endpoints more is %v", i+1, more)
		}
	}
	for _, e := range endpoints {
		if n := e.inFlight.Load(); n != 0 {
			t.Errorf("%d in flight", n)
		}
	}
	if got := p.registry.retries.Load(); got != 2 {
		t.Errorf("%d retries", got)
	}
	if !p.Cooling(now) || p.Cooling(now.Add(time.Minute)) {
		t.Error("the pool cools down as long as all endpoints do")
	}
	large, _ := testPool(t, 2*maxTaken)
	v = large.Visit(true)
	for i := range maxTaken {
		if _, ok := v.Next(t.Context(), now); !ok || !v.More(now) || v.Spare(now) != (i+1 < maxTaken) {
			t.Errorf("after %d endpoints: more is %v, spare %v", i, v.More(now), v.Spare(now))
		}
		v.Taken()
		v.Taken() // of the same endpoint
	}
	if v.More(now) {
		t.Error("one more endpoint after all these timeouts")
	}
}

// TestRollingEndpoints replaces the endpoints while requests choose among them.
func TestRollingEndpoints(t *testing.T) {
	p, _ := testPool(t, 50)
	var wait sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		wait.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				v := p.Visit(i%2 == 0)
				v.Key = *key("m", "", conversation(fmt.Sprint(i%40)))
				if i%3 == 0 {
					v.Key.Session = SessionHash(fmt.Sprint(i))
				}
				e, ok := v.Next(context.Background(), time.Now())
				if !ok {
					t.Error("no endpoint")
					return
				}
				if i%10 == 0 {
					e.Failed(time.Now(), time.Now(), 0)
				}
				v.Done()
				if i%100 == 0 {
					p.View(time.Now(), 10)
				}
			}
		})
	}
	for round := range 200 {
		addresses := make([]string, 0, 50)
		for i := range 50 {
			addresses = append(addresses, fmt.Sprintf("10.1.%d.%d:8000", (round+i)/200, (round+i)%200))
		}
		rand.Shuffle(len(addresses), func(i, j int) { addresses[i], addresses[j] = addresses[j], addresses[i] })
		p.Set(addresses)
	}
	close(done)
	wait.Wait()
	if n := len(p.registry.byAddress); n != 50 {
		t.Errorf("%d endpoints are remembered", n)
	}
	for _, e := range p.current.Load().endpoints {
		if e.inFlight.Load() != 0 {
			t.Errorf("%s has %d in flight", e.Address, e.inFlight.Load())
		}
	}
}
