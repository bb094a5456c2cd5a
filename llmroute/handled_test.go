package llmroute

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/llmroute/authz"
	"github.com/caddy-llm/gateway/llmroute/spec"
	"github.com/caddy-llm/gateway/llmroute/status"
)

// serviceState is a state whose Gateway has a Service at / and a provider at /v1, with policies.
func serviceState(u *fakeProvider, service string, policies ...*authz.Policy) *spec.State {
	state := gatewayState(u, policies...)
	if len(policies) == 0 {
		state.Authorization = nil
	}
	route := state.Tables["ns/gw"][0].Copy()
	llm := route.Rules[0]
	llm.MatcherSetsRaw = append(llm.MatcherSetsRaw, caddy.ModuleMap{"llm_http_route": json.RawMessage(`{"path_prefix":"/v1"}`)})
	route.Rules = append(route.Rules, &spec.Rule{Name: "web", HandlerRaw: json.RawMessage(`{"handler":"llm_http_route","services":[{"name":"app/web:80","endpoints":["` + service + `"]}]}`)})
	state.Tables["ns/gw"] = []*spec.Route{route}
	return state
}

// startService is a plain server that counts what it got.
func startService(t *testing.T) (address string, got *int) {
	t.Helper()
	got = new(int)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*got++
		fmt.Fprintf(w, "%s auth=%q", r.RequestURI, r.Header.Get("Authorization"))
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://"), got
}

