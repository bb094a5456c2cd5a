package llmroute

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestFallback(t *testing.T) {
	slow := func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(10 * time.Second):
		}
	}
	cut := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	for name, test := range map[string]struct {
		first    http.HandlerFunc // nil: refuses connections
		attempts int
		retryOn  string
		status   int
		text     string // in the response
		second   int    // requests that the second provider gets
	}{
		"connection refused":                    {nil, 2, "", 200, "second", 1},
		"connection cut before the response":    {cut, 2, "", 200, "second", 1},
		"timeout before the first byte":         {slow, 2, "", 200, "second", 1},
		"429":                                   {fails(429), 2, "", 200, "second", 1},
		"500":                                   {fails(500), 2, "", 200, "second", 1},
		"529":                                   {fails(529), 2, "", 200, "second", 1},
		"400 is the client's fault":             {fails(400), 2, "", 400, "provider says 400", 0},
		"404 is passed through":                 {fails(404), 2, "", 404, "provider says 404", 0},
		"501 is not in the list":                {fails(501), 2, "", 501, "provider says 501", 0},
		"a list of the rule's own replaces it":  {fails(500), 2, `,"retry_on":[503]`, 500, "provider says 500", 0},
		"a status of the rule's own":            {fails(404), 2, `,"retry_on":[404]`, 200, "second", 1},
		"one attempt, connection refused":       {nil, 1, "", 502, "provider_unreachable", 0},
		"one attempt, timeout":                  {slow, 1, "", 504, "provider_timeout", 0},
		"one attempt, the provider's own error": {fails(503), 1, "", 503, "provider says 503", 0},
	} {
		t.Run(name, func(t *testing.T) {
			first := unreachable
			if test.first != nil {
				first = newUpstream(t, test.first).provider(`"first_byte_timeout":"150ms"`)
			}
			second := newUpstream(t, answers("second"))
			a, b := unique("first"), unique("second")
			g := newGateway(t, providers(a, first, b, second.provider("")), fmt.Sprintf(
				`{"rules":[{"backends":[{"provider":%q},{"provider":%q,"priority":1}],"attempts":%d%s}]}`, a, b, test.attempts, test.retryOn))
			res, body := g.post(t, chat)
			if res.StatusCode != test.status || !strings.Contains(body, test.text) {
				t.Errorf("got %d %s, want %d with %q", res.StatusCode, body, test.status, test.text)
			}
			if n := second.count(); n != test.second {
				t.Errorf("the second provider got %d requests, want %d", n, test.second)
			}
		})
	}
}

// TestAConnectionThatIsClosedWhenItIsUsedAgain has a provider close a kept
// connection without an answer to the second request on it. Nobody can tell
// whether that request was worked on, and paid for, so it is sent again only if
// the rule names the provider twice.
func TestAConnectionThatIsClosedWhenItIsUsedAgain(t *testing.T) {
	for name, test := range map[string]struct {
		twice  bool
		status int
		sent   int
	}{
		"named once":  {false, 502, 2},
		"named twice": {true, 200, 3},
	} {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int32
			u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
				if requests.Add(1) == 2 {
					panic(http.ErrAbortHandler)
				}
				answers("x")(w, r)
			})
			p := unique("closing")
			backends := fmt.Sprintf(`{"provider":%q}`, p)
			if test.twice {
				backends += fmt.Sprintf(`,{"provider":%q,"priority":1}`, p)
			}
			g := newGateway(t, providers(p, u.provider("")), `{"rules":[{"backends":[`+backends+`],"attempts":2}]}`)
			if res, body := g.post(t, chat); res.StatusCode != 200 {
				t.Fatalf("the first request: %d %s", res.StatusCode, body)
			}
			if res, body := g.post(t, chat); res.StatusCode != test.status {
				t.Errorf("the second: %d %s, want %d", res.StatusCode, body, test.status)
			}
			if n := u.count(); n != test.sent {
				t.Errorf("the provider got %d requests, want %d", n, test.sent)
			}
		})
	}
}

func TestAllAttemptsFail(t *testing.T) {
	limited := newUpstream(t, fails(429, "Retry-After", "7", "X-Mine", "yes"))
	g := newGateway(t, providers("afl", limited.provider(""), "afd", unreachable),
		`{"rules":[{"backends":[{"provider":"afl"},{"provider":"afd","priority":1}],"attempts":3}]}`)
	res, body := g.post(t, chat)
	if res.StatusCode != 429 || !strings.Contains(body, "provider says 429") || res.Header.Get("Retry-After") != "7" || res.Header.Get("X-Mine") != "yes" {
		t.Errorf("got %d %v %s, want the last error that a provider gave, with its headers", res.StatusCode, res.Header, body)
	}
	if n := limited.count(); n != 1 {
		t.Errorf("the provider was tried %d times, want once", n)
	}
}

