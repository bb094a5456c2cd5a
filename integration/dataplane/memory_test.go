package dataplane_test

import (
	"strings"
	"testing"
	"time"
)

const memoryConfig = `{
	llm {
		status_listen 127.0.0.1:{{.Status}}
		provider a {{.URL}}/v1/chat/completions {
			model m
			dial_timeout 30s # many handshakes at once, on a machine that may be busy
{{- if .CA}}
			tls_trusted_ca_certs {{.CA}}
{{- end}}
		}
	}
}
http://:{{.Port}} {
	llm_route {
		rule all {
			to a
		}
	}
}
`

// maxPerStream is how much memory an open stream may cost, in bytes. The limits
// of the other cases are no promise; they only show when it gets out of hand.
const maxPerStream = 64 << 10

// TestMemoryOfOpenStreams opens streams that then wait for their next event,
// and compares the process's memory with what it was before. Connections to
// clients and to the provider are part of it.
func TestMemoryOfOpenStreams(t *testing.T) {
	for _, tc := range []memoryCase{
		{name: "TLS provider", tls: true, http2: true, live: maxPerStream, resident: maxPerStream},
		{name: "TLS provider with a large first event", tls: true, http2: true, first: 10_000, live: maxPerStream, resident: 96 << 10},
		// A connection to the provider for each stream, with its buffers.
		{name: "TLS provider without HTTP/2", tls: true, live: 96 << 10, resident: 128 << 10},
		{name: "plain HTTP provider", live: 80 << 10, resident: 128 << 10},
	} {
		t.Run(tc.name, tc.measure)
	}
}

type memoryCase struct {
	name       string
	tls, http2 bool
	first      int // bytes of text in the first event, if not few

	// The most memory for each stream, in bytes: what is in use of heap and
	// stacks, and what the system counts, garbage included.
	live, resident int64
}

func (tc *memoryCase) measure(t *testing.T) {
	const events = 20
	if raceDetector {
		t.Skip("the race detector takes memory of its own")
	}
	streams := 1000
	if testing.Short() {
		streams = 200
	}
	a := newGated(t, events, tc.tls, tc.http2)
	a.first = strings.Replace(a.first, `"content":"0"`, `"content":"0`+strings.Repeat("0", tc.first)+`"`, 1)
	s := startSite(t, memoryConfig, map[string]any{"URL": a.URL, "CA": a.caFile})

	// One stream first, for what is made once.
	a.open()
	c := newClient(t)
	if err := <-finishNumbered(openAll(t, c, s.url, "", 1), events); err != nil {
		t.Fatalf("the first stream: %v", err)
	}
	before, goroutines := s.footprint(), s.goroutines()

	a.shut()
	open := openAll(t, c, s.url, "", streams)
	results := finishNumbered(open, events)
	if v, _ := s.getView(); v.OpenRequests != streams {
		t.Errorf("GET /llm says that %d requests are open, want %d", v.OpenRequests, streams)
	}
	time.Sleep(2 * secondEvent)
	with := s.footprint()
	if n := a.inFlight.Load(); n != int64(streams) {
		t.Fatalf("%d streams were open when memory was measured, want %d", n, streams)
	}
	per := footprint{
		resident: (with.resident - before.resident) / int64(streams),
		heap:     (with.heap - before.heap) / int64(streams),
		stack:    (with.stack - before.stack) / int64(streams),
	}
	t.Logf("before: %v; with %d streams: %v, %d goroutines, %d connections to the provider", before, streams, with, s.goroutines(), a.connections.Load())
	t.Logf("each stream: resident %.1f KiB, heap %.1f KiB, stacks %.1f KiB", kib(per.resident), kib(per.heap), kib(per.stack))
	if per.resident > tc.resident {
		t.Errorf("an open stream costs %.1f KiB of resident memory, want at most %d", kib(per.resident), tc.resident>>10)
	}
	if per.heap+per.stack > tc.live {
		t.Errorf("an open stream costs %.1f KiB of heap and stack, want at most %d", kib(per.heap+per.stack), tc.live>>10)
	}

	a.open()
	for range streams {
		if err := <-results; err != nil {
			t.Errorf("a stream: %v", err)
		}
	}
	// What stays are idle connections to the provider, two goroutines each.
	c.CloseIdleConnections()
	idle := 2 * int(a.connections.Load())
	left := s.waitGoroutines(goroutines+idle, 15*time.Second)
	after := s.footprint()
	t.Logf("after: %v, %d goroutines (%d before)", after, left, goroutines)
	// Buffers of idle connections stay too.
	if grown := after.heap - before.heap; grown > a.connections.Load()*32<<10+4<<20 {
		t.Errorf("the heap is %.1f MiB larger after the streams than before", mib(grown))
	}
}

func kib(n int64) float64 { return float64(n) / (1 << 10) }
