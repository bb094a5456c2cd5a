package dataplane_test

import (
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// secondEvent is when the second event of a gated stream comes, after the first.
const secondEvent = 100 * time.Millisecond

// gatedProvider answers each request with the first two events of a numbered
// stream and sends the rest when the test opens the gate. It keeps nothing of its
// requests, so a test can have as many open as it likes, for as long as it
// takes.
type gatedProvider struct {
	*httptest.Server
	caFile      string // empty without TLS
	events      int
	inFlight    atomic.Int64
	connections atomic.Int64
	first       string // the first event

	mu   sync.Mutex
	gate chan struct{}
}

func newGated(t *testing.T, events int, useTLS, http2 bool) *gatedProvider {
	t.Helper()
	g := &gatedProvider{events: events, first: numberedEvent(0), gate: make(chan struct{})}
	g.Server = httptest.NewUnstartedServer(g)
	g.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			g.connections.Add(1)
		}
	}
	if !useTLS {
		g.Start()
	} else {
		g.EnableHTTP2 = http2
		g.StartTLS()
		g.caFile = filepath.Join(t.TempDir(), "ca.pem")
		block := &pem.Block{Type: "CERTIFICATE", Bytes: g.Certificate().Raw}
		if err := os.WriteFile(g.caFile, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		g.open()
		g.CloseClientConnections()
		g.Close()
	})
	return g
}

// open lets the waiting streams, and later ones, go on to their ends.
func (g *gatedProvider) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.gate:
	default:
		close(g.gate)
	}
}

// shut makes the streams that begin from now on wait.
func (g *gatedProvider) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gate = make(chan struct{})
}

// ServeHTTP answers a request.
func (g *gatedProvider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	g.inFlight.Add(1)
	defer g.inFlight.Add(-1)
	g.mu.Lock()
	gate := g.gate
	g.mu.Unlock()
	w.Header().Set("Content-Type", "text/event-stream")
	send := func(event string) {
		_, _ = io.Copy(w, strings.NewReader(event))
		_ = http.NewResponseController(w).Flush()
	}
	send(g.first)
	time.Sleep(secondEvent)
	send(numberedEvent(1))
	select {
	case <-gate:
	case <-r.Context().Done():
		return
	}
	for i := 2; i < g.events && r.Context().Err() == nil; i++ {
		send(numberedEvent(i))
		time.Sleep(20 * time.Millisecond)
	}
	send("data: [DONE]\n\n")
}
