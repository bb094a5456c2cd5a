package llmroute

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-llm/gateway/llmroute/cache"
	"github.com/caddy-llm/gateway/llmroute/virtualkey"
)

// caching is a gateway whose rule has a cache. The header X-Client stands for a virtual key.
type caching struct {
	*gateway
	t    *testing.T
	rule string
}

func newCaching(t *testing.T, app, handler string) *caching {
	t.Helper()
	g := newGateway(t, app, handler)
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, new(caddyhttp.Server))
		if name := r.Header.Get("X-Client"); name != "" {
			r.Header.Del("X-Client")
			name, realm, _ := strings.Cut(name, "@")
			caddyhttp.SetVar(r.Context(), virtualkey.ClientVar, &virtualkey.Client{Name: name, Realm: realm})
		}
		if err := g.handler.ServeHTTP(w, r, next); err != nil {
			w.WriteHeader(599)
		}
	}))
	t.Cleanup(g.Close)
	return &caching{gateway: g, t: t}
}

// cached is a gateway with one provider and a rule that uses the cache.
func cached(t *testing.T, u *fakeProvider, config, rule string) *caching {
	t.Helper()
	p := unique("p")
	app := strings.TrimSuffix(providers(p, u.provider("")), "}") + `,"cache":` + config + `}`
	name := unique("rule")
	c := newCaching(t, app, fmt.Sprintf(`{"rules":[{"name":%q,"cache":%s,"backends":[{"provider":%q}]}]}`, name, rule, p))
	c.rule = name
	return c
}

// reply is a response to a test's request.
type reply struct {
	status       int
	body         string
	header       http.Header
	cache, about string
}

func (c *caching) ask(path, body string, headers ...string) reply {
	c.t.Helper()
	return c.askContext(context.Background(), path, body, headers...)
}

func (c *caching) askContext(ctx context.Context, path, body string, headers ...string) reply {
	c.t.Helper()
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, c.URL+path, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Client", "alice")
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
		} else {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	res, err := c.Client().Do(req)
	if err != nil {
		return reply{body: err.Error()}
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return reply{body: err.Error()}
	}
	return reply{status: res.StatusCode, body: string(data), header: res.Header, cache: res.Header.Get("Cache-Status"), about: res.Header.Get("Age")}
}

// view is what the cache has done for the rule.
func (c *caching) view() cache.RuleView {
	for _, v := range c.app.metrics.CacheStats().Rules() {
		if v.Rule == c.rule {
			return v
		}
	}
	return cache.RuleView{}
}

// waitFor waits until something is so.
func waitFor(t *testing.T, what func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !what(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come to that")
		}
	}
}

// numbered answers with another text each time.
func numbered() http.HandlerFunc {
	var n atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) { answers(fmt.Sprint(n.Add(1)))(w, r) }
}

const question = `{"model":"m","messages":[{"role":"user","content":"hi"}]}`

// TestCacheHits holds that an equal request gets the same response without the provider,
// and what the client is told of it.
func TestCacheHits(t *testing.T) {
	u := newUpstream(t, numbered())
	c := cached(t, u, `{}`, `{}`)
	first := c.ask("/v1/chat/completions", question)
	if first.status != 200 || first.cache != "llm; fwd=miss" || first.about != "" {
		t.Fatalf("%+v", first)
	}
	second := c.ask("/v1/chat/completions", ` {"messages":[{"role":"user","content":"hi"}], "model":"m" }`)
	if second.status != 200 || second.body != first.body || !strings.HasPrefix(second.cache, "llm; hit; ttl=3") || second.about != "0" || u.count() != 1 {
		t.Fatalf("%+v after %d requests", second, u.count())
	}
	if second.header.Get("Content-Type") != "application/json" || second.header.Get("Content-Length") != fmt.Sprint(len(first.body)) {
		t.Errorf("the header is %v", second.header)
	}
	if v := c.view(); v.Hits != 1 || v.Missed != 1 || v.Stored != 1 || v.SavedPromptTokens != 11 || v.SavedCompletionTokens != 85 {
		t.Errorf("%+v", v)
	}
}

