package llmroute

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/internal/host"
	"github.com/caddy-llm/gateway/llmprovider/kind"
	"github.com/caddy-llm/gateway/llmprovider/openai"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
	"github.com/caddy-llm/gateway/llmroute/authz"
	"github.com/caddy-llm/gateway/llmroute/listen"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// readRule is a rule of a route, which its provider is told by.
type readRule struct{ host, header, value string }

// The rules, of which the first for a host that matches is taken. The provider of
// rule i has the path /ri/chat/completions.
var readRules = []readRule{
	{"a.com", "user-type", "subscriber"}, {"a.com", "user-type", "basic"}, {"a.com", "", ""},
	{"*.b.com", "x-team", "blue"}, {"*.b.com", "", ""},
	{"[2001:db8::1]", "", ""},
	{"*", "user-type", "subscriber"}, {"*", "", ""},
}

// ownRule is the rule whose provider has a path of its own.
const ownRule = 5

// readWorld is a gateway that listens for two Gateways at one address, with a provider
// and an external authorization that remember what they got.
type readWorld struct {
	t       *testing.T
	address string
	feed    *testFeed
	u       *fakeProvider
	asked   chan seen
	state   *spec.State
}

func newReadWorld(t *testing.T) *readWorld {
	t.Helper()
	w := &readWorld{t: t, address: freeAddress(t), asked: make(chan seen, 10_000), u: newUpstream(t, answers("x"))}
	service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		w.asked <- seen{r.URL.Path, r.URL.RawQuery, r.Host, r.Header, ""}
	}))
	t.Cleanup(service.Close)
	at, _ := url.Parse(w.u.URL)
	port, _ := strconv.Atoi(at.Port())
	ext, _ := url.Parse(service.URL)
	extPort, _ := strconv.Atoi(ext.Port())
	w.state = &spec.State{Tables: map[string][]*spec.Route{"T": nil}, Listeners: []*listen.Listener{{
		Address: w.address, Port: 80, Servers: []*listen.Server{
			{Hosts: []string{"a.com", "*.b.com"}, Gateway: "ns/one", Table: "T"},
			{Hosts: []string{"*"}, Gateway: "ns/two", Table: "T", Port: 8080},
		},
	}}}
	for i, rule := range readRules {
		name := unique("reader")
		w.state.Providers = append(w.state.Providers, &spec.Provider{Name: name, Origin: name, Provider: &openai.Provider{Base: kind.Base{
			Connection: upstream.Connection{Host: at.Hostname(), Scheme: "http", Port: port}, Path: fmt.Sprintf("/r%d/chat/completions", i),
		}}})
		if i == ownRule {
			w.state.Providers[i].Provider.(*openai.Provider).Path = fmt.Sprintf("/r%d/generate", i)
		}
		ready := &spec.Rule{Name: fmt.Sprint("r", i), Backends: []*spec.Backend{{Provider: name}}}
		if rule.header != "" {
			ready.MatcherSetsRaw = append(ready.MatcherSetsRaw, caddy.ModuleMap{"llm_header": fmt.Appendf(nil, `{%q:{"exact":%q}}`, rule.header, rule.value)})
		}
		routes := w.state.Tables["T"]
		if n := len(routes); n == 0 || routes[n-1].Hosts[0] != rule.host {
			routes = append(routes, &spec.Route{Hosts: []string{rule.host}, Origin: name})
		}
		last := routes[len(routes)-1]
		last.Rules = append(last.Rules, ready)
		w.state.Tables["T"] = routes
	}
	w.state.Authorization = &authz.Config{ExtAuthz: map[string]*authz.ExtAuthz{"asked": {
		Service: ext.Hostname(), Port: extPort, IncludeRequestHeadersInCheck: []string{"user-type", "x-team", "x-llm-*"},
	}}}
	key := unique("feed")
	w.feed = &testFeed{first: w.with()}
	testFeeds.Store(key, w.feed)
	app := provisioned(t, fmt.Sprintf(`{"status_listen":"off","source":{"source":"test","key":%q}}`, key))
	if err := app.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = app.Stop()
		_ = app.Cleanup()
	})
	return w
}

