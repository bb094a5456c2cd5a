package httproute

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-llm/gateway/llmprovider"
)

// serve provisions a handler, given as JSON, and serves it. What it returns is the status of
// an error, in the header X-Error.
func serve(t *testing.T, config string) (*httptest.Server, *Call) {
	t.Helper()
	ctx, err := caddy.ProvisionContext(&caddy.Config{Admin: &caddy.AdminConfig{Disabled: true}})
	if err != nil {
		t.Fatal(err)
	}
	module, err := ctx.LoadModuleByID("http.handlers.llm_http_route", json.RawMessage(config))
	if err != nil {
		t.Fatal(err)
	}
	h := module.(*Handler)
	t.Cleanup(func() {
		if err := h.Cleanup(); err != nil {
			t.Error(err)
		}
	})
	call := new(Call)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*call = Call{Port: 8080}
		r = caddyhttp.PrepareRequest(r.WithContext(With(r.Context(), call)), caddy.NewReplacer(), w, new(caddyhttp.Server))
		if err := h.ServeHTTP(w, r, nil); err != nil {
			status, own, coded := http.StatusInternalServerError, new(llmprovider.Error), caddyhttp.HandlerError{}
			if errors.As(err, &own) {
				status = own.Status
			} else if errors.As(err, &coded) {
				status = coded.StatusCode
			}
			w.Header().Set("X-Error", err.Error())
			w.WriteHeader(status)
		}
	}))
	t.Cleanup(s.Close)
	return s, call
}

