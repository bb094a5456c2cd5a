package llmroute

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-llm/gateway/llmroute/inbound"
)

// heldBodies waits until no body is held.
func heldBodies(t *testing.T) {
	t.Helper()
	b := inbound.AcquireBudget()
	defer func() { _ = inbound.ReleaseBudget() }()
	for end := time.Now().Add(10 * time.Second); b.All.Held() != 0 || b.Strangers.Held() != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d and %d bytes of bodies are held", b.All.Held(), b.Strangers.Held())
		}
	}
}

func TestMaxBodies(t *testing.T) {
	release := make(chan struct{})
	arrived := make(chan struct{}, 10)
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-release
		answers("x")(w, r)
	})
	p := unique("p")
	app := strings.Replace(providers(p, u.provider("")), "{", `{"max_bodies":1000000,`, 1)
	g := newGateway(t, app, fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q}]}]}`, p))
	if err := g.app.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.app.bodies.Set(0) }) // it is the process's
	body := `{"messages":[],"x":"` + strings.Repeat("x", 400_000) + `"}`
	var wait sync.WaitGroup
	for range 2 {
		wait.Go(func() {
			if res, body := g.post(t, body); res.StatusCode != 200 {
				t.Errorf("got %d %s", res.StatusCode, body)
			}
		})
		<-arrived
	}
	res, text := g.post(t, body)
	if res.StatusCode != 503 || res.Header.Get("Retry-After") != "1" || !strings.Contains(text, `"overloaded"`) {
		t.Errorf("a third: %d %v %s", res.StatusCode, res.Header, text)
	}
	wait.Go(func() {
		if res, text := g.post(t, chat); res.StatusCode != 200 {
			t.Errorf("a small one: %d %s", res.StatusCode, text)
		}
	})
	<-arrived
	close(release)
	wait.Wait()
	heldBodies(t)
}

// TestBodiesAreGivenBack ends requests in many ways.
func TestBodiesAreGivenBack(t *testing.T) {
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("X-End") {
		case "hang":
			<-r.Context().Done()
		case "cut":
			panic(http.ErrAbortHandler)
		case "fail":
			w.WriteHeader(500)
		default:
			answers("x")(w, r)
		}
	})
	a, b := unique("a"), unique("b")
	g := newGateway(t, providers(a, u.provider(""), b, u.provider("")), fmt.Sprintf(
		`{"rules":[{"attempts":2,"backends":[{"provider":%q},{"provider":%q}]}]}`, a, b))
	var wait sync.WaitGroup
	for i, end := range []string{"", "hang", "cut", "fail", "", "hang", "cut", "fail"} {
		for _, size := range []int{10, 10_000, 300_000} {
			wait.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(100+10*i)*time.Millisecond)
				defer cancel()
				req, _ := http.NewRequestWithContext(ctx, http.MethodPost, g.URL, strings.NewReader(`{"x":"`+strings.Repeat("x", size)+`"}`))
				req.Header.Set("X-End", end)
				if res, err := g.Client().Do(req); err == nil {
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
				}
			})
		}
	}
	wait.Wait()
	heldBodies(t)
}

// TestNobodyUnknownMakesTheGatewayHoldABody has llm_model in front of llm_keys, in
// the ways in which the two can stand in a server.
func TestNobodyUnknownMakesTheGatewayHoldABody(t *testing.T) {
	ctx, err := caddy.ProvisionContext(&caddy.Config{Admin: &caddy.AdminConfig{Disabled: true}})
	if err != nil {
		t.Fatal(err)
	}
	file := writeKeys(t, keyLine("alice", "sk-known"))
	const match, other = `"match":[{"llm_model":{"models":["gpt*"]}}]`, `"match":[{"not":[{"llm_model":{"models":["gpt*"]}}]}]`
	keys := fmt.Sprintf(`{"handler":"llm_keys","file":%q}`, file)
	const end = `{"handler":"static_response","status_code":200}`
	subroute := func(routes ...string) string {
		return `{"handler":"subroute","routes":[` + strings.Join(routes, ",") + `]}`
	}
	route := func(fields string, handlers ...string) string {
		if fields != "" {
			fields += ","
		}
		return `{` + fields + `"handle":[` + strings.Join(handlers, ",") + `]}`
	}
	for _, test := range []struct {
		name, routes string
		locked       bool
	}{
		{"in the route", route(match, keys, end), true},
		{"negated", route(other, keys, end), true},
		{"in a later route", route(match, end) + "," + route("", keys, end), true},
		{"in the site", route(`"terminal":true`, subroute(route(match, subroute(route("", keys))), route("", end))), true},
		{"after the site's block", route("", subroute(route(match, end))) + "," + route("", keys, end), true},
		{"in a named route", route(match, `{"handler":"invoke","name":"n"}`), true},
		{"in another block of the site", route(`"terminal":true`, subroute(route(`"group":"g",`+match, end), route(`"group":"g"`, keys, end))), true},
		{"in a block that is not taken as well", route(`"terminal":true`, subroute(route(`"group":"g"`, subroute(route(match, end))), route(`"group":"g"`, keys, end))), false},
		{"before", route("", keys) + "," + route(match, end), true},
		{"in another site", route(`"terminal":true`, subroute(route(match, end))) + "," + route("", keys, end), false},
		{"nowhere", route(match, end), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := httptest.NewUnstartedServer(nil)
			server := new(caddyhttp.Server)
			config := fmt.Sprintf(`{"routes":[%s],"named_routes":{"n":%s}}`, test.routes, route("", keys, end))
			if err := json.Unmarshal([]byte(config), server); err != nil {
				t.Fatal(err)
			}
			if err := server.Routes.Provision(ctx); err != nil {
				t.Fatal(err)
			}
			for _, r := range server.NamedRoutes {
				if err := r.Provision(ctx, nil); err != nil {
					t.Fatal(err)
				}
			}
			s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, server)
				if err := server.Routes.Compile(caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })).ServeHTTP(w, r); err != nil {
					var failed caddyhttp.HandlerError
					errors.As(err, &failed)
					w.WriteHeader(failed.StatusCode)
				}
			})
			s.Start()
			defer s.Close()
			for key, known := range map[string]bool{"sk-known": true, "?key=sk-known": true, "sk-other": false, "": false} {
				read := false
				body := strings.NewReader(`{"model":"gpt-4o"}`)
				req, _ := http.NewRequest(http.MethodPost, s.URL, readerFunc(func(p []byte) (int, error) {
					read = true
					return body.Read(p)
				}))
				req.ContentLength = 18
				req.Header.Set("Expect", "100-continue")
				if query, ok := strings.CutPrefix(key, "?"); ok {
					req.URL.RawQuery = query
				} else if key != "" {
					req.Header.Set("X-Api-Key", key)
				}
				client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute}}
				res, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				_ = res.Body.Close()
				want := http.StatusOK
				if test.locked && !known {
					want = http.StatusUnauthorized
				}
				if res.StatusCode != want || read != (want == 200) {
					t.Errorf("with the key %q: status %d, want %d; the body was asked for: %v", key, res.StatusCode, want, read)
				}
			}
			heldBodies(t)
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
