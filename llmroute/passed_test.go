package llmroute

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-llm/gateway/integration/fakepicker"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/virtualkey"
)

// passingGateway is a gateway whose only rule passes other requests on to a pool of these
// endpoints. more is further members of the pool, rule those of the rule, and app those of
// the app.
func passingGateway(t *testing.T, more, rule, app string, endpoints ...string) *gateway {
	t.Helper()
	name := unique("passing")
	config := strings.Replace(pooled(more, endpoints...), `"first_byte_timeout":"300ms"`, `"first_byte_timeout":"5s"`, 1)
	return newGateway(t, strings.TrimSuffix(providers(name, config), "}")+app+"}", fmt.Sprintf(`{"rules":[{"name":"r","pass_other":true%s,"backends":[{"provider":%q}]}]}`, rule, name))
}

// ask sends a request and returns the response with its body.
func (g *gateway) ask(t *testing.T, method, target, body string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, g.URL+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "models.example"
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(text)
}

// tells is an endpoint that tells its name, the method and the target.
func tells(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Own", name)
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprintf(w, "%s %s %s", name, r.Method, r.RequestURI)
	}
}

// TestPassesOtherPathsOn holds that any method, path and body gets to an endpoint of the pool as
// it is, and LLM requests as ever.
func TestPassesOtherPathsOn(t *testing.T) {
	u := newUpstream(t, tells("a"))
	g := passingGateway(t, "", "", "", u.address())
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions} {
		for _, body := range []string{"", "{", strings.Repeat("x", 1<<20)} {
			res, text := g.ask(t, method, "/a%2Fb//c?d=e;f&g", body, "X-Kept", "1", "X-Forwarded-Client-Cert", "By=me", "Authorization", "Bearer client", "Connection", "X-Hop", "X-Hop", "1")
			if res.StatusCode != http.StatusAccepted || text != "a "+method+" /a%2Fb//c?d=e;f&g" || res.Header.Get("X-Own") != "a" {
				t.Fatalf("%s of %d bytes: %d %s", method, len(body), res.StatusCode, text)
			}
			got := <-u.requests
			if got.body != body || got.host != "models.example" || got.header.Get("X-Kept") != "1" || got.header.Get("Authorization") != "Bearer client" || got.header.Get("X-Forwarded-Host") != "models.example" ||
				got.header.Get("X-Forwarded-Client-Cert")+got.header.Get("X-Hop") != "" || got.header.Get("X-Forwarded-For") == "" || got.header.Get("Sec-Fetch-Mode") != "no-cors" {
				t.Errorf("%s: the endpoint got %d bytes, %s, %v", method, len(got.body), got.host, got.header)
			}
		}
	}
	if res, _ := g.ask(t, http.MethodHead, "/x", ""); res.StatusCode != http.StatusAccepted {
		t.Errorf("HEAD: %d", res.StatusCode)
	}
	for target, want := range map[string]int{"/a/../b": 400, "/a/%2e%2e/b": 400, "/v1/chat/completions": 405} {
		if res, text := g.ask(t, http.MethodGet, target, ""); res.StatusCode != want {
			t.Errorf("%s: %d %s, want %d", target, res.StatusCode, text, want)
		}
	}
	if res, text := g.ask(t, http.MethodPost, "/x", strings.Repeat("x", 33<<20)); res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a body over the limit: %d %s", res.StatusCode, text)
	}
	if res, text := g.ask(t, http.MethodGet, "/x", "", "Sec-Fetch-Site", "cross-site"); res.StatusCode != http.StatusForbidden {
		t.Errorf("a page of another site: %d %s", res.StatusCode, text)
	}
}