// echo is a server that says what it got: its name, the method, the host, the target, the
// header X-A, the loop's mark and the body.
func echo(t *testing.T, name string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header()["X-Own"] = []string{"own"}
		fmt.Fprintf(w, "%s %s %s %s a=%s loop=%v gone=%q fetch=%s %s", name, r.Method, r.Host, r.RequestURI, strings.Join(r.Header["X-A"], ","),
			strings.Contains(r.Header.Get("Cdn-Loop"), "llm-gateway-"), r.Header.Get("X-Gone"), r.Header.Get("Sec-Fetch-Mode"), body)
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func send(t *testing.T, s *httptest.Server, method, target, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "a.example"
	req.Header = http.Header{"X-A": {"client"}, "X-Gone": {"x"}, "Cdn-Loop": {"other"}, "Sec-Fetch-Mode": {"navigate"}}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, _ := io.ReadAll(res.Body)
	return res, string(data)
}

// TestProxiesAreShared has routes come and go, in any order.
func TestProxiesAreShared(t *testing.T) {
	ctx, err := caddy.ProvisionContext(&caddy.Config{Admin: &caddy.AdminConfig{Disabled: true}})
	if err != nil {
		t.Fatal(err)
	}
	addresses := []string{echo(t, "a"), echo(t, "b")}
	count := func() (n int) {
		proxies.Range(func(any, any) bool { n++; return true })
		return n
	}
	before := count()
	type route struct {
		*Handler
		cancel context.CancelFunc
	}
	load := func(services string) route {
		t.Helper()
		ctx, cancel := caddy.NewContext(ctx)
		module, err := ctx.LoadModuleByID("http.handlers.llm_http_route", json.RawMessage(`{"services":[`+services+`]}`))
		if err != nil {
			t.Fatal(err)
		}
		return route{module.(*Handler), cancel} // which cleans the handler up
	}
	a, b := fmt.Sprintf(`{"endpoints":[%q]}`, addresses[0]), fmt.Sprintf(`{"endpoints":[%q]}`, addresses[1])
	old, other := load(a+","+a), load(a+","+b)
	if got := count() - before; got != 2 {
		t.Errorf("%d proxies for two sets of endpoints", got)
	}
	if old.Services[0].proxy != other.Services[0].proxy {
		t.Error("the same endpoints have two proxies")
	}
	old.cancel()
	next := load(a)
	if next.Services[0].proxy != other.Services[0].proxy {
		t.Error("the next snapshot has a proxy of its own")
	}
	other.cancel()
	if got := count() - before; got != 1 {
		t.Errorf("%d proxies after the second one's end", got)
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/x", nil)
	r = caddyhttp.PrepareRequest(r.WithContext(With(r.Context(), new(Call))), caddy.NewReplacer(), w, new(caddyhttp.Server))
	if err := next.ServeHTTP(w, r, nil); err != nil || !strings.HasPrefix(w.Body.String(), "a GET") {
		t.Errorf("after the end of the snapshot that set up the proxy: %v, %q", err, w.Body)
	}
	next.cancel()
	if got := count() - before; got != 0 {
		t.Errorf("%d proxies are left", got)
	}
}

func TestServices(t *testing.T) {
	a := echo(t, "a")
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	for name, c := range map[string]struct {
		config, target string
		status         int
		want           string
	}{
		"as it is":      {`{"services":[{"name":"s","endpoints":["` + a + `"]}]}`, "/x%2Fy?b=c", 200, `a POST a.example /x%2Fy?b=c a=client loop=true gone="x" fetch=no-cors hi`},
		"any host":      {`{"allow_any_host":true,"services":[{"name":"s","endpoints":["` + a + `"]}]}`, "/", 200, `a POST a.example / a=client loop=true gone="x" fetch=navigate hi`},
		"headers":       {`{"request_headers":{"set":[{"name":"x-a","value":"{env.HOME}"}],"add":[{"name":"X-A","value":"2"}],"remove":["x-gone","cdn-loop"]},"services":[{"name":"s","endpoints":["` + a + `"]}]}`, "/", 200, `a POST a.example / a={env.HOME},2 loop=true gone="" fetch=no-cors hi`},
		"both headers":  {`{"request_headers":{"add":[{"name":"X-A","value":"1"}]},"services":[{"name":"s","request_headers":{"add":[{"name":"X-A","value":"2"}]},"endpoints":["` + a + `"]}]}`, "/", 200, `a POST a.example / a=client,1,2 loop=true gone="x" fetch=no-cors hi`},
		"rewrite":       {`{"rewrite":{"host":"b.example","path":{"prefix":"/","of":"/x"}},"services":[{"name":"s","endpoints":["` + a + `"]}]}`, "/x/y", 200, `a POST b.example /y a=client loop=true gone="x" fetch=no-cors hi`},
		"weights":       {`{"services":[{"name":"t","weight":0,"unusable":"x"},{"name":"s","endpoints":["` + a + `"]}]}`, "/", 200, `a POST a.example / a=client loop=true gone="x" fetch=no-cors hi`},
		"a dead one":    {`{"services":[{"name":"s","endpoints":["` + closed.Addr().String() + `","` + a + `"]}]}`, "/", 200, `a POST a.example / a=client loop=true gone="x" fetch=no-cors hi`},
		"all are dead":  {`{"services":[{"name":"s","endpoints":["` + closed.Addr().String() + `"]}]}`, "/", 502, ""},
		"no endpoint":   {`{"services":[{"name":"s"}]}`, "/", 503, ""},
		"unusable":      {`{"services":[{"name":"s","unusable":"x","endpoints":["` + a + `"]}]}`, "/", 500, ""},
		"no weight":     {`{"services":[{"name":"s","weight":0,"endpoints":["` + a + `"]}]}`, "/", 500, ""},
		"no services":   {`{}`, "/", 500, ""},
		"an odd path":   {`{"services":[{"name":"s","endpoints":["` + a + `"]}]}`, "/a/%2e%2e/b", 400, ""},
		"odd redirects": {`{"redirect":{"host":"b"}}`, "/a/%2e%2e/b", 400, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, call := serve(t, c.config)
			res, body := send(t, s, http.MethodPost, c.target, "hi")
			if res.StatusCode != c.status || body != c.want {
				t.Errorf("%d %s (%s), want %d %s", res.StatusCode, body, res.Header.Get("X-Error"), c.status, c.want)
			}
			if c.status == 200 && (call.Status != 200 || call.Service != "s") {
				t.Errorf("the call is %+v", call)
			}
		})
	}
}

// TestWithheld holds what a service is not told, whoever says it.
func TestWithheld(t *testing.T) {
	for upgrade, kept := range map[string]bool{"websocket": true, "WebSocket": true, "h2c": false, "websocket, h2c": false, "": false} {
		h := http.Header{
			"X-Forwarded-Client-Cert": {"URI=spiffe://x"}, "X-Envoy-Original-Path": {"/"}, "Http2-Settings": {"x"}, "Upgrade": {upgrade}, "X-A": {"a"},
		}
		withhold(h)
		if _, has := h["Upgrade"]; has != kept {
			t.Errorf("Upgrade: %s is kept: %t", upgrade, has)
		}
		if delete(h, "Upgrade"); len(h) != 1 || h.Get("X-A") != "a" {
			t.Errorf("left are %v", h)
		}
	}
}

// TestConnectionTakesNothingSetSince holds that what the client's Connection names is not taken
// from what the gateway sets, and that the client's own headers of the connection are not sent.
func TestConnectionTakesNothingSetSince(t *testing.T) {
	h := &Handler{RequestHeaders: &HeaderChange{Set: []Header{{"X-Set", "1"}}}}
	service := &Service{RequestHeaders: &HeaderChange{Set: []Header{{"X-User", "own"}}}}
	for connection, left := range map[string]string{
		"keep-alive, X-User, Sec-Fetch-Mode, Cdn-Loop, x-set, X-Hop": "",
		"x-hop": "", "upgrade, x-user, x-hop": "Upgrade", "keep-alive, X-Hop, Upgrade": "Upgrade", "Connection, X-Hop": "",
	} {
		for _, protocol := range []string{"websocket", "h2c", ""} {
			r := httptest.NewRequest(http.MethodGet, "http://a.example/", nil)
			r.Header = http.Header{"Connection": {connection}, "X-User": {"client"}, "X-Hop": {"client"}, "Sec-Fetch-Mode": {"navigate"}}
			if protocol != "" {
				r.Header["Upgrade"] = []string{protocol}
			}
			want := "own 1 no-cors true " + left
			if protocol != "websocket" {
				want = "own 1 no-cors true "
			}
			out := h.request(r, service).Header
			got := fmt.Sprint(out.Get("X-User"), " ", out.Get("X-Set"), " ", out.Get("Sec-Fetch-Mode"), " ", out["Cdn-Loop"] != nil, " ", strings.Join(out["Connection"], ";"))
			if out["X-Hop"] != nil || got != want || (out["Upgrade"] != nil) != (out["Connection"] != nil) {
				t.Errorf("%s, %q: %v, want %s", connection, protocol, out, want)
			}
		}
	}
}

// TestWebSocket opens one to a service, whatever else the client's Connection names, and has
// the service send an interim response before other ones.
func TestWebSocket(t *testing.T) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			w.WriteHeader(http.StatusEarlyHints)
			fmt.Fprint(w, r.Header.Get("Connection"), r.Header.Get("X-Hop"))
			return
		}
		_, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		fmt.Fprintf(buffered, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n%s %s%s\n", r.Header.Get("Connection"), r.Header.Get("Sec-Fetch-Mode"), r.Header.Get("X-Hop"))
		_ = buffered.Flush()
	}))
	t.Cleanup(service.Close)
	var c net.Conn
	t.Cleanup(func() { // after the handler's Cleanup, which tells the client
		if c != nil {
			_ = c.Close()
		}
	})
	s, call := serve(t, `{"response_headers":{"set":[{"name":"X-Set","value":"1"}]},"services":[{"name":"s","endpoints":["`+strings.TrimPrefix(service.URL, "http://")+`"]}]}`)
	var err error
	if c, err = net.Dial("tcp", strings.TrimPrefix(s.URL, "http://")); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: keep-alive, X-Hop, Sec-Fetch-Mode, upgrade\r\nUpgrade: websocket\r\nX-Hop: hop\r\n\r\n")
	from := bufio.NewReader(c)
	res, err := http.ReadResponse(from, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", res, err)
	}
	if line, err := from.ReadString('\n'); line != "Upgrade no-cors\n" {
		t.Errorf("%q, %v", line, err)
	}
	res, body := send(t, s, http.MethodGet, "/", "")
	if res.StatusCode != http.StatusOK || res.Header.Get("X-Set") != "1" || call.Status != http.StatusOK || body != "" {
		t.Errorf("after an interim response: %d %v %q", res.StatusCode, res.Header, body)
	}
}

