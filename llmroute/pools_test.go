package llmroute

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/openai"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
	"github.com/caddy-llm/gateway/llmroute/filter"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// address is the upstream's host and port.
func (u *fakeProvider) address() string {
	at, _ := url.Parse(u.URL)
	return at.Host
}

// pooled is the JSON of a provider with these endpoints; more is further members.
func pooled(more string, endpoints ...string) string {
	return fmt.Sprintf(`{"kind":"openai","host":"own","scheme":"http","first_byte_timeout":"300ms","pool":{"metrics":"off","endpoints":["%s"]%s}}`,
		strings.Join(endpoints, `","`), more)
}

// refusing returns an address where connections are refused.
func refusing(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestPoolGoesOn holds that a request goes on to another endpoint, whatever the rule's
// attempts, and that the rule counts one attempt.
func TestPoolGoesOn(t *testing.T) {
	hangs := func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(10 * time.Second):
		}
	}
	cut := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	cutAfterHead := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(200)
		_ = http.NewResponseController(w).Flush()
		time.Sleep(20 * time.Millisecond)
		panic(http.ErrAbortHandler)
	}
	large := `{"messages":[{"role":"user","content":"` + strings.Repeat("x", 100_000) + `"}]}`
	for name, test := range map[string]struct {
		bad    http.HandlerFunc // nil: refuses connections
		body   string
		status int    // of the first response from the bad endpoint
		text   string // in it
	}{
		"connection refused":             {nil, chat, 200, "good"},
		"connection cut":                 {cut, chat, 200, "good"},
		"connection cut in a large body": {cut, large, 200, "good"},
		"connection cut after the head":  {cutAfterHead, chat, 200, "good"},
		"timeout before the first byte":  {hangs, chat, 200, "good"},
		"503":                            {fails(503), chat, 200, "good"},
		"200 with only an error":         {says(asJSON, `{"error":{"message":"no","code":500}}`), chat, 200, "good"},
		"200 with only a busy error":     {says(asJSON, `{"error":{"message":"no","code":503}}`), chat, 200, "good"},
		"200 with only a rate limit":     {says(asJSON, `{"error":{"message":"no","code":429}}`), chat, 200, "good"},
		"200 with a client's error":      {says(asJSON, `{"error":{"message":"no","code":400}}`), chat, 200, `"no"`},
		"200 with nothing":               {says(asJSON, ``), chat, 200, "good"},
		"200 without choices":            {says(asJSON, `{"choices":[]}`), chat, 200, "good"},
		"500 is passed on":               {fails(500), chat, 500, "provider says 500"},
		"429 is passed on":               {fails(429), chat, 429, "provider says 429"},
		"400 is passed on":               {fails(400), chat, 400, "provider says 400"},
	} {
		t.Run(name, func(t *testing.T) {
			var bad atomic.Int32
			address := refusing(t)
			if test.bad != nil {
				address = newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
					bad.Add(1)
					test.bad(w, r)
				}).address()
			}
			good := newUpstream(t, answers("good"))
			name := unique("pool")
			g := newGateway(t, providers(name, pooled(`,"affinity":"header","affinity_header":"X-S"`, address, good.address())),
				fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q}]}]}`, name))
			p := g.app.snapshot().providers[name]
			for i := 0; ; i++ {
				if i == 100 {
					t.Fatal("no session belongs to the bad endpoint")
				}
				res, body := g.post(t, test.body, "X-S", fmt.Sprint(i))
				failed := p.pool.View(time.Now(), 5)
				if test.bad != nil && bad.Load() == 0 || test.bad == nil && failed.Cooling == 0 {
					continue
				}
				if res.StatusCode != test.status || !strings.Contains(body, test.text) {
					t.Errorf("got %d %s, want %d with %q", res.StatusCode, body, test.status, test.text)
				}
				break
			}
			if got := p.state.Pauses.Until(time.Now()); !got.IsZero() && test.status != 429 {
				t.Error("the whole pool cools down because of one endpoint")
			}
		})
	}
}

const asJSON = "application/json"

// TestPoolOfBadResponses holds that a response is passed on as it is where no other
// endpoint is left to ask.
func TestPoolOfBadResponses(t *testing.T) {
	const bad = `{"error":{"message":"no","code":500}}`
	for _, n := range []int{1, 2, 3, 5} {
		var endpoints []string
		var all []*fakeProvider
		for range n {
			u := newUpstream(t, says(asJSON, bad))
			all, endpoints = append(all, u), append(endpoints, u.address())
		}
		name := unique("pool")
		g := newGateway(t, providers(name, pooled("", endpoints...)), fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q}]}]}`, name))
		res, body := g.post(t, chat)
		asked := 0
		for _, u := range all {
			asked += u.count()
		}
		if res.StatusCode != 200 || body != bad || asked != min(n, 3) {
			t.Errorf("%d endpoints: %d %s from %d of them", n, res.StatusCode, body, asked)
		}
	}
}

