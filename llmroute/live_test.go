package llmroute

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/llmprovider/kind"
	"github.com/caddy-llm/gateway/llmprovider/openai"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
	"github.com/caddy-llm/gateway/llmroute/listen"
	"github.com/caddy-llm/gateway/llmroute/spec"
	"github.com/caddy-llm/gateway/llmroute/status"
)

func init() { caddy.RegisterModule(new(testSource)) }

// testSource is a source whose states a test supplies.
type testSource struct {
	Key    string `json:"key"`
	Listen string `json:"listen,omitempty"`
}

func (s *testSource) Listeners() []*listen.Listener {
	if s.Listen == "" {
		return nil
	}
	return []*listen.Listener{{Address: s.Listen, Servers: []*listen.Server{{Hosts: []string{"*"}, Table: "mesh"}}}}
}

var testFeeds sync.Map // key to *testFeed

type testFeed struct {
	mu     sync.Mutex
	report func(*spec.State)
	first  *spec.State
	ctx    context.Context
}

func (*testSource) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "llm.sources.test", New: func() caddy.Module { return new(testSource) }}
}

func (s *testSource) Start(ctx context.Context, report func(*spec.State)) error {
	value, _ := testFeeds.Load(s.Key)
	feed := value.(*testFeed)
	feed.mu.Lock()
	defer feed.mu.Unlock()
	feed.report, feed.ctx = report, ctx
	if feed.first != nil {
		report(feed.first)
	}
	return nil
}

// liveState is a state with one provider at u for one host, and its route.
func liveState(u *fakeProvider, host, model, key string) *spec.State {
	at, _ := url.Parse(u.URL)
	name, port, _ := net.SplitHostPort(at.Host)
	number, _ := strconv.Atoi(port)
	p := &openai.Provider{Base: kind.Base{Connection: upstream.Connection{Host: name, Scheme: "http", Port: number}, Config: kind.Config{Model: &model, Key: upstream.Literal(key)}}}
	return &spec.State{
		Providers: []*spec.Provider{{Name: "ns/" + host, Origin: "test", Provider: p}},
		Tables:    map[string][]*spec.Route{"mesh": {{Hosts: []string{host}, Origin: "ns/" + host, Rules: []*spec.Rule{{Backends: []*spec.Backend{{Provider: "ns/" + host}}}}}}},
	}
}

// newLive is a gateway with a table, fed by a test source.
func newLive(t *testing.T, first *spec.State) (*gateway, *testFeed) {
	t.Helper()
	key := unique("feed")
	feed := &testFeed{first: first}
	testFeeds.Store(key, feed)
	g := newGateway(t, fmt.Sprintf(`{"status_listen":"off","source":{"source":"test","key":%q}}`, key), `{"table":"mesh"}`)
	if err := g.app.Start(); err != nil {
		t.Fatal(err)
	}
	return g, feed
}

func TestBeforeTheFirstState(t *testing.T) {
	u := newUpstream(t, answers("x"))
	g, feed := newLive(t, nil)
	if res, body := g.post(t, chat, "Host", "a.example"); res.StatusCode != 503 || !strings.Contains(body, "not_ready") || g.app.ready() {
		t.Errorf("before the first state: %d %s, ready %v; want 503 and not ready", res.StatusCode, body, g.app.ready())
	}
	feed.report(liveState(u, "a.example", "m", "k"))
	if res, body := g.post(t, chat, "Host", "a.example"); res.StatusCode != 200 || !g.app.ready() {
		t.Errorf("after it: %d %s, ready %v", res.StatusCode, body, g.app.ready())
	}
}