// TestConnectionTakesNothingSetSince holds that what an authorization has set reaches the
// endpoint, whatever the client's Connection names: on the way of LLM requests and of others.
func TestConnectionTakesNothingSetSince(t *testing.T) {
	u := newUpstream(t, tells("a"))
	g := passingGateway(t, "", "", "", u.address())
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refused := llmprovider.Prepare(r); refused != nil { // as an authorization before llm_route does
			t.Error(refused)
		}
		r.Header["X-Level"] = []string{"verified"}
		r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, new(caddyhttp.Server))
		_ = g.handler.ServeHTTP(w, r, nil)
	}))
	t.Cleanup(g.Close)
	for _, target := range []string{"/generate", "/v1/chat/completions"} {
		g.ask(t, http.MethodPost, target, chat, "Content-Type", "application/json", "Connection", "keep-alive, X-Level, Sec-Fetch-Mode, Cdn-Loop, X-Hop", "X-Level", "client", "X-Hop", "1")
		got := (<-u.requests).header
		if strings.Join(got["X-Level"], ",") != "verified" || got["Cdn-Loop"] == nil || got["X-Hop"] != nil || target == "/generate" && got.Get("Sec-Fetch-Mode") != "no-cors" {
			t.Errorf("%s: the endpoint got %v", target, got)
		}
	}
}

// TestRefusedBeforeTheBody holds that what is not passed on costs no memory and enters no pool,
// even if its body never comes: the client is not asked for it.
func TestRefusedBeforeTheBody(t *testing.T) {
	picker := fakepicker.New(t, "")
	u := newUpstream(t, tells("a"))
	g := passingGateway(t, fmt.Sprintf(`,"picker":{"protocol":"ext_proc","address":%q,"plaintext":true}`, picker.Address), "", "", u.address())
	picker.Is(fakepicker.Behaviour{Endpoints: u.address()})
	const preflight = "Origin: https://a.example\r\nAccess-Control-Request-Method: POST\r\n"
	for head, want := range map[string]string{
		"OPTIONS /x HTTP/1.1\r\n" + preflight + "Content-Length: 9\r\nExpect: 100-continue\r\n":          "400 preflight_body",
		"OPTIONS /x HTTP/1.1\r\n" + preflight + "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n": "400 preflight_body",
		"OPTIONS /x HTTP/1.1\r\n" + preflight:                                                            "202 a OPTIONS /x",
		"OPTIONS /x HTTP/1.1\r\n" + preflight + "Content-Length: 0\r\n":                                  "202 a OPTIONS /x",
		"POST /a/%2e%2e/b HTTP/1.1\r\nContent-Length: 9\r\nExpect: 100-continue\r\n":                     "400 invalid_path",
		"CONNECT /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n":                  "501 unsupported_method",
	} {
		before := picker.Count()
		c, err := net.Dial("tcp", strings.TrimPrefix(g.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintf(c, "%sHost: models.example\r\n\r\n", head)
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Errorf("%q: %v", head, err)
			_ = c.Close()
			continue
		}
		text, _ := io.ReadAll(res.Body)
		_ = c.Close()
		status, said, _ := strings.Cut(want, " ")
		if fmt.Sprint(res.StatusCode) != status || !strings.Contains(string(text), said) || res.StatusCode >= 400 && picker.Count() != before {
			t.Errorf("%q: %d %s, want %s; %d requests at the picker", head, res.StatusCode, text, want, picker.Count()-before)
		}
	}
}

// TestInterimResponsesTakeNothing holds that a response has the gateway's headers, even after
// interim ones, and that no endpoint is asked to wait for a body that is there.
func TestInterimResponsesTakeNothing(t *testing.T) {
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</x>")
		w.WriteHeader(http.StatusEarlyHints)
		if r.URL.Path == "/cut" {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusAccepted)
	})
	g := passingGateway(t, "", "", "", u.address())
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Gateway", "1")
		r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, new(caddyhttp.Server))
		_ = g.handler.ServeHTTP(w, r, nil)
	}))
	t.Cleanup(g.Close)
	for target, want := range map[string]int{"/x": http.StatusAccepted, "/cut": http.StatusBadGateway} {
		res, text := g.ask(t, http.MethodPost, target, "body", "Expect", "100-continue")
		if res.StatusCode != want || strings.Join(res.Header["X-Gateway"], ",") != "1" || len(res.Header["Link"]) > 1 {
			t.Errorf("%s: %d %s %v", target, res.StatusCode, text, res.Header)
		}
		if got := <-u.requests; got.header["Expect"] != nil || got.body != "body" {
			t.Errorf("the endpoint got %q, %v", got.body, got.header)
		}
	}
}