// TestErrorsOfOneEndpoint holds that errors of one endpoint, of whatever kind, cool down
// that one alone.
func TestErrorsOfOneEndpoint(t *testing.T) {
	for _, status := range []int{408, 429, 500, 502, 503, 520, 529} {
		bad, good := newUpstream(t, fails(status)), newUpstream(t, answers("good"))
		a, b := unique("pool"), unique("cloud")
		cloud := newUpstream(t, answers("cloud"))
		g := newGateway(t, providers(a, pooled(`,"affinity":"off"`, bad.address(), good.address()), b, cloud.provider("")), fmt.Sprintf(
			`{"rules":[{"backends":[{"provider":%q},{"provider":%q,"priority":1}]}]}`, a, b))
		for range 60 {
			g.post(t, chat)
		}
		state := g.app.snapshot().providers[a].state
		if n := bad.count(); n == 0 || n > 3 {
			t.Errorf("%d: the bad endpoint got %d of 60 requests", status, n)
		}
		if cloud.count() > 0 || !state.Pauses.Until(time.Now()).IsZero() {
			t.Errorf("%d: the whole pool cooled down, and the cloud got %d requests", status, cloud.count())
		}
	}
}

// retargeted counts the attempts that filters are asked about.
type retargeted struct{ recording }

var _ filter.Retargeter = (*retargeted)(nil)

func (s *retargeted) Next(_ context.Context, to *filter.Target, o *filter.Outcome) *llmprovider.Error {
	s.f.note("next %s after %d tokens", to.Provider, o.Usage.PromptTokens)
	return nil
}

type retargeter struct{ *recorder }

func (f retargeter) Begin(context.Context, *filter.Call) (filter.Step, *llmprovider.Error) {
	return &retargeted{recording{f: f.recorder}}, nil
}