// TestCacheTellsClientsApart holds that no client gets another's response unless the
// scope says so, and that a request of nobody is not cached.
func TestCacheTellsClientsApart(t *testing.T) {
	for _, test := range []struct {
		scope string
		hits  [4]bool // of bob, of alice in another realm, of nobody, of nobody again
	}{
		{"client", [4]bool{}}, {"route", [4]bool{true, false, false, true}}, {"everyone", [4]bool{true, true, true, true}}, {"workload", [4]bool{}},
	} {
		u := newUpstream(t, numbered())
		c := cached(t, u, `{"scope":"`+test.scope+`"}`, `{}`)
		c.ask("", question, "X-Client", "alice@keys")
		for i, client := range []string{"bob@keys", "alice@other", "", ""} {
			got := c.ask("", question, "X-Client", client)
			if hit := strings.Contains(got.cache, "; hit"); hit != test.hits[i] || got.status != 200 {
				t.Errorf("%s: client %q: %+v", test.scope, client, got)
			}
		}
	}
}

// TestCacheStreams holds that a stream is stored as the events it came in and that a plain
// response is not given in its place.
func TestCacheStreams(t *testing.T) {
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if !strings.Contains(string(body), `"stream":true`) {
			answers("plain")(w, r)
			return
		}
		send := streams(w)
		send("data: {\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n")
		send("data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n")
		send("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n")
		send("data: [DONE]\n\n")
	})
	c := cached(t, u, `{}`, `{}`)
	const streamed = `{"model":"m","stream":true,"messages":[]}`
	first, second := c.ask("", streamed), c.ask("", streamed)
	if first.body != second.body || !strings.Contains(second.cache, "hit") || u.count() != 1 || !strings.HasSuffix(second.body, "data: [DONE]\n\n") ||
		second.header.Get("Content-Type") != "text/event-stream" || strings.Contains(second.body, "usage") {
		t.Fatalf("%+v then %+v", first, second)
	}
	if v := c.view(); v.SavedPromptTokens != 3 || v.SavedCompletionTokens != 4 {
		t.Errorf("%+v", v)
	}
	if plain := c.ask("", `{"model":"m","messages":[]}`); strings.Contains(plain.cache, "hit") {
		t.Errorf("%+v", plain)
	}
	usage := c.ask("", `{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[]}`)
	if strings.Contains(usage.cache, "hit") || !strings.Contains(usage.body, "usage") {
		t.Errorf("%+v", usage)
	}
}

// TestCacheKeepsNothing holds what is not stored.
func TestCacheKeepsNothing(t *testing.T) {
	event := func(s ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			send := streams(w)
			for _, s := range s {
				send("data: " + s + "\n\n")
			}
		}
	}
	const chunk = `{"model":"m","choices":[{"index":0,"delta":{"content":"a"}}]}`
	text := func(contentType, body string, headers ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			for i := 0; i+1 < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			_, _ = io.WriteString(w, body)
		}
	}
	const good = `{"model":"m","choices":[{"index":0,"message":{"content":"a"},"finish_reason":"stop"}]}`
	for name, answer := range map[string]http.HandlerFunc{
		"429":               fails(429),
		"500":               fails(500),
		"error in 200":      text("application/json", `{"error":{"message":"oops"}}`),
		"no choices":        text("application/json", `{"choices":[]}`),
		"cut JSON":          text("application/json", good[:len(good)-5]),
		"no JSON":           text("application/json", `{"choices":[{"a"}]}`),
		"no-store":          text("application/json", good, "Cache-Control", "private, no-store"),
		"HTML":              text("text/html", "<html>"),
		"unknown type":      text("application/octet-stream", good),
		"finish error":      text("application/json", strings.Replace(good, `"stop"`, `"error"`, 1)),
		"too large":         text("application/json", strings.Replace(good, `"a"`, `"`+strings.Repeat("a", 1<<20)+`"`, 1)),
		"no end":            event(chunk),
		"finish, no end":    event(chunk, `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`),
		"error in stream":   event(chunk, `{"error":{"message":"oops"}}`, "[DONE]"),
		"cut in the stream": func(w http.ResponseWriter, r *http.Request) { event(chunk)(w, r); panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			u := newUpstream(t, answer)
			c := cached(t, u, `{}`, `{}`)
			body := question
			if strings.Contains(name, "stream") || strings.Contains(name, "end") {
				body = `{"model":"m","stream":true,"messages":[]}`
			}
			for range 2 {
				if got := c.ask("", body); strings.Contains(got.cache, "hit") {
					t.Errorf("%+v", got)
				}
			}
			if v := c.view(); v.Stored != 0 || v.Missed != 2 || u.count() < 2 {
				t.Errorf("%+v after %d requests", v, u.count())
			}
		})
	}
}

