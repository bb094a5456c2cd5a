package dataplane_test

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"time"
)

// raceDetector tells that the gateway is built with it: slower, and larger.
var raceDetector = os.Getenv("LLM_TEST_RACE") == "1"

var goroutinesLine = regexp.MustCompile(`goroutine profile: total (\d+)`)

// goroutines counts those of the gateway.
func (s *site) goroutines() int {
	s.t.Helper()
	_, body := s.AdminGet("/debug/pprof/goroutine?debug=1")
	m := goroutinesLine.FindSubmatch(body)
	if m == nil {
		s.t.Fatalf("the goroutine profile begins with %.100s", body)
	}
	n, _ := strconv.Atoi(string(m[1]))
	return n
}

// waitGoroutines waits until there are at most n, and returns how many there
// are; after the timeout the test fails.
func (s *site) waitGoroutines(n int, timeout time.Duration) int {
	s.t.Helper()
	got := 0
	if !eventually(timeout, func() bool { got = s.goroutines(); return got <= n }) {
		_, stacks := s.AdminGet("/debug/pprof/goroutine?debug=1")
		s.t.Errorf("the gateway has %d goroutines after %v, want at most %d; they are:\n%.6000s", got, timeout, n, stacks)
	}
	return got
}

// footprint is the gateway's memory in bytes.
type footprint struct{ resident, heap, stack int64 }

func (f footprint) String() string {
	return fmt.Sprintf("resident %.1f MiB, heap %.1f MiB, stacks %.1f MiB", mib(f.resident), mib(f.heap), mib(f.stack))
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// footprint collects the gateway's garbage and measures what is left.
func (s *site) footprint() footprint {
	s.t.Helper()
	var profile []byte
	for range 2 { // what is pooled survives one collection
		_, profile = s.AdminGet("/debug/pprof/heap?gc=1&debug=1")
	}
	stat := func(name string) int64 {
		_, after, ok := bytes.Cut(profile, []byte("\n# "+name+" = "))
		digits := after[:max(bytes.IndexAny(after, " \n"), 0)]
		n, err := strconv.ParseInt(string(digits), 10, 64)
		if !ok || err != nil {
			s.t.Fatalf("the heap profile has no %s: %v", name, err)
		}
		return n
	}
	return footprint{resident: s.Memory(), heap: stat("HeapAlloc"), stack: stat("Stack")}
}

// eventually asks until the response is yes.
func eventually(timeout time.Duration, cond func() bool) bool {
	for end := time.Now().Add(timeout); ; time.Sleep(20 * time.Millisecond) {
		if cond() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}
