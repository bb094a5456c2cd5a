package llmroute

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/llmroute/filter"
	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// requestsLimit is a limit of that many requests in a year.
func requestsLimit(name string, amount int, scope limit.Scope) *limit.Definition {
	return &limit.Definition{Name: name, Amounts: []limit.Amount{{Unit: limit.UnitRequests, Amount: json.Number(fmt.Sprint(amount)), Window: "year"}}, Scope: &scope}
}

// withLimits is a state of one route with limits.
func withLimits(u *fakeProvider, limits ...*limit.Definition) *spec.State {
	s := liveState(u, "a.example", "m", "k")
	s.Tables["mesh"][0].Rules[0].Object = filter.Object{Kind: "LLMRoute", Namespace: "team", Name: "chat"}
	s.Limits = limits
	return s
}

// TestScopesOfLimits holds which requests the limits of objects are about.
func TestScopesOfLimits(t *testing.T) {
	u := newUpstream(t, answers("x"))
	for name, test := range map[string]struct {
		scope limit.Scope
		want  bool
	}{
		"nothing":           {limit.Scope{}, false},
		"everything":        {limit.Scope{Everything: true}, true},
		"namespace":         {limit.Scope{Namespace: "team"}, true},
		"another namespace": {limit.Scope{Namespace: "ns"}, false},
		"route":             {limit.Scope{Routes: []limit.Object{{Kind: "LLMRoute", Namespace: "team", Name: "chat"}}}, true},
		"route of another":  {limit.Scope{Routes: []limit.Object{{Kind: "LLMRoute", Namespace: "ns", Name: "chat"}}}, false},
		"provider":          {limit.Scope{Providers: []string{"ns/a.example"}}, true},
		"another provider":  {limit.Scope{Providers: []string{"team/a.example"}}, false},
		"Gateway":           {limit.Scope{Gateways: []string{"ns/edge"}}, false},
		"one of several":    {limit.Scope{Namespace: "x", Gateways: []string{"ns/edge"}, Providers: []string{"ns/a.example"}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			g, _ := newLive(t, withLimits(u, requestsLimit(unique("team.limit"), 1, test.scope)))
			for i, want := range []int{200, 429} {
				if !test.want {
					want = 200
				}
				if res, body := g.post(t, chat, "Host", "a.example"); res.StatusCode != want {
					t.Errorf("request %d: %d %s, want %d", i+1, res.StatusCode, body, want)
				}
			}
		})
	}
}

// TestScopeOfAGateway holds that a limit of a Gateway is about what comes in by it.
func TestScopeOfAGateway(t *testing.T) {
	u := newUpstream(t, answers("x"))
	state := withLimits(u, requestsLimit(unique("ns.limit"), 1, limit.Scope{Gateways: []string{"ns/edge"}}))
	state.Tables["ns/edge"] = state.Tables["mesh"]
	key := unique("feed")
	testFeeds.Store(key, &testFeed{first: state})
	for table, want := range map[string]int{"ns/edge": 429, "mesh": 200} {
		g := newGateway(t, fmt.Sprintf(`{"status_listen":"off","source":{"source":"test","key":%q}}`, key), fmt.Sprintf(`{"table":%q}`, table))
		if err := g.app.Start(); err != nil {
			t.Fatal(err)
		}
		g.post(t, chat, "Host", "a.example")
		if res, body := g.post(t, chat, "Host", "a.example"); res.StatusCode != want {
			t.Errorf("%s: %d %s, want %d", table, res.StatusCode, body, want)
		}
	}
}

// TestLimitsOfObjectsChange holds that what was used stays used while the numbers of a limit
// change, and other things of the source do.
func TestLimitsOfObjectsChange(t *testing.T) {
	u := newUpstream(t, answers("x"))
	name := unique("team.limit")
	everything := limit.Scope{Everything: true}
	g, feed := newLive(t, withLimits(u, requestsLimit(name, 3, everything)))
	send := func(want int) {
		t.Helper()
		if res, body := g.post(t, chat, "Host", "a.example"); res.StatusCode != want {
			t.Fatalf("%d %s, want %d", res.StatusCode, body, want)
		}
	}
	send(200)
	send(200)
	before := g.app.current.Load().limits
	next := withLimits(u, requestsLimit(name, 3, everything))
	next.Tables["mesh"][0].Rules[0].RetryOn = []int{500}
	feed.report(next)
	if after := g.app.current.Load().limits; after != before {
		t.Error("equal limits were made again")
	}
	send(200)
	send(429)
	feed.report(withLimits(u, requestsLimit(name, 4, everything)))
	send(200)
	send(429)
	feed.report(withLimits(u, requestsLimit(name, 4, everything), requestsLimit(unique("team.other"), 100, everything)))
	send(429)
	feed.report(withLimits(u))
	if set := g.app.limitSet(); set != nil {
		t.Errorf("limits are left: %v", set.View())
	}
	send(200)
	feed.report(withLimits(u, requestsLimit(name, 4, everything)))
	send(429)
}