// shouting changes the values of a header in place, as Caddy's handler headers does.
type shouting struct{ http.ResponseWriter }

func (w shouting) WriteHeader(status int) {
	for _, values := range w.Header() {
		for i := range values {
			values[i] += "!"
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

// TestCacheEntriesStay holds that what handlers of the site do to a response's header is
// neither stored nor does it change what is.
func TestCacheEntriesStay(t *testing.T) {
	c := cached(t, newUpstream(t, numbered()), `{}`, `{}`)
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	for range 3 {
		r := httptest.NewRequest(http.MethodPost, "http://localhost/v1/chat/completions", strings.NewReader(question))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, new(caddyhttp.Server))
		caddyhttp.SetVar(r.Context(), virtualkey.ClientVar, &virtualkey.Client{Name: "alice"})
		if err := c.handler.ServeHTTP(shouting{w}, r, next); err != nil {
			t.Fatal(err)
		}
		if got := w.Header().Get("Content-Type"); got != "application/json!" {
			t.Errorf("the client gets %s", got)
		}
	}
	if v := c.view(); v.Hits != 2 {
		t.Errorf("%+v", v)
	}
}

// TestCacheControl holds what clients may say of the cache.
func TestCacheControl(t *testing.T) {
	u := newUpstream(t, numbered())
	c := cached(t, u, `{}`, `{}`)
	for _, step := range []struct{ control, status, text string }{
		{"only-if-cached", "llm; fwd=miss", "not_cached"},
		{"no-store", "llm; fwd=bypass; detail=no-store", `"1"`},
		{"", "llm; fwd=miss", `"2"`},
		{"only-if-cached", "llm; hit", `"2"`},
		{"max-age=60", "llm; hit", `"2"`},
		{"min-fresh=4000", "llm; fwd=miss", `"3"`},
		{"no-cache", "llm; fwd=request", `"4"`},
		{"no-cache, only-if-cached", "llm; fwd=miss", "not_cached"},
		{"", "llm; hit", `"4"`},
		{"no-store", "llm; fwd=bypass", `"5"`},
		{"", "llm; hit", `"4"`},
	} {
		got := c.ask("", question, "Cache-Control", step.control)
		if !strings.HasPrefix(got.cache, step.status) || !strings.Contains(got.body, step.text) {
			t.Errorf("%q: %+v, want %s", step.control, got, step.status)
		}
		if step.text == "not_cached" && got.status != 504 {
			t.Errorf("%q: status %d", step.control, got.status)
		}
	}
}

// TestCacheExpires holds that a response is not used after its time, and that a rule may
// have a time of its own.
func TestCacheExpires(t *testing.T) {
	u := newUpstream(t, numbered())
	c := cached(t, u, `{"ttl":"1h"}`, `{"ttl":"300ms"}`)
	c.ask("", question)
	if got := c.ask("", question); !strings.Contains(got.cache, "hit; ttl=0") {
		t.Errorf("%+v", got)
	}
	time.Sleep(400 * time.Millisecond)
	if got := c.ask("", question); !strings.Contains(got.cache, "miss") || !strings.Contains(got.body, `"2"`) {
		t.Errorf("%+v", got)
	}
}

// TestCacheSingleFlight holds that of equal requests one is sent, unless that is off.
func TestCacheSingleFlight(t *testing.T) {
	const clients = 8
	for _, off := range []bool{false, true} {
		release := make(chan struct{})
		u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) { <-release; answers("x")(w, r) })
		c := cached(t, u, fmt.Sprintf(`{"single_flight":%v}`, !off), `{}`)
		var wg sync.WaitGroup
		var got [clients]reply
		for i := range clients {
			wg.Go(func() { got[i] = c.ask("", question) })
		}
		waitFor(t, func() bool { return u.count() == 1 || off && u.count() == clients })
		time.Sleep(50 * time.Millisecond)
		close(release)
		wg.Wait()
		want := 1
		if off {
			want = clients
		}
		if u.count() != want {
			t.Errorf("off %v: %d requests", off, u.count())
		}
		collapsed := 0
		for _, r := range got {
			if r.status != 200 || r.body != got[0].body {
				t.Errorf("%+v", r)
			}
			if r.cache == "llm; fwd=miss; collapsed" {
				collapsed++
			}
		}
		if !off && collapsed+int(c.view().Hits) != clients-1 {
			t.Errorf("%d collapsed, %+v", collapsed, c.view())
		}
	}
}

