package llmroute

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
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
	if v := app.View(); len(v.Listeners) != 1 || !strings.Contains(v.Listeners[0].Problem, "the status listener has "+address) {
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

func TestListenersKeepWhatTheyExpect(t *testing.T) {
	if got := union([]string{"b_", "a_"}, []string{"b_", "c.d"}); fmt.Sprint(got) != "[a_ b_ c.d]" {
		t.Errorf("got %v", got)
	}
}