// TestFiltersSeeEndpoints holds that filters charge what each endpoint of a pool used.
func TestFiltersSeeEndpoints(t *testing.T) {
	busy := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", asJSON)
		w.WriteHeader(503)
		_, _ = io.WriteString(w, `{"error":{"message":"no"},"usage":{"prompt_tokens":7,"completion_tokens":0,"total_tokens":7}}`)
	}
	one, two, good := newUpstream(t, busy), newUpstream(t, busy), newUpstream(t, answers("good"))
	name := unique("pool")
	g := newGateway(t, providers(name, pooled(`,"affinity":"off"`, one.address(), two.address(), good.address())),
		fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q}]}]}`, name))
	var log []string
	f := &recorder{name: "One", log: &log, ends: make(chan filter.Outcome, 1)}
	g.addFilter(retargeter{f})
	tries := 0
	for one.count()+two.count() < 2 {
		if tries++; tries > 50 {
			t.Fatal("the first two were never asked")
		}
		log = nil
		before := one.count() + two.count()
		g.post(t, chat)
		<-f.ends
		n := 0
		for _, line := range log {
			if strings.HasPrefix(line, "One next "+name+" after "+fmt.Sprint(7*(n+1))) {
				n++
			}
		}
		if want := one.count() + two.count() - before; n != want {
			t.Fatalf("%d further endpoints, and the filter was told %q", want, log)
		}
	}
}

func TestPoolBeforeOthers(t *testing.T) {
	dead, also := refusing(t), refusing(t)
	cloud := newUpstream(t, answers("cloud"))
	a, b := unique("pool"), unique("cloud")
	g := newGateway(t, providers(a, pooled("", dead, also), b, cloud.provider("")), fmt.Sprintf(
		`{"rules":[{"backends":[{"provider":%q},{"provider":%q,"priority":1}],"attempts":2}]}`, a, b))
	for i := range 3 {
		res, body := g.post(t, chat)
		if res.StatusCode != 200 || !strings.Contains(body, "cloud") {
			t.Errorf("request %d: %d %s", i, res.StatusCode, body)
		}
	}
	if view := g.app.snapshot().providers[a].pool.View(time.Now(), 5); view.Retries != 1 || view.Cooling != 2 {
		t.Errorf("%+v, want both endpoints tried once, and none again while they cool down", view)
	}
}

// TestPoolThatCoolsDown holds that a request whose endpoint refuses the connection goes on to
// one that cools down, if there is nothing else.
func TestPoolThatCoolsDown(t *testing.T) {
	good := newUpstream(t, answers("good"))
	a := unique("pool")
	g := newGateway(t, providers(a, pooled(`,"affinity":"header","affinity_header":"X-S"`, refusing(t), good.address())),
		fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q}]}]}`, a))
	p := g.app.snapshot().providers[a].pool
	for i := range 20 {
		v := p.Visit(false)
		for now := time.Now(); ; v.Done() {
			e, ok := v.Next(t.Context(), now)
			if !ok {
				break
			}
			e.Failed(now, now, 30*time.Second)
		}
		if res, body := g.post(t, chat, "X-S", fmt.Sprint(i)); res.StatusCode != 200 {
			t.Errorf("session %d: %d %s", i, res.StatusCode, body)
		}
	}
	dead := []string{refusing(t), refusing(t), refusing(t), refusing(t), refusing(t), refusing(t)}
	b := unique("pool")
	g = newGateway(t, providers(b, pooled("", dead...)), fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q}]}]}`, b))
	for range 2 {
		g.post(t, chat)
	}
	if view := g.app.snapshot().providers[b].pool.View(time.Now(), 0); view.Retries != 5+2 {
		t.Errorf("%d retries, want all endpoints tried, and later no more than three that cool down", view.Retries)
	}
}

func TestPoolWithoutEndpoints(t *testing.T) {
	cloud := newUpstream(t, answers("cloud"))
	a, b := unique("pool"), unique("cloud")
	const empty = `{"kind":"openai","host":"own","scheme":"http","pool":{"from":{"source":"multi"}}}`
	g := newGateway(t, providers(a, empty, b, cloud.provider("")), fmt.Sprintf(
		`{"rules":[{"name":"only","match":[{"header":{"X-Only":["1"]}}],"backends":[{"provider":%q}]},{"backends":[{"provider":%q},{"provider":%q,"priority":1}]}]}`, a, a, b))
	res, body := g.post(t, chat, "X-Only", "1")
	if res.StatusCode != 503 || !strings.Contains(body, "no_endpoint") {
		t.Errorf("got %d %s", res.StatusCode, body)
	}
	if res, body := g.post(t, chat); res.StatusCode != 200 || !strings.Contains(body, "cloud") {
		t.Errorf("got %d %s", res.StatusCode, body)
	}
}

func TestPoolKeepsConversations(t *testing.T) {
	var all []string
	upstreams := make(map[string]*fakeProvider)
	for i := range 6 {
		name := fmt.Sprint("server ", i)
		u := newUpstream(t, answers(name))
		upstreams[name] = u
		all = append(all, u.address())
	}
	name := unique("pool")
	g := newGateway(t, providers(name, pooled("", all...)), fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q}]}]}`, name))
	for conversation := range 10 {
		turns := fmt.Sprintf(`{"role":"user","content":"conversation %d"}`, conversation)
		_, first := g.post(t, `{"messages":[`+turns+`]}`)
		for range 5 {
			turns += `,{"role":"user","content":"and then?"}`
			if _, body := g.post(t, `{"messages":[`+turns+`]}`); body != first {
				t.Fatalf("the conversation moved: %s, was %s", body, first)
			}
		}
	}
	u := upstreams["server 0"]
	if u.count() > 0 {
		if seen := <-u.requests; seen.host != u.address() {
			t.Errorf("the endpoint was called as %s", seen.host)
		}
	}
	view := g.app.snapshot().providers[name].pool.View(time.Now(), 10)
	if view.Choices["prefix"] < 50 || view.Choices["load"] < 5 {
		t.Errorf("choices %v", view.Choices)
	}
}