// TestCacheSingleFlightOfAPool holds that those who wait for a response still do when another
// endpoint of the pool is asked for it.
func TestCacheSingleFlightOfAPool(t *testing.T) {
	const clients = 20
	var came, asked atomic.Int32
	handler := func(w http.ResponseWriter, r *http.Request) {
		for came.Load() < clients { // they wait, or are about to
			time.Sleep(time.Millisecond)
		}
		if asked.Add(1) == 1 {
			time.Sleep(50 * time.Millisecond)
			fails(http.StatusServiceUnavailable)(w, r)
			return
		}
		answers("good")(w, r)
	}
	p := unique("pool")
	app := strings.TrimSuffix(providers(p, pooled(`,"affinity":"off"`, newUpstream(t, handler).address(), newUpstream(t, handler).address())), "}") + `,"cache":{}}`
	app = strings.Replace(app, `"first_byte_timeout":"300ms",`, "", 1)
	c := newCaching(t, app, fmt.Sprintf(`{"rules":[{"name":%q,"cache":{},"backends":[{"provider":%q}]}]}`, unique("rule"), p))
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			came.Add(1)
			if res, text := c.post(t, chat, "X-Client", "alice@r"); res.StatusCode != http.StatusOK {
				t.Errorf("%d %s", res.StatusCode, text)
			}
		})
	}
	wg.Wait()
	if n := asked.Load(); n != 2 {
		t.Errorf("%d requests for %d equal ones, want one for each endpoint", n, clients)
	}
}

// TestCacheLeaderLeaves holds that those who wait are answered when the one whose response
// they wait for leaves, fails, or gets a response that is not stored, and that one who
// leaves disturbs nobody.
func TestCacheLeaderLeaves(t *testing.T) {
	gone, leave := context.WithCancel(context.Background())
	var n atomic.Int64
	release := make(chan struct{})
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 1 {
			<-r.Context().Done()
			return
		}
		<-release
		answers("x")(w, r)
	})
	c := cached(t, u, `{}`, `{}`)
	var wg sync.WaitGroup
	wg.Go(func() { c.askContext(gone, "", question) })
	waitFor(t, func() bool { return u.count() == 1 })
	followerGone, followerLeaves := context.WithCancel(context.Background())
	var left reply
	wg.Go(func() { left = c.askContext(followerGone, "", question) })
	var got [4]reply
	for i := range got {
		wg.Go(func() { got[i] = c.ask("", question) })
	}
	time.Sleep(100 * time.Millisecond)
	followerLeaves()
	time.Sleep(50 * time.Millisecond)
	leave()
	waitFor(t, func() bool { return u.count() == 2 }) // one of them leads now
	close(release)
	wg.Wait()
	for _, r := range got {
		if r.status != 200 || !strings.Contains(r.body, `"x"`) {
			t.Errorf("%+v", r)
		}
	}
	if u.count() != 2 || left.status != 0 {
		t.Errorf("%d requests, and who left has %+v", u.count(), left)
	}

	// One that fails: all others ask for themselves, at once.
	fail := make(chan struct{})
	v := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		<-fail
		fails(500)(w, r)
	})
	d := cached(t, v, `{}`, `{}`)
	for range 3 {
		wg.Go(func() {
			if r := d.ask("", question); r.status != 500 {
				t.Errorf("%+v", r)
			}
		})
	}
	waitFor(t, func() bool { return v.count() == 1 })
	time.Sleep(50 * time.Millisecond)
	close(fail)
	wg.Wait()
	if v.count() != 3 {
		t.Errorf("%d requests", v.count())
	}
}

