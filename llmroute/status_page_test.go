package llmroute

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-llm/gateway/llmprovider/kind"
	"github.com/caddy-llm/gateway/llmprovider/openai"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
	"github.com/caddy-llm/gateway/llmroute/spec"
	"github.com/caddy-llm/gateway/llmroute/status"
)

const (
	// viewRows and viewParts are the most rows and parts of one that the page gets.
	viewRows  = 50
	viewParts = 10
)

// statusOf returns a status handler with a page for an app.
func statusOf(t *testing.T, app *App) *status.Handler {
	t.Helper()
	s := &status.Handler{Page: true, Hosts: []string{"localhost", "status.example.com"}}
	if err := s.Provision(app.ctx); err != nil {
		t.Fatal(err)
	}
	return s
}

// fetch asks a handler for something of its own.
func fetch(t *testing.T, s *status.Handler, method, host, target string, headers ...string) (*http.Response, string) {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	r.Host = host
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	next := caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(http.StatusTeapot)
		return nil
	})
	if err := s.ServeHTTP(w, r, next); err != nil {
		t.Fatal(err)
	}
	res := w.Result()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func TestStatusPageHeaders(t *testing.T) {
	app := provisioned(t, `{"status_listen":"off"}`)
	s := statusOf(t, app)
	res, body := fetch(t, s, "GET", "127.0.0.1:2020", "/")
	length := fmt.Sprint(len(body))
	for name, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
		"Cross-Origin-Resource-Policy": "same-origin", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
	} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	policy := res.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'sha256-", "style-src 'sha256-", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy %q has no %s", policy, want)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("the policy is %q", policy)
	}
	if res.StatusCode != 200 || !strings.Contains(body, "<title>LLM gateway</title>") {
		t.Errorf("got %d %.100s", res.StatusCode, body)
	}
	res, body = fetch(t, s, "GET", "localhost:2020", "/status.json")
	if got := res.Header.Get("Content-Type"); got != "application/json" || !json.Valid([]byte(body)) {
		t.Errorf("%s: %.100s", got, body)
	}
	if policy := res.Header.Get("Content-Security-Policy"); policy != "default-src 'none'; frame-ancestors 'none'" {
		t.Errorf("the policy of the data is %q", policy)
	}
	if res, body := fetch(t, s, "GET", "localhost", "/", "Accept-Encoding", "gzip, br"); res.Header.Get("Content-Encoding") != "gzip" || len(body) > 20_000 {
		t.Errorf("%q, %d bytes", res.Header.Get("Content-Encoding"), len(body))
	}
	if res, body := fetch(t, s, "HEAD", "localhost", "/"); res.StatusCode != 200 || body != "" || res.Header.Get("Content-Length") != length {
		t.Errorf("HEAD: %d, %s bytes, %q", res.StatusCode, res.Header.Get("Content-Length"), body)
	}
}

// TestStatusPageHosts: another site's name for this address gets nothing.
func TestStatusPageHosts(t *testing.T) {
	s := statusOf(t, provisioned(t, `{"status_listen":"off"}`))
	for host, want := range map[string]int{
		"127.0.0.1:2020": 200, "10.1.2.3:15021": 200, "[::1]:2020": 200, "localhost": 200, "localhost:2020": 200, "LOCALHOST": 200,
		"status.example.com": 200, "Status.Example.com:443": 200,
		"evil.example.com:2020": 403, "127.0.0.1.evil.example.com": 403, "localhost.evil.example.com": 403, "": 403, "a.status.example.com": 403,
	} {
		for _, path := range []string{"/", "/status.json"} {
			res, body := fetch(t, s, "GET", host, path)
			if res.StatusCode != want {
				t.Errorf("%q %s: %d, want %d", host, path, res.StatusCode, want)
			}
			if want == 403 && (!strings.Contains(body, "status_hosts") || strings.Contains(body, "<")) {
				t.Errorf("%q %s: %.100q does not say what to do", host, path, body)
			}
		}
		if res, _ := fetch(t, s, "GET", host, "/healthz"); res.StatusCode != 200 {
			t.Errorf("%q /healthz: %d", host, res.StatusCode)
		}
	}
	s.Hosts = nil // a site, which has its own names
	if res, _ := fetch(t, s, "GET", "any.example.com", "/"); res.StatusCode != 200 {
		t.Errorf("a site's page: %d", res.StatusCode)
	}
}

