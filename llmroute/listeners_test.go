package llmroute

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/llmroute/status"
)

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func provisioned(t *testing.T, config string) *App {
	t.Helper()
	ctx, err := caddy.ProvisionContext(&caddy.Config{Admin: &caddy.AdminConfig{Disabled: true}, AppsRaw: caddy.ModuleMap{"llm": json.RawMessage(config)}})
	if err != nil {
		t.Fatal(err)
	}
	app, err := ctx.App("llm")
	if err != nil {
		t.Fatal(err)
	}
	return app.(*App)
}

const oneListener = `"listeners":[{"address":%q,"servers":[{"hosts":["*"],"table":"none"}]}]`

// TestFailedStartClosesListeners has a status listener that cannot be started:
// what was opened before must not stay, since Caddy stops no app that did not
// start.
func TestFailedStartClosesListeners(t *testing.T) {
	address := freeAddress(t)
	app := provisioned(t, fmt.Sprintf(`{"status_listen":"192.0.2.1:1",`+oneListener+`}`, address))
	if err := app.Start(); err == nil {
		t.Fatal("it started at an address that this machine does not have")
	}
	if err := app.Cleanup(); err != nil {
		t.Fatal(err)
	}
	// A server that is stopped before it began to serve closes in its own time.
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		c, err := net.Dial("tcp", address)
		if err != nil {
			return
		}
		_ = c.Close()
		if time.Now().After(deadline) {
			t.Fatal("the listener is still open")
		}
	}
}

func TestListenerLeavesTheStatusListenerAlone(t *testing.T) {
	address := freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	app := provisioned(t, fmt.Sprintf(`{"status_listen":%q,`+oneListener+`}`, address, ":"+port))
	if err := app.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = app.Stop()
		_ = app.Cleanup()
	}()
	if v := status.ViewOf(app); len(v.Listeners) != 1 || !strings.Contains(v.Listeners[0].Problem, "the status listener has "+address) {
		t.Errorf("the view says %+v", v.Listeners)
	}
	for range 20 {
		res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + address + "/healthz")
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("GET /healthz: %v %v", res, err)
		}
		_ = res.Body.Close()
	}
}

// TestListenerBeforeTheFirstState asks at the address of a source that has said
// nothing yet.
func TestListenerBeforeTheFirstState(t *testing.T) {
	address, key := freeAddress(t), unique("feed")
	testFeeds.Store(key, &testFeed{})
	app := provisioned(t, fmt.Sprintf(`{"status_listen":"off","source":{"source":"test","key":%q,"listen":%q}}`, key, address))
	if err := app.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = app.Stop()
		_ = app.Cleanup()
	}()
	res, err := http.Post("http://"+address, "application/json", strings.NewReader(chat))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503", res.StatusCode)
	}
}

// TestKeysAtAListener has virtual keys at a listener of the gateway's own: without one
// nothing is served, and the key reaches no provider.
func TestKeysAtAListener(t *testing.T) {
	address, u := freeAddress(t), newUpstream(t, answers("hello"))
	file := writeKeys(t, keyLine("alice", "sk-alice", "m"))
	app := provisioned(t, fmt.Sprintf(`{"status_listen":"off","keys":{"file":%q},"providers":{"keyed":%s},`+
		`"routes":{"all":[{"hosts":["*"],"rules":[{"name":"r","backends":[{"provider":"keyed"}]}]}]},`+
		`"listeners":[{"address":%q,"servers":[{"hosts":["*"],"table":"all"}]}]}`, file, u.provider(""), address))
	if err := app.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = app.Stop()
		_ = app.Cleanup()
	}()
	for _, test := range []struct {
		method, path, body, header, value string
		status                            int
		says                              string
	}{
		{"POST", "/", `{"model":"m","messages":[]}`, "Authorization", "Bearer sk-alice", 200, "hello"},
		{"POST", "/v1/messages", `{"model":"m"}`, "X-Api-Key", "sk-bob", 401, `"authentication_error"`},
		{"POST", "/", `{"model":"m","messages":[]}`, "X-Other", "x", 401, "invalid_api_key"},
		{"POST", "/", `{"model":"other","messages":[]}`, "Authorization", "Bearer sk-alice", 403, "model_not_allowed"},
		{"GET", "/v1/models", "", "X-Other", "x", 401, "invalid_api_key"},
		{"POST", "/nothing", "{}", "X-Other", "x", 401, "invalid_api_key"},
		{"OPTIONS", "/", "", "Origin", "http://a.example", 401, "invalid_api_key"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), test.method, "http://"+address+test.path, strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(test.header, test.value)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		said, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != test.status || !strings.Contains(string(said), test.says) {
			t.Errorf("%s %s with %s: got %d %s", test.method, test.path, test.value, res.StatusCode, said)
		}
		if test.status == 401 && res.Header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s %s: the headers are %v", test.method, test.path, res.Header)
		}
	}
	if got := u.count(); got != 1 {
		t.Fatalf("the provider got %d requests", got)
	}
	if got := <-u.requests; strings.Contains(fmt.Sprint(got.header), "sk-alice") {
		t.Errorf("the provider got %v", got.header)
	}
}