// TestPassesOnAlongThePool holds that an endpoint that cannot be connected to is passed over.
func TestPassesOnAlongThePool(t *testing.T) {
	u := newUpstream(t, tells("a"))
	g := passingGateway(t, "", "", "", refusing(t), u.address())
	for range 10 {
		if res, text := g.ask(t, http.MethodPut, "/x", "body"); text != "a PUT /x" {
			t.Fatalf("%d %s", res.StatusCode, text)
		}
	}
	g = passingGateway(t, "", "", "", refusing(t), refusing(t))
	if res, text := g.ask(t, http.MethodGet, "/x", ""); res.StatusCode != http.StatusBadGateway || !strings.Contains(text, "provider_unreachable") {
		t.Errorf("nobody is there: %d %s", res.StatusCode, text)
	}
}

// TestPassesNothingOnThatIsWatched holds that where guards, prompts, limits, the cache or the
// models of a virtual key would have to read a request, only LLM requests go through.
func TestPassesNothingOnThatIsWatched(t *testing.T) {
	const guards = `,"guards":{"g":{"deny":[{"regex":"zebra"}]}}`
	const all = `,"guards":{"g":{"deny":[{"regex":"zebra"}],"everything":true}}`
	for name, c := range map[string]struct{ rule, app string }{
		"a guard of the rule":  {`,"guards":["g"]`, guards},
		"a guard of all":       {"", all},
		"a prompt of the rule": {`,"prompts":["p"]`, `,"prompts":{"p":{"append":[{"role":"user","content":"x"}]}}`},
		"a limit":              {"", `,"limits":{"limits":[{"name":"` + unique("l") + `","key":["client"],"amounts":[{"unit":"requests","amount":9,"window":"10m"}]}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUpstream(t, answers("x"))
			g := passingGateway(t, "", c.rule, c.app, u.address())
			if res, text := g.ask(t, http.MethodPost, "/generate", "zebra"); res.StatusCode != http.StatusNotFound || len(u.requests) > 0 {
				t.Errorf("%d %s", res.StatusCode, text)
			}
			if res, text := g.post(t, chat); res.StatusCode != http.StatusOK {
				t.Errorf("a chat: %d %s", res.StatusCode, text)
			}
		})
	}
	u := newUpstream(t, tells("a"))
	for name, c := range map[string]struct {
		models []string
		want   int
	}{"of a key with models": {[]string{"small"}, http.StatusNotFound}, "of a key for all": {nil, http.StatusAccepted}} {
		g := passingGateway(t, "", "", "", u.address())
		g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, new(caddyhttp.Server))
			caddyhttp.SetVar(r.Context(), virtualkey.ClientVar, &virtualkey.Client{Name: "alice", Models: c.models})
			_ = g.handler.ServeHTTP(w, r, nil)
		}))
		t.Cleanup(g.Close)
		if res, text := g.ask(t, http.MethodPost, "/generate", "x"); res.StatusCode != c.want {
			t.Errorf("%s: %d %s, want %d", name, res.StatusCode, text, c.want)
		}
	}
}

// TestPickerChoosesForPassedRequests has a picker choose for requests that are no LLM requests,
// with a body and without, and fail in both modes.
func TestPickerChoosesForPassedRequests(t *testing.T) {
	for _, mode := range []string{"FailClose", "FailOpen"} {
		t.Run(mode, func(t *testing.T) {
			picker := fakepicker.New(t, "")
			a, b := newUpstream(t, tells("a")), newUpstream(t, tells("b"))
			g := passingGateway(t, fmt.Sprintf(`,"picker":{"protocol":"ext_proc","address":%q,"plaintext":true,"failure_mode":%q,"timeout":"1500ms"}`, picker.Address, mode), "", "", a.address(), b.address())
			for name, body := range map[string]string{"without a body": "", "small": `{"a":1}`, "5 MiB": strings.Repeat("x", megabytes)} {
				for _, echo := range []bool{false, true} {
					picker.Is(fakepicker.Behaviour{Endpoints: b.address(), Echo: echo, EchoHeaders: echo, Set: map[string]string{"X-Traced": "1"}, SetResponse: map[string]string{"X-By": "picker"}})
					res, text := g.ask(t, http.MethodPost, "/generate?x=1", body, "Authorization", "Bearer client")
					if res.StatusCode != http.StatusAccepted || text != "b POST /generate?x=1" || strings.Join(res.Header["X-By"], ",") != "picker" {
						t.Fatalf("%s, %v: %d %s", name, echo, res.StatusCode, text)
					}
					if got := <-b.requests; got.body != body || got.header.Get("X-Traced") != "1" || got.host != "models.example" {
						t.Errorf("%s, %v: the endpoint got %d bytes, %v", name, echo, len(got.body), got.header)
					}
					said := picker.Last(t, func(s *fakepicker.Seen) bool { return s.Served == b.address() })
					if said.Header[":path"] != "/generate?x=1" || said.Header["authorization"] != "" || string(said.Body) != body {
						t.Errorf("%s, %v: the picker got %v", name, echo, said.Header)
					}
				}
			}
			want := map[string]int{"FailClose": http.StatusServiceUnavailable, "FailOpen": http.StatusAccepted}[mode]
			for name, is := range map[string]fakepicker.Behaviour{
				"outside the pool": {Endpoints: "127.0.0.1:1"}, "no choice": {End: true}, "half a body": {FailAfter: 2}, "no decision": {Hang: true},
			} {
				picker.Is(is)
				if res, text := g.ask(t, http.MethodPost, "/x", "body"); res.StatusCode != want {
					t.Errorf("%s: %d %s, want %d", name, res.StatusCode, text, want)
				}
			}
			picker.Is(fakepicker.Behaviour{Status: http.StatusTooManyRequests, Body: "busy"})
			if res, text := g.ask(t, http.MethodGet, "/x", ""); res.StatusCode != http.StatusTooManyRequests || !strings.Contains(text, "busy") {
				t.Errorf("the picker sheds load: %d %s", res.StatusCode, text)
			}
		})
	}
}

// TestEvictedWhilePassed holds that a picker that ends a request ends it at the endpoint, too.
func TestEvictedWhilePassed(t *testing.T) {
	picker := fakepicker.New(t, "")
	ended := make(chan struct{})
	u := newUpstream(t, func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		close(ended)
	})
	g := passingGateway(t, fmt.Sprintf(`,"picker":{"protocol":"ext_proc","address":%q,"plaintext":true}`, picker.Address), "", "", u.address())
	picker.Is(fakepicker.Behaviour{Endpoints: u.address(), Evict: 50 * time.Millisecond})
	if res, text := g.ask(t, http.MethodGet, "/x", ""); res.StatusCode != http.StatusTooManyRequests {
		t.Errorf("%d %s", res.StatusCode, text)
	}
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the endpoint goes on")
	}
}

// TestPickersBodyCounts holds that a body which a picker replaces is sent, also on another
// connection, and counts against max_bodies; and that nothing is held while a response lasts.
func TestPickersBodyCounts(t *testing.T) {
	picker := fakepicker.New(t, "")
	arrived, goOn := make(chan struct{}), make(chan struct{})
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		arrived <- struct{}{}
		<-goOn
	})
	g := passingGateway(t, fmt.Sprintf(`,"picker":{"protocol":"ext_proc","address":%q,"plaintext":true}`, picker.Address), "", "", refusing(t), u.address())
	body := strings.Repeat("x", 1000) + "y"
	for _, echo := range []bool{false, true} {
		is := fakepicker.Behaviour{Endpoints: u.address(), Echo: echo, EchoHeaders: echo}
		want := body
		if echo {
			is.From, is.To, want = "y", "replaced", strings.Repeat("x", 1000)+"replaced"
		}
		picker.Is(is)
		before := g.app.bodies.All.Held()
		done := make(chan struct{})
		go func() {
			defer close(done)
			g.ask(t, http.MethodPost, "/x", body)
		}()
		<-arrived
		for end := time.Now().Add(5 * time.Second); g.app.bodies.All.Held() != before && time.Now().Before(end); {
			time.Sleep(5 * time.Millisecond)
		}
		if held := g.app.bodies.All.Held(); held != before {
			t.Errorf("echo %t: %d bytes are held while the response lasts, %d before", echo, held, before)
		}
		goOn <- struct{}{}
		<-done
		if got := <-u.requests; got.body != want {
			t.Errorf("echo %t: the endpoint got %d bytes, want %d", echo, len(got.body), len(want))
		}
	}
	limit := g.app.bodies.All.Limit()
	t.Cleanup(func() { g.app.bodies.All.SetLimit(limit) })
	g.app.bodies.All.SetLimit(1500) // room for the client's body alone
	if res, text := g.ask(t, http.MethodPost, "/x", body); res.StatusCode != http.StatusRequestEntityTooLarge || len(u.requests) > 0 {
		t.Errorf("over max_bodies: %d %s", res.StatusCode, text)
	}
}

// TestPickerLeavesTheAdminGuard holds that no picker takes away, or changes, the header with
// which Caddy's admin endpoint refuses a request.
func TestPickerLeavesTheAdminGuard(t *testing.T) {
	picker := fakepicker.New(t, "")
	u := newUpstream(t, tells("a"))
	g := passingGateway(t, fmt.Sprintf(`,"picker":{"protocol":"ext_proc","address":%q,"plaintext":true}`, picker.Address), "", "", u.address())
	picker.Is(fakepicker.Behaviour{Endpoints: u.address(), Set: map[string]string{"sec-fetch-mode": "cors", "x-set": "1"}})
	g.ask(t, http.MethodPost, "/x", "body")
	if got := (<-u.requests).header; got.Get("Sec-Fetch-Mode") != "no-cors" || got.Get("X-Set") != "1" {
		t.Errorf("the endpoint got %v", got)
	}
}

// TestPassesOnWithoutOwnKeys holds that a pool whose requests need a key or headers of its own
// is refused where requests are passed as they are.
func TestPassesOnWithoutOwnKeys(t *testing.T) {
	for more, bad := range map[string]bool{
		"": false, `,"headers":{"X-Team":"a"}`: true, `,"config":{"api_key":"{env.HOME}"}`: true, `,"headers":{"X-Secret":"{env.HOME}"}`: true, `,"rules":{"r":{"api_key":"{env.HOME}"}}`: true,
	} {
		name := unique("keyed")
		config := strings.TrimSuffix(pooled("", "127.0.0.1:1"), "}") + more + "}"
		for _, pass := range []bool{true, false} {
			_, err := tryGateway(t, providers(name, config), fmt.Sprintf(`{"rules":[{"name":"r","pass_other":%t,"backends":[{"provider":%q}]}]}`, pass, name))
			if want := bad && pass; (err != nil) != want || want && !strings.Contains(err.Error(), "pass_other") {
				t.Errorf("%s, pass_other %t: %v", more, pass, err)
			}
		}
	}
}