func TestStatusPageLeavesOtherRequests(t *testing.T) {
	s := statusOf(t, provisioned(t, `{"status_listen":"off"}`))
	for _, request := range [][2]string{{"POST", "/"}, {"PUT", "/status.json"}, {"DELETE", "/"}, {"GET", "/status.json/"}, {"GET", "/index.html"}, {"GET", "/llm"}} {
		if res, _ := fetch(t, s, request[0], "localhost", request[1]); res.StatusCode != http.StatusTeapot {
			t.Errorf("%v: %d", request, res.StatusCode)
		}
	}
	s.Page = false
	for _, path := range []string{"/", "/status.json"} {
		if res, _ := fetch(t, s, "GET", "localhost", path); res.StatusCode != http.StatusTeapot {
			t.Errorf("without a page %s: %d", path, res.StatusCode)
		}
	}
}

// TestStatusJSONIsBounded: however much there is, a page gets what it can show.
func TestStatusJSONIsBounded(t *testing.T) {
	app := provisioned(t, `{"status_listen":"off"}`)
	state := &spec.State{Tables: map[string][]*spec.Route{}}
	var names []string
	for i := range 1000 {
		model := fmt.Sprintf("model-%d", i)
		name := unique("ns/p")
		names = append(names, name)
		state.Providers = append(state.Providers, &spec.Provider{Name: name, Origin: "LLMProvider " + name,
			Provider: &openai.Provider{Base: kind.Base{Connection: upstream.Connection{Host: fmt.Sprintf("p-%d.example.com", i)}, Config: kind.Config{Model: &model, Key: upstream.Literal("sk-that-nobody-may-see")}}}})
	}
	for i := range 5000 {
		r := &spec.Route{Origin: fmt.Sprintf("LLMRoute ns/r-%d", i)}
		parts := 2
		if i < viewRows {
			parts = 40
		}
		for j := range parts {
			r.Hosts = append(r.Hosts, fmt.Sprintf("host-%d-%d.example.com", i, j))
			rule := &spec.Rule{Name: fmt.Sprintf("rule-%d", j), MatcherSetsRaw: []caddy.ModuleMap{{"header": json.RawMessage(`{"X-Token":["value-that-nobody-may-see"]}`)}}}
			for k := range 30 {
				rule.Backends = append(rule.Backends, &spec.Backend{Provider: names[(i+k)%1000]})
			}
			r.Rules = append(r.Rules, rule)
		}
		state.Tables["mesh"] = append(state.Tables["mesh"], r)
		state.Findings = append(state.Findings, spec.Finding{Object: fmt.Sprintf("LLMRoute ns/r-%d", i), Reason: "InvalidMatch", Message: "something", Used: i != 4999})
	}
	app.current.Store(app.build(nil, state))
	_, body := fetch(t, statusOf(t, app), "GET", "localhost", "/status.json")
	t.Logf("%d bytes", len(body))
	if len(body) > 1<<20 || strings.Contains(body, "nobody-may-see") {
		t.Errorf("%d bytes", len(body))
	}
	var v status.Page
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Providers.Rows) != viewRows || v.Providers.All != 1000 || len(v.Routes.Rows) != viewRows || v.Routes.All != 5000 || len(v.Findings.Rows) != viewRows || v.Findings.All != 5000 {
		t.Errorf("%d of %d providers, %d of %d routes, %d of %d findings", len(v.Providers.Rows), v.Providers.All, len(v.Routes.Rows), v.Routes.All, len(v.Findings.Rows), v.Findings.All)
	}
	if r := v.Routes.Rows[0]; len(r.Hosts) != viewParts || len(r.Rules) != viewParts || len(r.Rules[0].Backends) != viewParts || r.More != 60 {
		t.Errorf("%d hosts, %d rules, %d backends, %d more", len(r.Hosts), len(r.Rules), len(r.Rules[0].Backends), r.More)
	}
	if v.Findings.Rows[0].Object != "LLMRoute ns/r-4999" {
		t.Errorf("the first finding is %+v; want the object that is left out", v.Findings.Rows[0])
	}
	_, body = fetch(t, statusOf(t, app), "GET", "localhost", "/status.json?filter=P-777.EXAMPLE")
	v = status.Page{}
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Providers.Rows) != 1 || v.Providers.Rows[0].Host != "p-777.example.com" || v.Providers.Rows[0].State != status.StateIdle || v.Providers.All != 1000 || v.Routes.Matching != 0 {
		t.Errorf("filtered: %+v, %d routes", v.Providers, v.Routes.Matching)
	}
	if res, body := fetch(t, statusOf(t, app), "GET", "localhost", "/status.json?filter="+strings.Repeat("x", 201)); res.StatusCode != 400 {
		t.Errorf("a long filter: %d %.60s", res.StatusCode, body)
	}
}