// TestPoolOfASource holds that endpoints come and go without a new snapshot.
func TestPoolOfASource(t *testing.T) {
	one, two := newUpstream(t, answers("one")), newUpstream(t, answers("two"))
	state := func(endpoints ...string) *spec.State {
		p := new(openai.Provider)
		p.Host, p.Scheme, p.Pool = "own", "http", &upstream.Pool{Fed: true, Metrics: "off"}
		return &spec.State{
			Providers: []*spec.Provider{{Name: "ns/own", Origin: "test", Provider: p, Endpoints: endpoints}},
			Tables:    map[string][]*spec.Route{"mesh": {{Hosts: []string{"*"}, Rules: []*spec.Rule{{Backends: []*spec.Backend{{Provider: "ns/own"}}}}}}},
		}
	}
	g, feed := newLive(t, state())
	if res, body := g.post(t, chat); res.StatusCode != 503 || !strings.Contains(body, "no_endpoint") {
		t.Errorf("without endpoints: %d %s", res.StatusCode, body)
	}
	number := g.app.snapshot().number
	for _, u := range []*fakeProvider{one, two, one} {
		feed.report(state(u.address()))
		before := u.count()
		if res, body := g.post(t, chat); res.StatusCode != 200 || u.count() != before+1 {
			t.Errorf("%d %s", res.StatusCode, body)
		}
	}
	if now := g.app.snapshot(); now.number != number || now.state.Providers[0].Endpoints[0] != one.address() {
		t.Errorf("snapshot %d after %d, with %v", now.number, number, now.state.Providers[0].Endpoints)
	}
	changed := state(one.address())
	changed.Providers[0].Provider.(*openai.Provider).Path = "/other/chat/completions"
	feed.report(changed)
	if res, body := g.post(t, chat); res.StatusCode != 200 || g.app.snapshot().number == number {
		t.Errorf("another path: %d %s, snapshot %d", res.StatusCode, body, g.app.snapshot().number)
	}
	var seen seen
	for len(one.requests) > 0 {
		seen = <-one.requests
	}
	if seen.path != "/other/chat/completions" {
		t.Errorf("path %s", seen.path)
	}
}

func TestPoolListsModels(t *testing.T) {
	u := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"data":[{"id":"llama"}]}`) })
	name := unique("pool")
	g := newGateway(t, providers(name, pooled("", u.address())), fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q}]}]}`, name))
	res, err := g.Client().Get(g.URL + "/v1/models")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, _ := io.ReadAll(res.Body); res.StatusCode != 200 || !strings.Contains(string(body), `"llama"`) {
		t.Errorf("got %d %s", res.StatusCode, body)
	}
}
