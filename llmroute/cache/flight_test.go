package cache

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestWaiting holds how many wait for a flight, and for how long one whose client is slow is
// waited for.
func TestWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all flights
		fl, leads := all.join(Key{1})
		if _, again := all.join(Key{1}); !leads || again {
			t.Fatal("it is not led by the first alone")
		}
		results := make(chan landing, maxWaiting)
		for range maxWaiting {
			go func() {
				_, result := fl.wait(t.Context())
				results <- result
			}()
		}
		synctest.Wait()
		if _, result := fl.wait(t.Context()); result != failed {
			t.Errorf("one more waits: %d", result)
		}
		for range 2 { // not at a time, but in all
			fl.blocked.Store(time.Now().UnixNano())
			time.Sleep(stalled * 2 / 3)
			fl.slow.Add(int64(stalled * 2 / 3))
			fl.blocked.Store(0)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if len(results) != maxWaiting {
			t.Fatalf("%d of %d have gone on", len(results), maxWaiting)
		}
		for range maxWaiting {
			if result := <-results; result != failed {
				t.Errorf("got %d", result)
			}
		}
		if n := fl.waiting.Load(); n != 0 {
			t.Errorf("%d wait", n)
		}
		fl.land(arrived, new(Entry))
		if e, result := fl.wait(t.Context()); e == nil || result != arrived {
			t.Errorf("of one that has landed: %v, %d", e, result)
		}
	})
}
