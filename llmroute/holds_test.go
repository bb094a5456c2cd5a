package llmroute

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/openai"
	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// livingKind is a kind of provider that has something running for as long as it is in
// use, and says so if it is used when that has ended.
type livingKind struct {
	openai.Provider
	world *livingWorld
	ended atomic.Bool
}

type livingWorld struct {
	t       *testing.T
	running atomic.Int64
	made    atomic.Int64
	cleaned atomic.Int64 // matchers
}

func (k *livingKind) Provision(ctx caddy.Context) error {
	k.world.live(ctx, &k.ended)
	return k.Provider.Provision(ctx)
}

// live has something run for as long as ctx.
func (w *livingWorld) live(ctx context.Context, ended *atomic.Bool) {
	w.made.Add(1)
	w.running.Add(1)
	go func() {
		<-ctx.Done()
		ended.Store(true)
		w.running.Add(-1)
	}()
}

// livingMatcher is a matcher of that sort.
type livingMatcher struct {
	world   *livingWorld
	ended   atomic.Bool
	cleaned atomic.Bool
}

// livingMatchers is the world of new matchers, which Caddy makes.
var livingMatchers *livingWorld

func init() { caddy.RegisterModule(&livingMatcher{}) }

func (*livingMatcher) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.matchers.living", New: func() caddy.Module { return new(livingMatcher) }}
}

func (m *livingMatcher) Provision(ctx caddy.Context) error {
	m.world = livingMatchers
	m.world.live(ctx, &m.ended)
	return nil
}

func (m *livingMatcher) Cleanup() error {
	m.cleaned.Store(true)
	m.world.cleaned.Add(1)
	return nil
}

func (m *livingMatcher) MatchWithError(*http.Request) (bool, error) {
	if m.ended.Load() || m.cleaned.Load() {
		m.world.t.Error("a matcher has ended while in use")
	}
	return true, nil
}

func (k *livingKind) Copy() llmprovider.Provider {
	return &livingKind{Provider: *k.Provider.Copy().(*openai.Provider), world: k.world}
}

func (k *livingKind) NewAttempt(ctx context.Context, in *llmprovider.Inbound, s llmprovider.Settings) (*llmprovider.Attempt, *llmprovider.Error) {
	k.check("building an attempt")
	return k.Provider.NewAttempt(ctx, in, s)
}

func (k *livingKind) RoundTrip(r *http.Request) (*http.Response, error) {
	k.check("sending")
	res, err := k.Provider.RoundTrip(r)
	if err == nil {
		res.Body = livingBody{res.Body, k}
	}
	return res, err
}

func (k *livingKind) check(doing string) {
	if k.ended.Load() {
		k.world.t.Error("ended while in use: " + doing)
	}
}

type livingBody struct {
	io.ReadCloser
	kind *livingKind
}

func (b livingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.kind.check("reading")
	return n, err
}

// TestLives holds that the modules of a source live as long as a snapshot or a request
// uses them, and no longer: through 10,000 changes, or fewer on a slow machine, with streams open from the first of
// them and requests under way all the time, what runs and what is in memory stays the
// same.
func TestLives(t *testing.T) {
	closed := make(chan struct{})
	closeStreams := sync.OnceFunc(func() { close(closed) })
	streams := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, event("a"))
		_ = http.NewResponseController(w).Flush()
		<-closed
		fmt.Fprint(w, event("b"), "data: [DONE]\n\n")
	})
	t.Cleanup(closeStreams) // before its server waits for them
	plain := newUpstream(t, answers("x"))
	plain.requests = nil // counts nothing
	plain.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		answers("x")(w, r)
	})
	world := &livingWorld{t: t}
	livingMatchers = world
	state := func(u *fakeProvider, n int) *spec.State {
		s := liveState(u, "a.example", "m", fmt.Sprint("k", n))
		s.Providers[0].Provider = &livingKind{Provider: *s.Providers[0].Provider.(*openai.Provider), world: world}
		rule := s.Tables["mesh"][0].Rules[0]
		s.Limits = []*limit.Definition{requestsLimit("ns.lives", 1<<30+n, limit.Scope{Everything: true})}
		rule.RetryOn, rule.MatcherSetsRaw = []int{400 + n%100}, []caddy.ModuleMap{{"living": []byte("{}")}}
		return s
	}
	g, feed := newLive(t, state(streams, 0))
	const open = 20
	bodies := make([]*http.Response, open)
	for i := range bodies {
		if i == open/2 {
			feed.report(state(streams, 1))
		}
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, g.URL, strings.NewReader(`{"stream":true,"messages":[]}`))
		req.Host = "a.example"
		res, err := g.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		bodies[i] = res
	}
	feed.report(state(plain, 2))
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for !stop.Load() {
				if res, body := g.post(t, chat, "Host", "a.example"); res.StatusCode != http.StatusOK {
					t.Errorf("%d %s", res.StatusCode, body)
					return
				}
			}
		})
	}
	held := func() (goroutines int, heap uint64) {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return runtime.NumGoroutine(), m.HeapAlloc
	}
	var goroutines int
	var heap uint64
	changes := 0
	for until := time.Now().Add(8 * time.Second); changes < 10_000 && (changes < 1000 || time.Now().Before(until)); changes++ {
		if changes == 500 {
			goroutines, heap = held()
		}
		feed.report(state(plain, changes+3))
	}
	nowGoroutines, nowHeap := held()
	stop.Store(true)
	wg.Wait()
	if nowGoroutines > goroutines+20 || nowHeap > heap+4<<20 {
		t.Errorf("%d goroutines and %d bytes after 500 changes, %d and %d after %d", goroutines, heap, nowGoroutines, nowHeap, changes)
	}
	world.wait(6) // kinds and matchers of both kinds of streams, and the one in use
	closeStreams()
	for _, res := range bodies {
		lines := 0
		for s := bufio.NewScanner(res.Body); s.Scan(); {
			lines++
		}
		_ = res.Body.Close()
		if lines != 6 {
			t.Errorf("a stream ended after %d lines", lines)
		}
	}
	world.wait(2)
	if n := world.made.Load(); n != 2*(int64(changes)+3) {
		t.Errorf("%d modules were made", n)
	}
	if n := world.cleaned.Load(); n != int64(changes)+2 {
		t.Errorf("%d matchers were cleaned up", n)
	}
}

// wait waits until so many kinds are running.
func (w *livingWorld) wait(want int64) {
	w.t.Helper()
	for until := time.Now().Add(time.Minute); w.running.Load() != want; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			w.t.Fatalf("%d are running, want %d", w.running.Load(), want)
		}
	}
}
