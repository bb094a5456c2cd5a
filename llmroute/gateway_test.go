package llmroute

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// gateway is an llm app with one llm_route handler behind a real HTTP server.
type gateway struct {
	*httptest.Server
	app     *App
	handler *Handler
}

// newGateway provisions the app and the handler, given as JSON, and serves the
// handler.
func newGateway(t *testing.T, app, handler string) *gateway {
	t.Helper()
	g, err := tryGateway(t, app, handler)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// provisioning is held by the test that provisions: Caddy sets certmagic's default storage.
var provisioning sync.Mutex

func tryGateway(t *testing.T, appJSON, handlerJSON string) (*gateway, error) {
	t.Helper()
	cfg := &caddy.Config{
		Admin:   &caddy.AdminConfig{Disabled: true},
		AppsRaw: caddy.ModuleMap{"llm": json.RawMessage(appJSON)},
	}
	provisioning.Lock()
	ctx, err := caddy.ProvisionContext(cfg)
	provisioning.Unlock()
	if err != nil {
		return nil, err
	}
	app, err := ctx.App("llm")
	if err != nil {
		return nil, err
	}
	module, err := ctx.LoadModuleByID("http.handlers.llm_route", json.RawMessage(handlerJSON))
	if err != nil {
		return nil, err
	}
	handler := module.(caddyhttp.MiddlewareHandler)
	g := &gateway{app: app.(*App), handler: module.(*Handler)}
	if g.app.limits != nil {
		g.app.snapshot() // as Start does
	}
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		repl := caddy.NewReplacer()
		r = caddyhttp.PrepareRequest(r, repl, w, new(caddyhttp.Server))
		if err := handler.ServeHTTP(w, r, next); err != nil {
			var coded caddyhttp.HandlerError
			if errors.As(err, &coded) {
				w.WriteHeader(coded.StatusCode)
			}
		}
	}))
	t.Cleanup(g.Close)
	return g, nil
}

// settled waits for requests to be counted: a client has all of its response before that.
func (g *gateway) settled(t testing.TB) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); g.app.open.Count() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a request goes on")
		}
	}
}

// chat is the usual request's body.
const chat = `{"messages":[{"role":"user","content":"hello"}]}`

// post sends a JSON body and returns the answer with its body.
func (g *gateway) post(t testing.TB, body string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, g.URL+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	res, err := g.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, _ := io.ReadAll(res.Body)
	return res, string(data)
}

// fakeProvider is a fake provider that remembers what it got.
type fakeProvider struct {
	*httptest.Server
	requests chan seen
}

type seen struct {
	path, query, host string
	header            http.Header
	body              string
}

func newUpstream(t testing.TB, answer http.HandlerFunc) *fakeProvider {
	t.Helper()
	u := &fakeProvider{requests: make(chan seen, 100_000)}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		u.requests <- seen{r.URL.Path, r.URL.RawQuery, r.Host, r.Header, string(body)}
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer(w, r)
	}))
	t.Cleanup(u.Close)
	return u
}

// answers is the response of a provider that works.
func answers(content string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"id":"1","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":%q},"finish_reason":"stop"}],`+
			`"usage":{"prompt_tokens":11,"completion_tokens":85,"total_tokens":96}}`, content)
	}
}

// fails answers with a status and an error in OpenAI's shape.
func fails(status int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error":{"message":"provider says %d","type":"server_error","param":null,"code":null}}`, status)
	}
}

// count returns how many requests have come so far.
func (u *fakeProvider) count() int { return len(u.requests) }

// provider is the JSON of a provider at the upstream's address; more is further
// members of it.
func (u *fakeProvider) provider(more string) string {
	at, _ := url.Parse(u.URL)
	if more != "" {
		more = "," + more
	}
	return fmt.Sprintf(`{"kind":"openai","host":%q,"scheme":"http","port":%s%s}`, at.Hostname(), at.Port(), more)
}

// providers is the app's JSON with these providers, given as name, JSON.
func providers(named ...string) string {
	var parts []string
	for i := 0; i+1 < len(named); i += 2 {
		parts = append(parts, fmt.Sprintf("%q:%s", named[i], named[i+1]))
	}
	return `{"status_listen":"off","providers":{` + strings.Join(parts, ",") + `}}`
}

// unreachable is a provider that refuses connections.
const unreachable = `{"kind":"openai","host":"127.0.0.1","scheme":"http","port":1}`

var names atomic.Int64

// unique makes a provider's name that no other test has: what attempts show of
// a provider is kept by its name for as long as the process lives.
func unique(name string) string { return fmt.Sprintf("%s-%d", name, names.Add(1)) }
