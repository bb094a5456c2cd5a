package dataplane_test

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
)

// TestManyChangesUseNoMore changes a manifest of many providers over and over
// with streams open: memory and goroutines stay what they were.
func TestManyChangesUseNoMore(t *testing.T) {
	changes, streams := 1000, 50
	if testing.Short() {
		changes = 200
	}
	hosts := []backend{{hostA, 1}, {hostB, 1}}
	s, servers := startFiles(t, "10ms", manifest(0, hosts...), hostA, hostB)
	many := func(n int) string {
		var all strings.Builder
		for i := range 8 { // providers that change as well, and get no requests
			all.WriteString(providerObject(n, fmt.Sprintf("idle-%d.example.com", i)))
		}
		return all.String() + manifest(n, hosts...)
	}
	for _, server := range servers {
		server.Script(func(i int, r *fakeprovider.Recorded) fakeprovider.Reply {
			if r.Stream {
				return fakeprovider.EndlessEvents(numberedEvent(0), 200*time.Millisecond)
			}
			return fakeprovider.Default(i, r)
		})
	}
	c := newClient(t)
	open := openAll(t, c, s.url, demoHost, streams)
	var events atomic.Int64
	ended := make(chan error, streams)
	for _, one := range open {
		go func() {
			for {
				if _, err := one.next(); err != nil {
					ended <- err
					return
				}
				events.Add(1)
			}
		}()
	}
	// change puts versions in place and returns when the last is in force.
	change := func(from, to int) {
		t.Helper()
		var before *os.File
		for n := from; n < to; n++ {
			path := s.WriteFile(manifestFile, many(n))
			// A file that is open keeps its inode from being used again, so that
			// each change is seen to be another file at the first look.
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			_ = before.Close()
			before = f
			time.Sleep(10 * time.Millisecond)
		}
		_ = before.Close()
		if !eventually(5*time.Second, func() bool { return mustPost(t, c, s.url, demoHost).model == version(to-1) }) {
			t.Fatalf("version %d was not in force after 5s", to-1)
		}
	}
	change(1, changes/5) // for what grows to its size once
	start, before := s.goroutines(), s.footprint()
	first, _ := s.getView()
	change(changes/5, changes)
	after := s.footprint()
	v, _ := s.getView()
	t.Logf("%d changes made %d snapshots with %d providers each; goroutines %d before, %d after; before: %v; after: %v",
		changes-changes/5, v.Snapshot-first.Snapshot, len(v.Providers), start, s.goroutines(), before, after)
	if n := int(v.Snapshot - first.Snapshot); n < changes/8 && !raceDetector {
		t.Errorf("%d changes made %d snapshots, too few to show anything", changes-changes/5, n)
	}
	s.waitGoroutines(start+5, 10*time.Second)
	if grown := after.heap - before.heap; grown > 2<<20 {
		t.Errorf("the heap grew by %.1f MiB", mib(grown))
	}
	if grown := after.resident - before.resident; grown > 16<<20 && !raceDetector {
		t.Errorf("resident memory grew by %.1f MiB", mib(grown))
	}

	// The streams have been open all the time, and still are.
	seen := events.Load()
	if !eventually(5*time.Second, func() bool { return events.Load() >= seen+int64(2*streams) }) {
		t.Errorf("the streams got %d events in 5s", events.Load()-seen)
	}
	select {
	case err := <-ended:
		t.Errorf("a stream ended: %v", err)
	default:
	}
	for _, one := range open {
		one.close()
	}
	servers[hostA].WaitIdle(10 * time.Second)
	servers[hostB].WaitIdle(10 * time.Second)
	if n := servers[hostA].Cancelled() + servers[hostB].Cancelled(); n != streams {
		t.Errorf("the providers saw %d streams end when their clients left, want %d", n, streams)
	}
}