// TestLimitsOfBoth holds that a request reserves of the limits of the configuration and of
// objects, or of none.
func TestLimitsOfBoth(t *testing.T) {
	u := newUpstream(t, answers("x"))
	ours, theirs := unique("ours"), unique("team.theirs")
	key := unique("feed")
	testFeeds.Store(key, &testFeed{first: withLimits(u, requestsLimit(theirs, 1, limit.Scope{Everything: true}), requestsLimit(ours, 0, limit.Scope{Everything: true}))})
	app := limited(t, fmt.Sprintf(`{"name":%q,"amounts":[{"unit":"requests","amount":5,"window":"24h"}],"match":[{"path":["/v1/*"]}]}`, ours))
	app = strings.TrimSuffix(app, "}") + fmt.Sprintf(`,"source":{"source":"test","key":%q}}`, key)
	g := newGateway(t, app, `{"table":"mesh"}`)
	if err := g.app.Start(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		g.post(t, chat, "Host", "a.example")
	}
	if v := g.view(t, ours); v.Amounts[0].Spent != "1" || v.Amounts[0].Amount != "5" || v.Amounts[0].Reserved != "0" {
		t.Errorf("the configuration's limit: %+v", v)
	}
	if v := g.view(t, theirs); v.Amounts[0].Spent != "1" || v.Refused["exceeded"] != 2 {
		t.Errorf("the object's limit: %+v", v)
	}
}

// oneStore is a store that holds one limit in all.
type oneStore struct{ limit.Memory }

func (oneStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: limit.StoreNamespace + ".one", New: func() caddy.Module { return new(oneStore) }}
}

func (oneStore) Holds(limits []*limit.Definition) error {
	if len(limits) > 1 {
		return fmt.Errorf("limit %s: store one holds one limit", limits[1].Name)
	}
	return nil
}

func init() { caddy.RegisterModule(oneStore{}) }

// TestStoreOfObjectsLimits holds that a limit of an object that the configured store cannot
// hold is left out, and no other is.
func TestStoreOfObjectsLimits(t *testing.T) {
	u := newUpstream(t, answers("x"))
	first, second := unique("team.a"), unique("team.b")
	local := requestsLimit(unique("team.local"), 5, limit.Scope{Everything: true, Local: true})
	key := unique("feed")
	testFeeds.Store(key, &testFeed{first: withLimits(u, requestsLimit(first, 1, limit.Scope{Everything: true}), requestsLimit(second, 1, limit.Scope{Everything: true}), local)})
	g := newGateway(t, fmt.Sprintf(`{"status_listen":"off","limits":{"store":{"store":"one"}},"source":{"source":"test","key":%q}}`, key), `{"table":"mesh"}`)
	if err := g.app.Start(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{200, 429} {
		if res, body := g.post(t, chat, "Host", "a.example"); res.StatusCode != want {
			t.Errorf("%d %s, want %d", res.StatusCode, body, want)
		}
	}
	if all := g.app.limitSet().View(); len(all) != 2 || all[0].Name != first || all[1].Name != local.Name {
		t.Errorf("in force: %+v", all)
	}
}

// TestLimitsOutliveTheirSnapshot holds that a request under way is settled in limits that
// have been replaced.
func TestLimitsOutliveTheirSnapshot(t *testing.T) {
	release := make(chan struct{})
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		<-release
		answers("x")(w, r)
	})
	name := unique("team.limit")
	g, feed := newLive(t, withLimits(u, requestsLimit(name, 3, limit.Scope{Everything: true})))
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.post(t, chat, "Host", "a.example")
	}()
	<-u.requests
	old := g.app.current.Load().limits
	feed.report(withLimits(u, requestsLimit(name, 5, limit.Scope{Everything: true})))
	if n := old.Life().Users(); n != 1 {
		t.Errorf("the old limits have %d users, want the request", n)
	}
	close(release)
	<-done
	for i := 0; old.Life().Users() != 0; i++ {
		if i > 1000 {
			t.Fatal("the old limits are still held")
		}
		time.Sleep(5 * time.Millisecond)
	}
	if v := g.view(t, name); v.Amounts[0].Spent != "1" || v.Amounts[0].Reserved != "0" || v.Amounts[0].Amount != "5" {
		t.Errorf("the limit: %+v", v)
	}
}

// TestWarningsOfLimitsWithASource holds that limits of the configuration that match nothing
// are reported once the source has said what there is.
func TestWarningsOfLimitsWithASource(t *testing.T) {
	u := newUpstream(t, answers("x"))
	key := unique("feed")
	feed := &testFeed{}
	testFeeds.Store(key, feed)
	app := limited(t, `{"name":"w","key":["workload"],"rules":["no-such","here"],"providers":["ns/no-such","ns/a.example"],"concurrent":5}`)
	g := newGateway(t, strings.TrimSuffix(app, "}")+fmt.Sprintf(`,"source":{"source":"test","key":%q}}`, key), `{"table":"mesh"}`)
	if err := g.app.Start(); err != nil {
		t.Fatal(err)
	}
	if len(g.app.limitsWarned) != 0 {
		t.Errorf("before the first state there are warnings: %v", g.app.limitsWarned)
	}
	state := withLimits(u)
	state.Tables["mesh"][0].Rules[0].Name = "here"
	feed.report(state)
	said := fmt.Sprint(g.app.limitsWarned)
	for _, want := range []string{"w no-such", "w ns/no-such", "w workload"} {
		if !strings.Contains(said, want) {
			t.Errorf("no warning about %q: %s", want, said)
		}
	}
	if len(g.app.limitsWarned) != 3 {
		t.Errorf("there are %d warnings: %s", len(g.app.limitsWarned), said)
	}
}