// raw sends a request line as it is, with the host a.example, and returns the status.
func (g *gateway) raw(t *testing.T, method, target string, header ...string) string {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(g.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n%s\r\n", method, target, strings.Join(append(header, ""), "\r\n"))
	data, _ := io.ReadAll(conn)
	_, status, _ := strings.Cut(string(data), " ")
	return status[:3]
}

func TestServiceBesideAProvider(t *testing.T) {
	u := newUpstream(t, answers("x"))
	service, got := startService(t)
	g, _ := newGoverned(t, serviceState(u, service))
	for target, want := range map[string]string{"/": "200", "/a/b?c": "200", "/v1/other": "404", "x:http://a.example/": "400"} {
		if status := g.raw(t, http.MethodGet, target); status != want {
			t.Errorf("%s: %s, want %s", target, status, want)
		}
	}
	if *got != 2 {
		t.Errorf("the service got %d requests, want 2", *got)
	}
	if res, body := g.post(t, chat, "Host", "a.example"); res.StatusCode != http.StatusOK || len(u.requests) != 1 {
		t.Errorf("a chat: %d %s", res.StatusCode, body)
	}
	if status := g.raw(t, http.MethodGet, "/page", "Sec-Fetch-Site: cross-site"); status != "200" {
		t.Errorf("a link of another site to the service: %s", status)
	}
	if status := g.raw(t, http.MethodPost, "/v1/chat/completions", "Sec-Fetch-Site: cross-site", "Content-Length: 0"); status != "403" {
		t.Errorf("a page of another site that asks the provider: %s", status)
	}
	view := status.ViewOf(g.app)
	for _, r := range view.Routes {
		if r.Table == "ns/gw" && (len(r.Rules) != 2 || len(r.Rules[1].Targets) != 1 || r.Rules[1].Targets[0].Name != "app/web:80") {
			t.Errorf("the admin endpoint shows %+v", r)
		}
	}
}

// TestNoWayPastAPolicyToAService holds that a Service gets no request for a path that a policy
// keeps from it, however that is written, and all others.
func TestNoWayPastAPolicyToAService(t *testing.T) {
	paths := func(action authz.Action, list ...string) *authz.Policy {
		return &authz.Policy{Name: "ns/p", Action: action, Rules: []*authz.Rule{{To: []*authz.Operation{{Paths: list}}}}}
	}
	forms := []string{
		"/admin", "/admin/x", "//admin", "///admin/x", "/%61dmin", "/x/../admin", "/x/%2e%2e/admin", "/./admin", "/x/..%2Fadmin", `/x\..\admin`, "/x%5c..%5cadmin", "/x/..;/admin",
		"/%2Fadmin", "/admin?x", "/admin#x", "/admin%23", "/x//../admin", "/admin//", "/x/.././/admin", "http://a.example//admin",
		"x:http://a.example/admin", "x:http://a.example//admin", "x:/admin", "http:admin", "http:a.example/admin",
	}
	for name, policy := range map[string]*authz.Policy{"deny": paths(authz.Deny, "/admin*"), "allow": paths(authz.Allow, "/public*")} {
		t.Run(name, func(t *testing.T) {
			u := newUpstream(t, answers("x"))
			service, got := startService(t)
			g, _ := newGoverned(t, serviceState(u, service, policy))
			for _, target := range forms {
				if status := g.raw(t, http.MethodGet, target); status != "403" && status != "400" {
					t.Errorf("%s: %s", target, status)
				}
			}
			if name == "allow" {
				for _, target := range []string{"/x", "/public/../x", "/public/%2e%2e/x", "//x", "/public/..;/x", `/public\..\x`, "/public/..%2Fx"} {
					if status := g.raw(t, http.MethodGet, target); status != "403" && status != "400" {
						t.Errorf("%s: %s", target, status)
					}
				}
			}
			if *got != 0 {
				t.Errorf("the service got %d requests", *got)
			}
			for _, target := range []string{"/public", "/public//x", "/public/a%2Fb", "/public/..x"} {
				if status := g.raw(t, http.MethodGet, target); status != "200" {
					t.Errorf("%s: %s, want 200", target, status)
				}
			}
		})
	}
}

// TestServiceChanges has the endpoint of a Service replaced: requests go to the new one, and
// the rule's connections end with it.
func TestServiceChanges(t *testing.T) {
	u := newUpstream(t, answers("x"))
	first, gotFirst := startService(t)
	second, gotSecond := startService(t)
	g, feed := newGoverned(t, serviceState(u, first))
	for i := range 5 {
		if status := g.raw(t, http.MethodGet, "/"); status != "200" {
			t.Fatal(status)
		}
		feed.report(serviceState(u, []string{second, first}[i%2]))
	}
	if *gotFirst != 3 || *gotSecond != 2 {
		t.Errorf("the services got %d and %d requests", *gotFirst, *gotSecond)
	}
}

// TestServiceWithOtherPaths holds that a path which none of a host's rules takes is not found
// where these lead to Services.
func TestServiceWithOtherPaths(t *testing.T) {
	u := newUpstream(t, answers("x"))
	service, _ := startService(t)
	s := serviceState(u, service)
	rules := s.Tables["ns/gw"][0].Rules
	handled := rules[len(rules)-1]
	handled.MatcherSetsRaw = []caddy.ModuleMap{{"path": []byte(`["/one"]`)}}
	s.Tables["ns/gw"][0].Rules = []*spec.Rule{handled}
	g, _ := newGoverned(t, s)
	for target, want := range map[string]string{"/one": "200", "/one/more": "404", "/v1/files": "404"} {
		if status := g.raw(t, http.MethodGet, target); status != want {
			t.Errorf("%s: %s, want %s", target, status, want)
		}
	}
}

func TestRulesWithHandlers(t *testing.T) {
	const app = `{"status_listen":"off","providers":{"p":{"kind":"openai","host":"a.example"}}}`
	for rules, want := range map[string]string{
		`[{"handle":{"handler":"static_response"}}]`:                                 "",
		`[{"handle":{"handler":"static_response"},"backends":[{"provider":"p"}]}]`:   "has no backends",
		`[{"handle":{"handler":"static_response"},"guards":["g"]}]`:                  "has no backends",
		`[{"handle":{"handler":"nonesuch"}}]`:                                        "loading the handler",
		`[{"handle":{"handler":"llm_http_route","services":[{"endpoints":["x"]}]}}]`: "no address",
	} {
		if _, err := tryGateway(t, app, `{"rules":`+rules+`}`); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", rules, err, want)
		}
	}
	g := newGateway(t, app, `{"rules":[{"match":[{"llm_model":{"models":["m"]}}],"backends":[{"provider":"p"}]},{"handle":{"handler":"static_response","status_code":418}}]}`)
	if status := g.raw(t, http.MethodGet, "/x"); status != "404" {
		t.Errorf("a request that is no LLM request, after a rule that matches by model: %s", status)
	}
	if res, _ := g.post(t, chat); res.StatusCode != http.StatusTeapot {
		t.Errorf("a chat for another model: %d", res.StatusCode)
	}
	if status := g.raw(t, http.MethodGet, "/v1/responses/resp_1"); status != "418" {
		t.Errorf("a stored response, after a rule that matches by model: %s", status)
	}
}