// TestEndpointsInTurn holds that all endpoints get requests, and a dead one harms none.
func TestEndpointsInTurn(t *testing.T) {
	s, _ := serve(t, `{"services":[{"name":"s","endpoints":["`+echo(t, "a")+`","`+echo(t, "b")+`","127.0.0.1:1"]}]}`)
	got := make(map[string]int)
	for range 12 {
		res, body := send(t, s, http.MethodGet, "/", "")
		if res.StatusCode != 200 {
			t.Fatalf("%d %s", res.StatusCode, body)
		}
		got[body[:1]]++
	}
	if got["a"] < 3 || got["b"] < 3 {
		t.Errorf("the endpoints got %v", got)
	}
}

func TestResponses(t *testing.T) {
	change := `"response_headers":{"set":[{"name":"X-Set","value":"1"}],"add":[{"name":"X-Own","value":"2"}],"remove":["content-type"]}`
	s, call := serve(t, `{`+change+`,"services":[{"name":"s","response_headers":{"add":[{"name":"x-own","value":"3"}]},"endpoints":["`+echo(t, "a")+`"]}]}`)
	res, _ := send(t, s, http.MethodGet, "/", "")
	if got := fmt.Sprint(res.Header["X-Set"], res.Header["X-Own"], res.Header["Content-Type"], call.Status); got != "[1] [own 2 3] [] 200" {
		t.Errorf("the response has %s", got)
	}
	s, call = serve(t, `{`+change+`,"redirect":{"scheme":"https","status":301}}`)
	res, _ = send(t, s, http.MethodGet, "/x?y", "")
	if got := fmt.Sprint(res.StatusCode, res.Header["Location"], res.Header["X-Set"], call.Status, call.Service); got != "301 [https://a.example/x?y] [1] 301" {
		t.Errorf("the redirect is %s", got)
	}
	s, _ = serve(t, `{"redirect":{}}`)
	if res, _ = send(t, s, http.MethodGet, "/x", ""); res.Header.Get("Location") != "http://a.example:8080/x" || res.StatusCode != 302 {
		t.Errorf("the redirect is %d to %s", res.StatusCode, res.Header.Get("Location"))
	}
}