func TestChangesTakeEffectAtOnce(t *testing.T) {
	u := newUpstream(t, answers("x"))
	g, feed := newLive(t, liveState(u, "a.example", "m1", "k1"))
	for i := range 5 {
		model, key := fmt.Sprint("m", i), fmt.Sprint("k", i)
		feed.report(liveState(u, "a.example", model, key))
		g.post(t, chat, "Host", "a.example")
		got := <-u.requests
		if !strings.Contains(got.body, `"model":"`+model+`"`) || got.header.Get("Authorization") != "Bearer "+key {
			t.Errorf("change %d: the provider got %s with %q", i, got.body, got.header.Get("Authorization"))
		}
	}
	feed.report(liveState(u, "b.example", "m", "k"))
	if res, _ := g.post(t, chat, "Host", "a.example"); res.StatusCode != 404 {
		t.Errorf("a route that was removed: %d, want 404", res.StatusCode)
	}
}

func TestFindingsAreCounted(t *testing.T) {
	u := newUpstream(t, answers("x"))
	g, feed := newLive(t, liveState(u, "a.example", "m", "k"))
	count := func() map[string]float64 {
		got := make(map[string]float64)
		families, err := g.app.ctx.GetMetricsRegistry().Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			for _, m := range family.GetMetric() {
				if family.GetName() == "llm_source_findings" {
					got[m.GetLabel()[0].GetValue()+" "+m.GetLabel()[1].GetValue()] = m.GetGauge().GetValue()
				}
			}
		}
		return got
	}
	for _, step := range []struct {
		findings []spec.Finding
		want     map[string]float64
	}{
		{[]spec.Finding{{Reason: "Conflict"}, {Reason: "Conflict"}, {Reason: "UnknownField", Used: true}}, map[string]float64{"Conflict false": 2, "UnknownField true": 1}},
		{[]spec.Finding{{Reason: "Conflict"}}, map[string]float64{"Conflict false": 1, "UnknownField true": 0}},
		{nil, map[string]float64{"Conflict false": 0, "UnknownField true": 0}},
	} {
		state := liveState(u, "a.example", "m", "k")
		state.Findings = step.findings
		feed.report(state)
		if got := count(); !maps.Equal(got, step.want) {
			t.Errorf("after %v there are %v, want %v", step.findings, got, step.want)
		}
	}
}

func TestSnapshotsAreNumberedThroughReloads(t *testing.T) {
	u := newUpstream(t, answers("x"))
	first, feed := newLive(t, liveState(u, "a.example", "m", "k"))
	before := status.ViewOf(first.app).Snapshot
	feed.report(liveState(u, "b.example", "m", "k"))
	changed := status.ViewOf(first.app).Snapshot
	second, _ := newLive(t, liveState(u, "a.example", "m", "k"))
	if after := status.ViewOf(second.app).Snapshot; before == 0 || changed <= before || after <= changed {
		t.Errorf("the numbers are %d, after a change %d, of the next configuration %d", before, changed, after)
	}
}

func TestUnchangedObjectsAreShared(t *testing.T) {
	u := newUpstream(t, answers("x"))
	g, feed := newLive(t, liveState(u, "a.example", "m", "k"))
	before := g.app.snapshot()
	feed.report(liveState(u, "a.example", "m", "k"))
	after := g.app.snapshot()
	if before == after || before.providers["ns/a.example"] != after.providers["ns/a.example"] {
		t.Error("an unchanged provider was set up again")
	}
	if before.tables["mesh"].Exact("a.example").Route != after.tables["mesh"].Exact("a.example").Route {
		t.Error("an unchanged route was set up again")
	}
}