// TestStatusOfTraffic sends requests of each kind and looks at what is told.
func TestStatusOfTraffic(t *testing.T) {
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Fail") != "" {
			http.Error(w, `{"error":{}}`, http.StatusTooManyRequests)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"model":"m","choices":[{"index":0}],"usage":{"prompt_tokens":11,"completion_tokens":85}}`)
	})
	hostile, spare := "<svg>"+unique("p"), unique("p")
	config := providers(hostile, u.provider(`"config":{"model":"<img src=x onerror=alert(1)>"}`), spare, u.provider(""))
	g := newGateway(t, config, fmt.Sprintf(`{"rules":[
		{"name":"<b>vip</b>","match":[{"header":{"User-Type":["subscriber"]}}],"backends":[{"provider":%q},{"provider":%q,"priority":1}],"attempts":2},
		{"name":"secret","match":[{"path":["/v1/*"],"header":{"X-Token":["value-that-nobody-may-see"]}}],"backends":[{"provider":%q,"weight":3},{"provider":%q,"weight":1}]}]}`,
		hostile, spare, hostile, spare))
	for range 3 {
		g.post(t, chat, "User-Type", "subscriber")
	}
	g.post(t, chat, "User-Type", "subscriber", "X-Fail", "1")
	g.post(t, chat)

	_, body := fetch(t, statusOf(t, g.app), "GET", "localhost", "/status.json")
	if strings.Contains(body, "<") || strings.Contains(body, "nobody-may-see") {
		t.Errorf("the JSON has what is a tag in HTML, or a matcher's value: %s", body)
	}
	var v status.Page
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(v.Providers.Rows, func(p status.ProviderRow) bool { return p.Name == hostile })
	if i < 0 {
		t.Fatalf("no provider %q in %+v", hostile, v.Providers.Rows)
	}
	p := v.Providers.Rows[i]
	if p.Recent.Requests != 4 || p.Recent.Failed != 1 || p.Recent.Failures["429"] != 1 || p.Recent.PromptTokens != 33 || p.Recent.CompletionTokens != 255 || p.State != status.StateCooling || p.CoolingSeconds <= 0 {
		t.Errorf("the provider's row is %+v", p)
	}
	if len(p.Rules) != 1 || p.Rules[0].Name != "<b>vip</b>" || p.Rules[0].Recent.Requests != 4 {
		t.Errorf("its rules are %+v", p.Rules)
	}
	// Another test's requests may be in these.
	if v.Recent.Requests < 5 || v.Recent.Failures["no_route"] < 1 || v.Total.Requests < v.Recent.Requests {
		t.Errorf("all requests: %+v", v.Recent)
	}
	if len(v.Routes.Rows) != 1 || len(v.Routes.Rows[0].Rules) != 2 {
		t.Fatalf("routes: %+v", v.Routes)
	}
	vip, secret := v.Routes.Rows[0].Rules[0], v.Routes.Rows[0].Rules[1]
	if vip.Attempts != 2 || vip.Backends[0].Share != 1 || vip.Backends[1].Share != 1 || vip.Backends[1].Priority != 1 {
		t.Errorf("%+v", vip)
	}
	if secret.Backends[0].Share != .75 || secret.Backends[1].Share != .25 || !slices.Equal(secret.Matchers, []string{"header", "path"}) {
		t.Errorf("%+v", secret)
	}
}

// TestStatusWhileServing looks at requests while they are served, for the race
// detector.
func TestStatusWhileServing(t *testing.T) {
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range 5 {
			_, _ = io.WriteString(w, "data: {\"choices\":[]}\n\n")
			_ = http.NewResponseController(w).Flush()
		}
		_, _ = io.WriteString(w, "data: [DONE]\n\n")
	})
	p := unique("p")
	g := newGateway(t, providers(p, u.provider(`"config":{"model":"m"}`)), fmt.Sprintf(`{"rules":[{"name":"all","backends":[{"provider":%q}]}]}`, p))
	serving.Store(g.app, nil) // as Start does
	defer serving.Delete(g.app)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 25 {
				g.post(t, `{"messages":[],"stream":true}`)
			}
		})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		wg.Wait()
	}()
	for looked := false; ; looked = true {
		v := status.PageOf(g.app, "")
		for _, o := range v.Open.Rows {
			if o.Provider != "" && (o.Provider != p || o.Model != "m" || o.Rule != "all" || !o.Stream) {
				t.Errorf("an open request is %+v", o)
			}
		}
		select {
		case <-done:
			if looked {
				return
			}
		default:
		}
	}
}
