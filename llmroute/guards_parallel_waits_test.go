package llmroute

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-llm/gateway/llmroute/limit"
)

// hangingStore is a store of limits that can be told to hang.
type hangingStore struct {
	limit.Memory
	hangs   atomic.Bool
	once    sync.Once
	asked   chan struct{} // closed when it hangs
	release chan struct{} // closed for it to go on
}

// hanging is what the module stands for.
var hanging atomic.Pointer[hangingStore]

func init() { caddy.RegisterModule(new(hangingStore)) }

func newHangingStore(t *testing.T) *hangingStore {
	t.Helper()
	s := &hangingStore{asked: make(chan struct{}), release: make(chan struct{})}
	hanging.Store(s)
	t.Cleanup(func() { close(s.release) })
	return s
}

func (*hangingStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: limit.StoreNamespace + ".hanging", New: func() caddy.Module { return hanging.Load() }}
}

// Storage implements limit.Store.
func (s *hangingStore) Storage(caddy.Context) limit.Storage { return s }

// Load implements limit.Storage: nothing was stored.
func (s *hangingStore) Load(context.Context, string) ([]byte, error) {
	s.wait()
	return nil, fs.ErrNotExist
}

// Store implements limit.Storage.
func (s *hangingStore) Store(context.Context, string, []byte) error {
	s.wait()
	return nil
}

func (s *hangingStore) wait() {
	if s.hangs.Load() {
		s.once.Do(func() { close(s.asked) })
		<-s.release
	}
}

// TestParallelGuardWhileLimitsWait has a request denied while the store of limits is waited for,
// about the first provider and about a further one. The wait ends, and the store is not at fault.
func TestParallelGuardWhileLimitsWait(t *testing.T) {
	for _, about := range []string{"the first", "a further"} {
		t.Run(about, func(t *testing.T) {
			storage := newHangingStore(t)
			s := newGuardService(t)
			failing := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
				storage.hangs.Store(true)
				fails(503)(w, r)
			})
			second := newUpstream(t, answers("x"))
			a, b, l := unique("a"), unique("b"), unique("limit")
			app := strings.TrimSuffix(providers(a, failing.provider(""), b, second.provider("")), "}") + fmt.Sprintf(
				`,"limits":{"store":{"store":"hanging"},"limits":[{"name":%q,"key":["provider"],"amounts":[{"unit":"requests","amount":10,"window":"day"}],"on_store_failure":"deny"}]},"guards":{%s}}`, l, s.guard("closed"))
			storage.hangs.Store(about == "the first")
			s.before = func(r *http.Request) {
				select {
				case <-storage.asked:
				case <-r.Context().Done():
				}
			}
			g := newGateway(t, app,
				fmt.Sprintf(`{"rules":[{"guards":["g"],"attempts":2,"backends":[{"provider":%q},{"provider":%q,"priority":1}]}]}`, a, b))
			before := g.app.limits.Engine().StoreErrors()
			res, body := g.post(t, message("zebra", false))
			if res.StatusCode != 418 || !strings.Contains(body, "content_policy") || second.count() != 0 {
				t.Errorf("%d %s", res.StatusCode, body)
			}
			if refused := g.view(t, l).Refused; len(refused) > 0 {
				t.Errorf("the limit has refused %v", refused)
			}
			if e := g.app.limits.Engine(); e.StoreErrors() > before || e.StoreDown() {
				t.Error("the store has failed")
			}
		})
	}
}

// TestParallelGuardWhilePoolWaits has a request denied while the first endpoints of a pool are
// waited for. The wait ends, and is no failed attempt.
func TestParallelGuardWhilePoolWaits(t *testing.T) {
	dns, err := net.ListenPacket("udp", "127.0.0.1:0") // which does not answer
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dns.Close() })
	failing, s := newUpstream(t, fails(503)), newGuardService(t)
	a, p := unique("a"), unique("pool")
	pool := fmt.Sprintf(`{"kind":"openai","host":"own","scheme":"http","pool":{"metrics":"off","from":{"source":"a","name":"pool.test","port":"80","resolver":{"addresses":["udp/%s"]}}}}`, dns.LocalAddr())
	g := newGateway(t, guarded(s.guard("closed"), a, failing.provider(""), p, pool),
		fmt.Sprintf(`{"rules":[{"guards":["g"],"attempts":2,"backends":[{"provider":%q},{"provider":%q,"priority":1}]}]}`, a, p))
	core, logged := observer.New(zap.WarnLevel)
	g.handler.logger = zap.New(core)
	s.before = func(r *http.Request) {
		for sumSoFar(t, g, "llm_fallbacks_total", "from="+a, "to="+p) != 1 && r.Context().Err() == nil {
			time.Sleep(time.Millisecond)
		}
	}
	if res, body := g.post(t, message("zebra", false)); res.StatusCode != 418 || !strings.Contains(body, "content_policy") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	g.counted(t)
	if lines := logged.FilterMessage("attempt failed").All(); len(lines) != 1 || lines[0].ContextMap()["provider"] != a {
		t.Errorf("logged as failed attempts: %v", lines)
	}
}

// TestParallelGuardThatOnlyLogsHoldsNothing has the client get all of its response, and the request
// end, before a guard with log has decided.
func TestParallelGuardThatOnlyLogsHoldsNothing(t *testing.T) {
	for _, stream := range []bool{false, true} {
		u, s := newUpstream(t, answers("x")), newGuardService(t)
		decides := make(chan struct{})
		s.before = func(*http.Request) { <-decides }
		p := unique("p")
		g := newGateway(t, guarded(strings.TrimSuffix(s.guard("closed"), "}")+`,"log":true}`, p, u.provider("")), fmt.Sprintf(`{"rules":[{"guards":["g"],"backends":[{"provider":%q}]}]}`, p))
		logged, failed := guardCount(t, g, "action=log"), guardCount(t, g, "action=fail")
		res, body := g.post(t, message("zebra", stream))
		if res.StatusCode != 200 || !strings.Contains(body, `"x"`) {
			t.Errorf("%d %s", res.StatusCode, body)
		}
		g.counted(t)
		if guardCount(t, g, "action=log") != logged || guardCount(t, g, "action=fail") != failed {
			t.Error("the guard has acted before it has decided")
		}
		close(decides)
		waitFor(t, func() bool { return guardCount(t, g, "action=log") == logged+1 })
	}
}