// TestChangesUnderLoad removes and replaces what is in use while requests and
// streams run: none fails, and what was replaced is let go.
func TestChangesUnderLoad(t *testing.T) {
	release := make(chan struct{})
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), `"stream":true`) {
			send := streams(w)
			send(event("a"))
			<-release
			send("data: [DONE]\n\n")
			return
		}
		answers("x")(w, r)
	})
	g, feed := newLive(t, liveState(u, "a.example", "m", "k"))

	var bodies []io.Reader
	for range 20 { // streams that stay open through all changes
		req, _ := http.NewRequest(http.MethodPost, g.URL, strings.NewReader(streamChat))
		req.Host = "a.example"
		res, err := g.Client().Do(req)
		if err != nil || res.StatusCode != 200 {
			t.Fatal(err, res)
		}
		defer res.Body.Close()
		bodies = append(bodies, res.Body)
	}
	stop := make(chan struct{})
	var failed, done atomic.Int64
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if res, _ := g.post(t, chat, "Host", "a.example"); res.StatusCode != 200 {
					failed.Add(1)
				}
				<-u.requests
				done.Add(1)
			}
		})
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	change := func(n int) {
		for i := range n {
			feed.report(liveState(u, "a.example", fmt.Sprint("m", i%10), fmt.Sprint("k", i)))
		}
	}
	changes := 10_000
	if testing.Short() {
		changes = 1000
	}
	change(changes / 10)
	before, goroutines := heap(), runtime.NumGoroutine()
	change(changes)
	after := heap()
	close(stop)
	wait.Wait()
	if failed.Load() > 0 {
		t.Errorf("%d of %d requests failed while the configuration changed", failed.Load(), done.Load())
	}
	if after > before+4<<20 {
		t.Errorf("memory grew from %d to %d KiB over %d changes", before>>10, after>>10, changes)
	}
	if n := runtime.NumGoroutine(); n > goroutines+10 {
		t.Errorf("goroutines grew from %d to %d", goroutines, n)
	}
	close(release)
	for i, body := range bodies {
		if data, err := io.ReadAll(body); err != nil || !strings.HasSuffix(string(data), "[DONE]\n\n") {
			t.Errorf("stream %d: %q, %v", i, data, err)
		}
	}
}

func TestSourceOutlivesAReload(t *testing.T) {
	u := newUpstream(t, answers("x"))
	key := unique("feed")
	feed := &testFeed{first: liveState(u, "a.example", "m", "k")}
	testFeeds.Store(key, feed)
	app := fmt.Sprintf(`{"status_listen":"off","source":{"source":"test","key":%q}}`, key)
	first := newGateway(t, app, `{"table":"mesh"}`)
	if err := first.app.Start(); err != nil {
		t.Fatal(err)
	}
	began := feed.ctx
	second := newGateway(t, app, `{"table":"mesh"}`)
	if res, body := second.post(t, chat, "Host", "a.example"); res.StatusCode != 200 {
		t.Errorf("before its Start the new configuration answers %d %s; want the last good state", res.StatusCode, body)
	}
	if err := second.app.Start(); err != nil {
		t.Fatal(err)
	}
	if err := first.app.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := first.app.Cleanup(); err != nil {
		t.Fatal(err)
	}
	if began.Err() != nil || feed.ctx != began {
		t.Error("the source was stopped or started again by a reload")
	}
	feed.report(liveState(u, "b.example", "m", "k"))
	if res, _ := second.post(t, chat, "Host", "b.example"); res.StatusCode != 200 {
		t.Errorf("a change after the reload: %d", res.StatusCode)
	}
	if err := second.app.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := second.app.Cleanup(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-began.Done():
	case <-time.After(time.Second):
		t.Error("the source still runs after its last configuration ended")
	}
}

func TestDrain(t *testing.T) {
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		streams(w)(event("a"))
		<-r.Context().Done()
	})
	g := one(t, u, "")
	_, body := g.stream(t, context.Background(), streamChat)
	_, _ = body.ReadString('\n')
	if n := g.app.open.Count(); n != 1 {
		t.Fatalf("%d open requests, want 1", n)
	}
	if n := g.app.drainOpen(); n != 1 {
		t.Errorf("ended %d requests, want 1", n)
	}
	rest, err := io.ReadAll(body)
	if err == nil || !strings.Contains(string(rest), "shutting_down") {
		t.Errorf("got %q, %v; want an error event and an aborted body", rest, err)
	}
}
