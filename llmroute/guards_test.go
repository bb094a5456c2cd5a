package llmroute

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-llm/gateway/llmroute/guard"
	"github.com/caddy-llm/gateway/llmroute/status"
)

// guarded is the JSON of an app with these guards.
func guarded(guards string, named ...string) string {
	return strings.TrimSuffix(providers(named...), "}") + `,"guards":{` + guards + `}}`
}

// TestGuardsOnAllAttempts holds that masked text reaches no provider, in whatever API it
// is asked, and that denied requests reach none at all.
func TestGuardsOnAllAttempts(t *testing.T) {
	var mu sync.Mutex
	var got []string
	record := func(next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			mu.Lock()
			got = append(got, string(body))
			mu.Unlock()
			next(w, r)
		}
	}
	failing, working := newUpstream(t, record(fails(500))), newUpstream(t, record(answers("x")))
	a, b := unique("a"), unique("b")
	app := guarded(`"pii":{"mask":[{"builtin":"email"}]},"policy":{"deny":[{"regex":"zebra"}]}`, a, failing.provider(""), b, working.provider(""))
	g := newGateway(t, app, fmt.Sprintf(`{"rules":[{"guards":["policy","pii"],"attempts":2,"backends":[{"provider":%q,"model":"fixed"},{"provider":%q,"priority":1}]}]}`, a, b))
	long := strings.Repeat("words ", 2000)
	for path, body := range map[string]string{
		"/v1/chat/completions":             `{"model":"m","x":1.50,"messages":[{"role":"user","content":"` + long + `bob@example.com"}]}`,
		"/v1/messages":                     `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"text","text":"bob\u0040exam"},{"type":"text","text":"ple.com"}]}]}`,
		"/v1beta/models/m:generateContent": `{"contents":[{"role":"user","parts":[{"text":"bob@example.com"}]}]}`,
	} {
		got = nil
		res, err := http.Post(g.URL+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != 200 || len(got) != 2 {
			t.Fatalf("%s: status %d after %d attempts", path, res.StatusCode, len(got))
		}
		for _, sent := range got {
			if strings.Contains(sent, "bob") || strings.Contains(sent, "ple.com") || strings.Count(sent, "[EMAIL]") != 1 {
				t.Errorf("%s: the provider got %.200s", path, sent)
			}
		}
		if want := strings.ReplaceAll(body, "bob@example.com", "[EMAIL]"); path == "/v1/chat/completions" && got[1] != want {
			t.Errorf("more than the text is masked: %.200s", got[1])
		}
		got = nil
		res, err = http.Post(g.URL+path, "application/json", strings.NewReader(strings.ReplaceAll(body, "bob", "z\\u0065bra")))
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != 403 || len(got) != 0 || !strings.Contains(string(text), "guard policy") || strings.Contains(string(text), "zebra") {
			t.Errorf("%s: status %d after %d attempts: %s", path, res.StatusCode, len(got), text)
		}
	}
}

func TestGuardsByRule(t *testing.T) {
	u := newUpstream(t, answers("x"))
	p := unique("p")
	for _, test := range []struct {
		guards, rule string
		status       int
	}{
		{`"g":{"deny":[{"regex":"."}]}`, ``, 200},
		{`"g":{"deny":[{"regex":"."}]}`, `"guards":["g"],`, 403},
		{`"g":{"deny":[{"regex":"."}],"log":true}`, `"guards":["g"],`, 200},
		{`"g":{"deny":[{"regex":"."}],"everything":true,"status":422}`, ``, 422},
	} {
		g := newGateway(t, guarded(test.guards, p, u.provider("")), fmt.Sprintf(`{"rules":[{%s"backends":[{"provider":%q}]}]}`, test.rule, p))
		if status, text := g.tryPost(chat); status != test.status {
			t.Errorf("%s %s: status %d, want %d: %s", test.guards, test.rule, status, test.status, text)
		}
	}
	for _, test := range []struct{ guards, rule, says string }{
		{`"g":{"deny":[{"regex":"."}]}`, `"guards":["other"],`, `there is no guard "other"; define it in the llm app, whose guards are: g`},
		{`"g":{"deny":[{"regex":"("}]}`, ``, "guard g: deny"},
		{`"g":null`, ``, "guard g"},
	} {
		_, err := tryGateway(t, guarded(test.guards, p, u.provider("")), fmt.Sprintf(`{"rules":[{%s"backends":[{"provider":%q}]}]}`, test.rule, p))
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s %s: %v, want %s", test.guards, test.rule, err, test.says)
		}
	}
}

