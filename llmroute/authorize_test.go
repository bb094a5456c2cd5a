package llmroute

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider/openai"
	"github.com/caddy-llm/gateway/llmroute/authz"
	"github.com/caddy-llm/gateway/llmroute/spec"
	"github.com/caddy-llm/gateway/llmroute/status"
)

// gatewayState is a state whose routes are a Gateway's, with policies.
func gatewayState(u *fakeProvider, policies ...*authz.Policy) *spec.State {
	state := liveState(u, "a.example", "m", "k")
	state.Tables["ns/gw"] = state.Tables["mesh"]
	state.Authorization = &authz.Config{Policies: policies}
	return state
}

// newGoverned is a gateway with a site that routes by a Gateway's table.
func newGoverned(t *testing.T, first *spec.State) (*gateway, *testFeed) {
	t.Helper()
	key := unique("feed")
	feed := &testFeed{first: first}
	testFeeds.Store(key, feed)
	g := newGateway(t, fmt.Sprintf(`{"status_listen":"off","source":{"source":"test","key":%q}}`, key), `{"table":"ns/gw"}`)
	if err := g.app.Start(); err != nil {
		t.Fatal(err)
	}
	return g, feed
}

func denyHost(name, host string) *authz.Policy {
	return &authz.Policy{Name: name, Action: authz.Deny, Rules: []*authz.Rule{{To: []*authz.Operation{{Hosts: []string{host}}}}}}
}

func TestPoliciesHoldForAGatewaysTable(t *testing.T) {
	u := newUpstream(t, answers("x"))
	g, feed := newGoverned(t, gatewayState(u, denyHost("ns/block", "a.example")))
	res, body := g.post(t, chat, "Host", "a.example")
	if res.StatusCode != http.StatusForbidden || body != "RBAC: access denied" || res.Header.Get("Content-Type") != "text/plain" {
		t.Errorf("denied: %d %q as %s", res.StatusCode, body, res.Header.Get("Content-Type"))
	}
	if len(u.requests) != 0 {
		t.Errorf("the provider got %d requests", len(u.requests))
	}
	view := status.ViewOf(g.app).Authorization
	if view == nil || len(view.Policies) != 1 || view.Policies[0].Name != "ns/block" || len(view.Denied) != 1 {
		t.Fatalf("the admin endpoint shows %+v", view)
	}
	if d := view.Denied[0]; d.Policy != "ns/block" || d.Rule == nil || *d.Rule != 0 || d.Host != "a.example" || d.Status != http.StatusForbidden {
		t.Errorf("the last denial is %+v", d)
	}

	feed.report(gatewayState(u, denyHost("ns/block", "other.example")))
	if res, body := g.post(t, chat, "Host", "a.example"); res.StatusCode != http.StatusOK {
		t.Errorf("after the policy changed: %d %s", res.StatusCode, body)
	}
	feed.report(liveState(u, "a.example", "m", "k"))
	if view := status.ViewOf(g.app).Authorization; view == nil || len(view.Policies) != 0 || len(view.Denied) != 1 {
		t.Errorf("when there are no policies any more, the admin endpoint shows %+v, want the denial and no policy", view)
	}
}

// TestPoliciesDoNotHoldForASidecar holds that a sidecar's own application is not
// held to what is said of those who call its pod.
func TestPoliciesDoNotHoldForASidecar(t *testing.T) {
	u := newUpstream(t, answers("x"))
	g, _ := newLive(t, gatewayState(u, denyHost("ns/block", "a.example")))
	if res, body := g.post(t, chat, "Host", "a.example"); res.StatusCode != http.StatusOK {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

// TestNoMomentWithoutAPolicy replaces a policy by another that denies the same,
// many times under load: no request may slip through between the two.
func TestNoMomentWithoutAPolicy(t *testing.T) {
	u := newUpstream(t, answers("x"))
	g, feed := newGoverned(t, gatewayState(u, denyHost("ns/0", "a.example")))
	var passed, denied atomic.Int64
	done := make(chan struct{})
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				req, _ := http.NewRequest(http.MethodPost, g.URL+"/", strings.NewReader(chat))
				req.Host = "a.example"
				res, err := g.Client().Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				_ = res.Body.Close()
				if res.StatusCode == http.StatusForbidden {
					denied.Add(1)
				} else {
					passed.Add(1)
				}
			}
		})
	}
	for i := range 300 {
		feed.report(gatewayState(u, denyHost(fmt.Sprint("ns/", i), "a.example")))
	}
	close(done)
	wait.Wait()
	if passed.Load() != 0 || denied.Load() == 0 {
		t.Errorf("%d requests passed, %d were denied", passed.Load(), denied.Load())
	}
}

// TestPoliciesJudgeByTheSnapshotThatRoutes holds that a path which is an endpoint for the
// request is one for policies, too, though the provider with that path is gone by now.
func TestPoliciesJudgeByTheSnapshotThatRoutes(t *testing.T) {
	u := newUpstream(t, answers("x"))
	deny := &authz.Policy{Name: "ns/chat", Action: authz.Deny, Rules: []*authz.Rule{{To: []*authz.Operation{{Paths: []string{"/v1/chat/completions"}}}}}}
	before := gatewayState(u, deny)
	before.Providers[0].Provider.(*openai.Provider).Path = "/own/generate"
	g, feed := newGoverned(t, before)
	r := httptest.NewRequest(http.MethodPost, "http://a.example/own/generate", strings.NewReader(chat))
	x := newExchange(g.handler, httptest.NewRecorder(), r)
	feed.report(gatewayState(u, deny))
	if x.authorize() == nil {
		t.Error("the policy does not hold for the request")
	}
	x.leaveSnapshot()
}