// with is the state with policies beside the one that asks about every request.
func (w *readWorld) with(policies ...*authz.Policy) *spec.State {
	state := *w.state
	config := *w.state.Authorization
	config.Policies = append(policies, &authz.Policy{Name: "ask", Action: authz.Custom, Provider: "asked", Rules: []*authz.Rule{{}}})
	state.Authorization = &config
	return &state
}

// send sends the head of a request, with a body that it has not, and returns the
// answer.
func (w *readWorld) send(head string) (int, string) {
	w.t.Helper()
	c, err := net.Dial("tcp", w.address)
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := fmt.Fprintf(c, "%sContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", head, len(chat), chat); err != nil {
		w.t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(body)
}

// randomHead is the head of a request, up to further headers.
func randomHead(g *rand.Rand) string {
	pick := func(values ...string) string { return values[g.IntN(len(values))] }
	name := pick("a.com", "a.com", "x.b.com", "b.com", "other.com", "[2001:db8::1]", "2001:db8::1", "[2001:DB8:0::1]", "[a.com]", "[a.com", "a.com]", "[::1]", "a.com%20", "user@a.com", "")
	if g.IntN(4) == 0 {
		name = strings.ToUpper(name)
	}
	authority := name + pick("", "", ".", "..") + pick("", "", ":80", ":", ":8080", ":http", ":80:80")
	path := pick("", "/v1", "/v1", "/v1", "/V1", "/v1/chat", "/v1/x/..", "/v1/.", "/%76%31", "/compatible-mode/v1", "/r0", "/openai", "/openai/deployments/x") +
		pick("/", "//", "%2F", `\`) + pick("embeddings", "chat/completions", "chat/completions", "Embeddings", "responses", "rerank", "models", "x", "%65mbeddings", "") + pick("", "", "/", "%2F", "?a=b", ";x", "/.", "/..")
	if g.IntN(2) == 0 {
		path = pick("/", "/v1/chat/completions", "/chat/completions/", "/v1/embeddings", "/embeddings", "/v2/embeddings/", "/openai/deployments/x/embeddings", "/x/v1/responses",
			"/v1/models", "/models/", "/openai/models/x")
	}
	if g.IntN(6) == 0 {
		path = fmt.Sprintf("/r%d/generate", ownRule) + pick("", "/")
	}
	if path[0] != '/' {
		path = "/" + path
	}
	target := path
	if g.IntN(5) == 0 {
		target, authority = pick("http://", "http://u:p@")+authority+path, pick("a.com", "other.com")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", pick("POST", "POST", "POST", "POST", "GET"), target, authority)
	if g.IntN(4) == 0 {
		b.WriteString("X-Llm-Endpoint: /v1/models\r\n")
	}
	for _, header := range []string{"user-type", "User-Type", "x-team"} {
		for range g.IntN(3) {
			fmt.Fprintf(&b, "%s: %s\r\n", header, pick("subscriber", "basic", "blue", "x", "", "x, subscriber", "basic,subscriber", "Subscriber"))
		}
	}
	for range g.IntN(3) {
		fmt.Fprintf(&b, "Connection: %s\r\n", pick("user-type", "USER-TYPE , x-team", "keep-alive", "x, user-type", "\tx-team", "content-type", "connection, host", "user_type"))
	}
	return b.String()
}

// TestOneReading holds for random hosts, headers and paths that what reaches a rule
// is judged by a policy on the rule's host and header, the endpoint that was called
// and the port, and is seen alike by external authorization.
func TestOneReading(t *testing.T) {
	w := newReadWorld(t)
	reached, models, rules := 0, 0, make(map[string]int)
	for seed := range uint64(1500) {
		g := rand.New(rand.NewPCG(seed, 7))
		head := randomHead(g)
		w.feed.report(w.with())
		status, body := w.send(head)
		if strings.HasPrefix(head, "GET ") || len(w.u.requests) == 0 { // rejected, or answered by the gateway itself
			if status == http.StatusForbidden || status >= 500 {
				t.Fatalf("%d %s\n%s", status, body, head)
			}
			if status == http.StatusOK {
				models++
				w.feed.report(w.with(&authz.Policy{Name: "models", Action: authz.Deny, Rules: []*authz.Rule{{To: []*authz.Operation{{Paths: []string{"/v1/models", "/v1/models/*"}}}}}}))
				if status, body := w.send(head); status != http.StatusForbidden {
					t.Fatalf("the policy on /v1/models: %d %s\n%s", status, body, head)
				}
			}
			drain(w.asked)
			drain(w.u.requests)
			continue
		}
		reached++
		got, asked := <-w.u.requests, <-w.asked
		number, suffix, _ := strings.Cut(strings.TrimPrefix(got.path, "/r"), "/")
		rules[number]++
		if suffix == "generate" {
			suffix = "chat/completions"
		}
		i, err := strconv.Atoi(number)
		if err != nil {
			t.Fatalf("the provider got %s", got.path)
		}
		for _, name := range []string{"User-Type", "X-Team"} {
			if !slices.Equal(asked.header[name], got.header[name]) {
				t.Fatalf("external authorization got %s %q, the provider %q\n%s", name, asked.header[name], got.header[name], head)
			}
		}
		if endpoint := asked.header["X-Llm-Endpoint"]; !slices.Equal(endpoint, []string{"/v1/" + suffix}) {
			t.Fatalf("external authorization got the endpoint %q, the provider /v1/%s\n%s", endpoint, suffix, head)
		}
		if name, ok := host.Name(asked.host); !ok || host.InURL(name) != asked.host {
			t.Fatalf("external authorization got the host %q\n%s", asked.host, head)
		}

		deny := &authz.Rule{To: []*authz.Operation{{Hosts: []string{readRules[i].host}, Paths: []string{"/v1/" + suffix}, Ports: []string{"80"}}}}
		if i >= 5 {
			deny.To[0].Ports = []string{"8080"}
		}
		if readRules[i].header != "" {
			deny.When = []*authz.Condition{{Key: "request.headers[" + readRules[i].header + "]", Values: []string{readRules[i].value}}}
		}
		policies := []*authz.Policy{{Name: "deny", Action: authz.Deny, Rules: []*authz.Rule{deny}}}
		others := &authz.Policy{Name: "allow", Rules: []*authz.Rule{{To: []*authz.Operation{{NotHosts: []string{readRules[i].host}}}}}}
		if readRules[i].header != "" {
			others.Rules = append(others.Rules,
				&authz.Rule{When: []*authz.Condition{{Key: "request.headers[" + readRules[i].header + "]", NotValues: []string{readRules[i].value}}}},
				&authz.Rule{When: []*authz.Condition{{Key: "request.headers[" + readRules[i].header + "]", Values: []string{"other", "x*", "*e2", "Sub*"}}}})
		}
		others.Rules = append(others.Rules, &authz.Rule{To: []*authz.Operation{{NotPaths: []string{"/v1/" + suffix}}}})
		for _, all := range []*authz.Operation{{Hosts: []string{"*"}}, {Paths: []string{"*"}}, {Methods: []string{"*"}}} {
			policies = append(policies, &authz.Policy{Name: "all", Action: authz.Deny, Rules: []*authz.Rule{{To: []*authz.Operation{all}}}})
		}
		for _, policy := range append(policies, others) {
			w.feed.report(w.with(policy))
			status, body := w.send(head)
			if status != http.StatusForbidden || body != "RBAC: access denied" || len(w.u.requests) > 0 {
				t.Fatalf("the policy %s on rule %d and /v1/%s: %d %s\n%s", policy.Name, i, suffix, status, body, head)
			}
			<-w.asked
		}
	}
	t.Logf("%d requests reached the rules %v, %d asked for models", reached, rules, models)
	if reached < 100 || models < 3 || len(rules) < len(readRules)-1 {
		t.Errorf("only %d requests reached rules %v; that tests little", reached, rules)
	}
}

func drain(c chan seen) {
	for len(c) > 0 {
		<-c
	}
}

// TestHostsThatAreRejected holds that a host that could be read in two ways, or none, is
// no request, whatever the policies.
func TestHostsThatAreRejected(t *testing.T) {
	w := newReadWorld(t)
	site := newGateway(t, providers("p", w.u.provider("")), `{"rules":[{"backends":[{"provider":"p"}]}]}`)
	for _, host := range []string{"[a.com]", "[a.com]:80", "[A.com.]:80", "a.com]", "[a.com", "[127.0.0.1]", "[]", "a.com:80:80", "", ":80", ".", "..:"} {
		status, body := w.send("POST / HTTP/1.1\r\nHost: " + host + "\r\n")
		if status != http.StatusBadRequest || body != "" && !strings.Contains(body, `"code":"invalid_host"`) { // it has none if Caddy refuses the host first
			t.Errorf("%s at a Gateway: %d %s", host, status, body)
		}
		if host == "" {
			continue // the client would send another one
		}
		if res, body := site.post(t, chat, "Host", host); res.StatusCode != http.StatusBadRequest || !strings.Contains(body, `"code":"invalid_host"`) {
			t.Errorf("%s at a site: %d %s", host, res.StatusCode, body)
		}
	}
	c, err := net.Dial("tcp", w.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := fmt.Fprintf(c, "POST / HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s", len(chat), chat); err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(c); !strings.Contains(string(body), `"code":"invalid_host"`) {
		t.Errorf("HTTP/1.0 without a host: %s", body)
	}
	if len(w.u.requests)+len(w.asked) > 0 {
		t.Error("one of them was passed on")
	}
}

// TestPoliciesOfOneGateway holds that a policy for one Gateway holds for the requests that may
// have come in by it, also where another one shares the address and has the host.
func TestPoliciesOfOneGateway(t *testing.T) {
	w := newReadWorld(t)
	for gateway, refused := range map[string]map[string]bool{
		"ns/one": {"a.com": true, "x.b.com": true, "other.com": false}, "ns/two": {"a.com": true, "x.b.com": true, "other.com": true}, "ns/three": {"a.com": false, "other.com": false},
	} {
		w.feed.report(w.with(&authz.Policy{Name: "deny", Action: authz.Deny, Gateways: []string{gateway}, Rules: []*authz.Rule{{}}}))
		for host, want := range refused {
			if status, body := w.send("POST / HTTP/1.1\r\nHost: " + host + "\r\n"); (status == http.StatusForbidden) != want {
				t.Errorf("a policy of %s, a request to %s: %d %s", gateway, host, status, body)
			}
		}
	}
}

// TestAClientIsNoProxyOfAMesh holds that policies do not believe what a client says in the
// headers by which the proxies of a mesh tell who is calling.
func TestAClientIsNoProxyOfAMesh(t *testing.T) {
	w := newReadWorld(t)
	for _, name := range []string{"X-Forwarded-Client-Cert", "x-envoy-external-address"} {
		w.feed.report(w.with(&authz.Policy{Name: "allow", Rules: []*authz.Rule{{When: []*authz.Condition{{Key: "request.headers[" + name + "]", Values: []string{"URI=spiffe://a*"}}}}}}))
		if status, body := w.send("POST / HTTP/1.1\r\nHost: a.com\r\n" + name + ": URI=spiffe://a/ns/b/sa/c\r\n"); status != http.StatusForbidden {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
}

// Policies of the source hold at listeners of the configuration, too, if they route by
// a Gateway's table.
func TestPoliciesHoldAtListenersOfTheConfiguration(t *testing.T) {
	s := &snapshot{state: &spec.State{Tables: map[string][]*spec.Route{"ns/gw": nil, "ns/other": {{Hosts: []string{"*"}}}}}}
	for table, want := range map[string]bool{"ns/other": true, "ns/gw": false, "mesh": false, "": false, "own": false} {
		l := listen.NewLive(&listen.Listener{Address: ":1"})
		l.AddServer(&listen.Server{Hosts: []string{"*"}, Table: table}, 0, s.governed)
		if l.Governs != want {
			t.Errorf("table %q: policies hold: %v", table, l.Governs)
		}
	}
}