func TestEachAttemptCarriesItsOwn(t *testing.T) {
	t.Setenv("KEY_A", "key-a")
	t.Setenv("KEY_B", "key-b")
	a := newUpstream(t, fails(500))
	b := newUpstream(t, answers("b"))
	g := newGateway(t, providers(
		"own-a", a.provider(`"path":"/a/v1/chat/completions?v=1","config":{"model":"model-a","stream":false,"api_key":"{env.KEY_A}"},"headers":{"X-A":"1"}`),
		"own-b", b.provider(`"path":"/b","config":{"api_key":"{env.KEY_B}"},"rules":{"r":{"model":"model-b"}}`),
	), `{"rules":[{"name":"r","backends":[{"provider":"own-a"},{"provider":"own-b","priority":1}],"attempts":2}]}`)
	if res, body := g.post(t, `{"model":"mine","x":1}`, "Authorization", "Bearer client", "Cookie", "c=1", "X-Api-Key", "client"); res.StatusCode != 200 {
		t.Fatalf("got %d %s", res.StatusCode, body)
	}
	first, second := <-a.requests, <-b.requests
	if first.path != "/a/v1/chat/completions" || first.query != "v=1" || first.body != `{"stream":false,"model":"model-a","x":1}` ||
		first.header.Get("Authorization") != "Bearer key-a" || first.header.Get("X-A") != "1" {
		t.Errorf("first attempt: %+v", first)
	}
	if second.path != "/b" || second.query != "" || second.body != `{"model":"model-b","x":1}` ||
		second.header.Get("Authorization") != "Bearer key-b" || second.header.Get("X-A") != "" {
		t.Errorf("second attempt: %+v", second)
	}
	for _, s := range []seen{first, second} {
		if s.header.Get("Cookie") != "" || s.header.Get("X-Api-Key") != "" {
			t.Errorf("a client's credential reached a provider: %v", s.header)
		}
	}
}

// TestDefaultSettings holds that a backend with the provider's default settings gets
// nothing of those for rules of its rule's name: not the model, not the key, and not
// in the list of models.
func TestDefaultSettings(t *testing.T) {
	t.Setenv("KEY_BASE", "key-base")
	t.Setenv("KEY_VIP", "key-vip")
	u := newUpstream(t, answers("x"))
	g := newGateway(t, providers("settings", u.provider(`"config":{"model":"cheap","api_key":"{env.KEY_BASE}"},"rules":{"vip":{"model":"dear","api_key":"{env.KEY_VIP}"}}`)),
		`{"rules":[{"name":"vip","backends":[{"provider":"settings","default_settings":true}]}]}`)
	if res, body := g.post(t, chat); res.StatusCode != 200 {
		t.Fatalf("got %d %s", res.StatusCode, body)
	}
	if got := <-u.requests; !strings.Contains(got.body, `"model":"cheap"`) || got.header.Get("Authorization") != "Bearer key-base" {
		t.Errorf("the provider got %s with %v", got.body, got.header)
	}
	res, err := g.Client().Get(g.URL + "/v1/models")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if list, _ := io.ReadAll(res.Body); !strings.Contains(string(list), "cheap") || strings.Contains(string(list), "dear") {
		t.Errorf("models: %s", list)
	}
}

func TestRetryAfterIsAPreference(t *testing.T) {
	limited := newUpstream(t, fails(429, "Retry-After", "30"))
	other := newUpstream(t, answers("other"))
	config := providers("pref-a", limited.provider(""), "pref-b", other.provider(""))
	rules := `{"rules":[{"backends":[{"provider":"pref-a"},{"provider":"pref-b","priority":1}],"attempts":2}]}`
	g := newGateway(t, config, rules)
	for range 5 {
		if res, body := g.post(t, chat); res.StatusCode != 200 {
			t.Fatalf("got %d %s", res.StatusCode, body)
		}
	}
	if n := limited.count(); n != 1 {
		t.Errorf("the cooling provider got %d requests, want 1", n)
	}
	// A new configuration knows it as well, as after a reload.
	again := newGateway(t, config, rules)
	if res, _ := again.post(t, chat); res.StatusCode != 200 || limited.count() != 1 {
		t.Errorf("after a reload the cooling provider got %d requests in all, want 1", limited.count())
	}
	// With nobody else to ask it is asked all the same.
	alone := newGateway(t, config, `{"rules":[{"backends":[{"provider":"pref-a"}]}]}`)
	if res, body := alone.post(t, chat); res.StatusCode != 429 || !strings.Contains(body, "provider says 429") {
		t.Errorf("got %d %s, want the provider's own 429", res.StatusCode, body)
	}
	if limited.count() != 2 {
		t.Errorf("the only provider got %d requests in all, want 2", limited.count())
	}
}

func TestWeightZeroIsNeverUsed(t *testing.T) {
	never := newUpstream(t, answers("never"))
	g := newGateway(t, providers("wz-a", unreachable, "wz-b", never.provider("")),
		`{"rules":[{"backends":[{"provider":"wz-a","weight":1},{"provider":"wz-b","weight":0}],"attempts":2}]}`)
	if res, _ := g.post(t, chat); res.StatusCode != 502 || never.count() != 0 {
		t.Errorf("got %d, and the backend of weight 0 got %d requests", res.StatusCode, never.count())
	}
}