func TestTunnelsAreRefused(t *testing.T) {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodConnect, "http://a.example/", nil)
	err := new(Handler).ServeHTTP(httptest.NewRecorder(), r, nil)
	if refused, ok := errors.AsType[*llmprovider.Error](err); !ok || refused.Status != http.StatusNotImplemented {
		t.Errorf("%v", err)
	}
}

func TestBadHandlers(t *testing.T) {
	ctx, err := caddy.ProvisionContext(&caddy.Config{Admin: &caddy.AdminConfig{Disabled: true}})
	if err != nil {
		t.Fatal(err)
	}
	for config, want := range map[string]string{
		`{"redirect":{},"services":[{}]}`:                     "keep one of them",
		`{"services":[{"weight":-1}]}`:                        "out of range",
		`{"services":[{"endpoints":["{env.HOME}:80"]}]}`:      "no address",
		`{"services":[{"endpoints":["example.com:80"]}]}`:     "no address",
		`{"services":[{"endpoints":["10.0.0.1"]}]}`:           "no address",
		`{"services":[{"endpoints":["unix//run/app.sock"]}]}`: "no address",
	} {
		if _, err := ctx.LoadModuleByID("http.handlers.llm_http_route", json.RawMessage(config)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", config, err, want)
		}
	}
}
