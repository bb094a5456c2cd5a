package dataplane_test

import (
	"strings"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
)

const memoryConfig = `{
	llm {
		status_listen 127.0.0.1:{{.Status}}
		provider a {{.URL}}/v1/chat/completions {
			model m
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

// maxPerStream is how much memory an open stream may cost, in bytes.
const maxPerStream = 64 << 10

// maxWithConnection is the same when each stream has a connection to the
// provider for itself, with the buffers of HTTP/1.1 and TLS. There is no promise
// about that; the number only shows when it gets out of hand.
const maxWithConnection = 128 << 10

// TestMemoryOfOpenStreams opens streams whose events come slowly and compares
// the process's memory with what it was before. Connections to clients and to
// the provider are part of it.
func TestMemoryOfOpenStreams(t *testing.T) {
	streams := 1000
	if testing.Short() {
		streams = 200
	}
	for _, tc := range []struct {
		name    string
		limit   int64
		options []fakeprovider.Option
	}{
		{"TLS provider", maxPerStream, nil},
		{"TLS provider without HTTP/2", maxWithConnection, []fakeprovider.Option{fakeprovider.HTTP1Only()}},
		{"plain HTTP provider", maxWithConnection, []fakeprovider.Option{fakeprovider.Plain(), fakeprovider.HTTP1Only()}},
	} {
		t.Run(tc.name, func(t *testing.T) { measureStreams(t, streams, tc.limit, tc.options...) })
	}
}

func measureStreams(t *testing.T, streams int, limit int64, options ...fakeprovider.Option) {
	const events = 20
	a := newNamed(t, "a", options...)
	params := map[string]any{"URL": a.URL(), "CA": ""}
	if strings.HasPrefix(a.URL(), "https:") {
		params["CA"] = a.CAFile()
	}
	s := startSite(t, memoryConfig, params)

	// One stream first, for what is made once.
	a.Script(fakeprovider.Always(numbered(events, 0)))
	c := newClient(t)
	if err := <-finishNumbered(openAll(t, c, s.url, "", 1), events); err != nil {
		t.Fatalf("the first stream: %v", err)
	}
	before, goroutines := s.footprint(), s.goroutines()

	// All streams end at about the same time, however long it takes to open
	// them: late ones go faster.
	end := time.Now().Add(13 * time.Second)
	a.Script(func(int, *fakeprovider.Recorded) fakeprovider.Reply {
		first := numbered(events, max(time.Until(end)/events, 10*time.Millisecond))
		first.Steps = first.Steps[1:] // no pause before the first event
		return first
	})
	began := time.Now()
	open := openAll(t, c, s.url, "", streams)
	took := time.Since(began)
	results := finishNumbered(open, events)
	if v, _ := s.getView(); v.OpenRequests != streams {
		t.Errorf("GET /llm says that %d requests are open, want %d", v.OpenRequests, streams)
	}
	with := s.footprint()
	if n := a.InFlight(); n != streams {
		t.Fatalf("%d streams were open when memory was measured, want %d; opening them took %v", n, streams, took)
	}
	per := footprint{
		resident: (with.resident - before.resident) / int64(streams),
		heap:     (with.heap - before.heap) / int64(streams),
		stack:    (with.stack - before.stack) / int64(streams),
	}
	t.Logf("before: %v; with %d streams: %v, %d goroutines", before, streams, with, s.goroutines())
	t.Logf("each stream: resident %.1f KiB, heap %.1f KiB, stacks %.1f KiB", kib(per.resident), kib(per.heap), kib(per.stack))
	if per.resident > limit {
		t.Errorf("an open stream costs %.1f KiB of resident memory, want at most %d", kib(per.resident), limit>>10)
	}
	if per.heap+per.stack > limit {
		t.Errorf("an open stream costs %.1f KiB of heap and stack, want at most %d", kib(per.heap+per.stack), limit>>10)
	}

	for range streams {
		if err := <-results; err != nil {
			t.Errorf("a stream: %v", err)
		}
	}
	if n := a.Cancelled(); n != 0 {
		t.Errorf("the provider saw %d streams cancelled", n)
	}
	// What stays are idle connections to the provider, two goroutines each.
	c.CloseIdleConnections()
	idle := 2 * int(a.Connections())
	left := s.waitGoroutines(goroutines+idle, 15*time.Second)
	after := s.footprint()
	t.Logf("after: %v, %d goroutines (%d before, %d connections to the provider)", after, left, goroutines, a.Connections())
	if grown := after.heap - before.heap; grown > int64(streams)*limit/2 {
		t.Errorf("the heap is %.1f MiB larger after the streams than before", mib(grown))
	}
}

func kib(n int64) float64 { return float64(n) / (1 << 10) }