// TestCacheAndGuards holds that guards look at stored responses as at others, and what they
// deny is not stored.
func TestCacheAndGuards(t *testing.T) {
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), "zebra") {
			answers("the zebra runs")(w, r)
			return
		}
		answers("I wrote to [EMAIL_1]")(w, r)
	})
	p := unique("p")
	app := strings.TrimSuffix(providers(p, u.provider("")), "}") + `,"guards":{"words":{"deny":[{"regex":"zebra runs"}],"on_request":true,"on_response":{"stream":"whole"}},` +
		`"pii":{"mask":[{"builtin":"email"}],"restore":true}}}`
	c := newCaching(t, app, fmt.Sprintf(`{"rules":[{"guards":["words","pii"],"cache":{},"backends":[{"provider":%q}]}]}`, p))
	for range 2 {
		if got := c.ask("", `{"messages":[{"role":"user","content":"zebra"}]}`); got.status != 403 {
			t.Errorf("%+v", got)
		}
	}
	if u.count() != 2 {
		t.Errorf("%d requests", u.count())
	}
	for i, address := range []string{"bob@example.com", "eve@example.com"} {
		got := c.ask("", `{"messages":[{"role":"user","content":"write to `+address+`"}]}`)
		if !strings.Contains(got.body, "I wrote to "+address) || strings.Contains(got.cache, "hit") != (i == 1) {
			t.Errorf("%+v", got)
		}
	}
}

// TestCacheFallback holds that the response of another provider is not taken for that of
// the first one.
func TestCacheFallback(t *testing.T) {
	var broken atomic.Bool
	broken.Store(true)
	a, b := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if broken.Load() {
			fails(500)(w, r)
			return
		}
		answers("first")(w, r)
	}), newUpstream(t, answers("second"))
	first, second := unique("a"), unique("b")
	c := newCaching(t, providers(first, a.provider(""), second, b.provider("")),
		fmt.Sprintf(`{"rules":[{"cache":{},"attempts":2,"backends":[{"provider":%q},{"provider":%q,"priority":1}]}]}`, first, second))
	if got := c.ask("", question); !strings.Contains(got.body, "second") {
		t.Fatalf("%+v", got)
	}
	broken.Store(false)
	if got := c.ask("", question); !strings.Contains(got.body, "first") || strings.Contains(got.cache, "hit") {
		t.Errorf("%+v", got)
	}
}

// TestCacheUsesNoLimit holds that what is stored uses nothing of limits.
func TestCacheUsesNoLimit(t *testing.T) {
	u := newUpstream(t, numbered())
	p := unique("p")
	app := strings.TrimSuffix(providers(p, u.provider("")), "}") + `,"limits":{"limits":[{"name":"` + unique("l") + `","key":["client"],"amounts":[{"unit":"requests","amount":1,"window":"10m"}]}]}}`
	c := newCaching(t, app, fmt.Sprintf(`{"rules":[{"cache":{},"backends":[{"provider":%q}]}]}`, p))
	for i := range 3 {
		if got := c.ask("", question); got.status != 200 || strings.Contains(got.cache, "hit") != (i > 0) {
			t.Errorf("%+v", got)
		}
	}
	if got := c.ask("", `{"model":"other","messages":[]}`); got.status != 429 {
		t.Errorf("%+v", got)
	}
}

// TestCacheForwardedCredential holds that where a provider gets the client's own key, a
// wrong key does not get what another one paid for.
func TestCacheForwardedCredential(t *testing.T) {
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer right" {
			fails(401)(w, r)
			return
		}
		answers("x")(w, r)
	})
	p := unique("p")
	app := strings.TrimSuffix(providers(p, u.provider(`"forward_headers":["Authorization"]`)), "}") + `,"cache":{"scope":"everyone"}}`
	c := newCaching(t, app, fmt.Sprintf(`{"rules":[{"cache":{},"backends":[{"provider":%q}]}]}`, p))
	for _, test := range []struct {
		key    string
		status int
	}{{"right", 200}, {"wrong", 401}, {"right", 200}} {
		if got := c.ask("", question, "Authorization", "Bearer "+test.key); got.status != test.status {
			t.Errorf("%s: %+v", test.key, got)
		}
	}
	if u.count() != 2 {
		t.Errorf("%d requests", u.count())
	}
}