// TestGuardModerates has a provider moderate requests and responses.
func TestGuardModerates(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	said := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		asked = append(asked, r.URL.Path+" "+r.Header.Get("Authorization")+" "+string(body))
		mu.Unlock()
		var in struct{ Input []string }
		_ = json.Unmarshal(body, &in)
		results := []any{}
		for _, text := range in.Input {
			flagged := strings.Contains(text, "zebra")
			results = append(results, map[string]any{"flagged": flagged, "categories": map[string]bool{"hate": false, "violence": flagged}, "category_scores": map[string]float64{"violence": 0.9}})
		}
		switch {
		case strings.Contains(string(body), "nonsense"):
			results = results[:0]
		case strings.Contains(string(body), "broken"):
			w.WriteHeader(500)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"id": "modr-1", "model": "m", "results": results})
	}
	t.Setenv("MOD_KEY", "mod-key")
	moderator, good, bad := newUpstream(t, said), newUpstream(t, streamedWords("nothing of that")), newUpstream(t, streamedWords("a zebra and more"))
	mod, p, q := unique("mod"), unique("p"), unique("q")
	for _, test := range []struct {
		provider, failure, content, code string
		status                           int
	}{
		{p, "closed", "fine", "", 200}, {p, "closed", "a zebra", "content_policy", 403}, {q, "closed", "fine", "content_policy", 403},
		{p, "closed", "nonsense", "guard_unavailable", 503}, {p, "open", "nonsense", "", 200}, {p, "closed", "broken", "guard_unavailable", 503}, {p, "open", "broken", "", 200},
	} {
		app := guarded(fmt.Sprintf(`"g":{"moderation":{"provider":%q,"model":"omni-moderation-latest","on_failure":%q},"on_request":true,"on_response":{"stream":"whole"}}`, mod, test.failure),
			mod, moderator.provider(`"config":{"api_key":"{env.MOD_KEY}"}`), p, good.provider(""), q, bad.provider(""))
		g := newGateway(t, app, fmt.Sprintf(`{"rules":[{"guards":["g"],"backends":[{"provider":%q,"model":"m"}]}]}`, test.provider))
		for _, stream := range []string{"false", "true"} {
			res, body := g.post(t, `{"stream":`+stream+`,"messages":[{"role":"user","content":"`+test.content+`"}]}`)
			status := test.status
			if stream == "true" && test.provider == q {
				status = 200 // the head of a stream is sent before its events come
			}
			if res.StatusCode != status || !strings.Contains(body, test.code) || strings.Contains(body, "zebra") || test.code == "content_policy" && !strings.Contains(body, "violence") {
				t.Errorf("%+v, stream %s: %d %s", test, stream, res.StatusCode, body)
			}
		}
	}
	if want := `/v1/moderations Bearer mod-key {"input":["fine"],"model":"omni-moderation-latest"}`; strings.TrimSpace(asked[0]) != want {
		t.Errorf("asked %s, want %s", asked[0], want)
	}
	_, err := tryGateway(t, guarded(`"g":{"moderation":{"provider":"nobody","model":"m"}}`, p, good.provider("")), fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q}]}]}`, p))
	if err == nil || !strings.Contains(err.Error(), `guard g: moderation: there is no provider "nobody"`) {
		t.Errorf("%v", err)
	}
}

// TestGuardsOnTheStatusPage holds that the page shows what each guard looks at and did.
func TestGuardsOnTheStatusPage(t *testing.T) {
	u := newUpstream(t, answers("x"))
	p, deny, mask := unique("p"), unique("deny"), unique("mask")
	g := newGateway(t, guarded(fmt.Sprintf(`%q:{"deny":[{"regex":"zebra"}],"everything":true},%q:{"mask":[{"builtin":"email"}],"on_response":{"stream":"whole"}}`, deny, mask), p, u.provider("")),
		fmt.Sprintf(`{"rules":[{"guards":[%q],"backends":[{"provider":%q}]}]}`, mask, p))
	for _, body := range []string{`{"messages":[{"role":"user","content":"zebra"}]}`, `{"messages":[{"role":"user","content":"hi"}]}`, `{"messages":[{"role":"user","content":"a zebra"}]}`} {
		g.post(t, body)
	}
	all, some := status.PageOf(g.app, "").Guards, status.PageOf(g.app, "mask").Guards
	want := []status.GuardRow{
		{View: guard.View{Name: deny, Requests: true, Everything: true}, Acts: map[guard.Action]uint64{guard.Denied: 2}},
		{View: guard.View{Name: mask, Responses: true}},
	}
	if all.All != 2 || !reflect.DeepEqual(all.Rows, want) || some.All != 2 || len(some.Rows) != 1 {
		t.Errorf("got %+v and %+v", all, some)
	}
}
