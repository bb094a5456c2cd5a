package gateways_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/gateway"
)

// TestHostsChangeLive changes a Gateway's hosts under load: no request fails, and
// no connection is closed.
func TestHostsChangeLive(t *testing.T) {
	w := start(t, gatewayObject(server(80, `steady.example.com, first.example.com`)), "")
	c := client(t, w.http, nil)
	w.answers(c, "http://gw", "first.example.com", 200)
	w.answers(c, "http://gw", "second.example.com", 404)

	stop := make(chan struct{})
	var failed, done atomic.Int64
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			c := client(t, w.http, nil)
			for {
				select {
				case <-stop:
					return
				default:
				}
				if status, body := post(c, "http://gw", "steady.example.com"); status != 200 {
					failed.Add(1)
					t.Errorf("%d %s", status, body)
				}
				done.Add(1)
			}
		})
	}
	names := []string{"second.example.com", "first.example.com"}
	for i := range 10 {
		w.apply(gatewayObject(server(80, "steady.example.com, "+names[i%2]), server(81, "'*'")))
		w.answers(c, "http://gw", names[i%2], 200)
		w.answers(c, "http://gw", names[1-i%2], 404)
	}
	close(stop)
	wait.Wait()
	if failed.Load() > 0 || done.Load() < 20 {
		t.Errorf("%d of %d requests failed while hosts changed", failed.Load(), done.Load())
	}
}

// TestPortsComeAndGo adds and removes a port; the other one is not disturbed.
func TestPortsComeAndGo(t *testing.T) {
	w := start(t, gatewayObject(server(80, "'*'")), "")
	first, second := client(t, w.http, nil), client(t, w.other, nil)
	w.answers(first, "http://gw", "a.example.com", 200)
	if status, body := post(second, "http://gw", "a.example.com"); status != 0 {
		t.Fatalf("nobody should listen there: %d %s", status, body)
	}
	w.apply(gatewayObject(server(80, "'*'"), server(81, "'*'")))
	w.answers(second, "http://gw", "a.example.com", 200)
	w.apply(gatewayObject(server(80, "'*'")))
	until(t, "a closed port", func() (bool, string) {
		c, err := net.Dial("tcp", w.other)
		if err == nil {
			_ = c.Close()
		}
		return err != nil, "it still listens"
	})
	w.answers(first, "http://gw", "a.example.com", 200)
}

// TestPortThatIsTaken has another process on a port: the other port works, the
// view says what is wrong, and the port is opened once it is free.
func TestPortThatIsTaken(t *testing.T) {
	w := start(t, gatewayObject(server(80, "'*'")), "")
	l, err := net.Listen("tcp", strings.Replace(w.other, "127.0.0.1", "", 1))
	if err != nil {
		t.Fatal(err)
	}
	w.apply(gatewayObject(server(80, "'*'"), server(81, "'*'")))
	until(t, "a problem in the view", func() (bool, string) {
		for _, l := range w.listeners() {
			if strings.HasSuffix(w.other, l.Address) && strings.Contains(l.Problem, "address already in use") {
				return true, ""
			}
		}
		return false, fmt.Sprint(w.listeners())
	})
	w.answers(client(t, w.http, nil), "http://gw", "a.example.com", 200)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	w.answers(client(t, w.other, nil), "http://gw", "a.example.com", 200)
}

// TestBesideSites has a site that serves the Gateway's table, and one that only
// listens at the same port.
func TestBesideSites(t *testing.T) {
	t.Run("a site serves the table", func(t *testing.T) {
		w := start(t, gatewayObject(server(80, "'*'")), "http://:HTTP_PORT {\n\theader X-Site yes\n\tllm_route {\n\t\ttable istio-system/gw\n\t}\n}")
		w.answers(client(t, w.http, nil), "http://gw", "a.example.com", 200)
		if l := w.listeners(); len(l) > 0 {
			t.Errorf("the gateway listens by itself as well: %v", l)
		}
	})
	t.Run("a site has the port", func(t *testing.T) {
		w := start(t, gatewayObject(server(80, "'*'")), "http://:HTTP_PORT {\n\trespond \"site\"\n}")
		l := w.listeners()
		if len(l) != 1 || !strings.Contains(l[0].Problem, "the sites of server") {
			t.Errorf("want a problem that names the site; got %v", l)
		}
		for range 20 {
			if status, body := post(client(t, w.http, nil), "http://gw", "a.example.com"); status != 200 || body != "site" {
				t.Fatalf("%d %s; want the site's answer each time", status, body)
			}
		}
	})
}

// TestReloadKeepsPorts reloads the Caddyfile: what listened goes on.
func TestReloadKeepsPorts(t *testing.T) {
	w := start(t, gatewayObject(server(80, "'*'")), "")
	c := client(t, w.http, nil)
	w.answers(c, "http://gw", "a.example.com", 200)
	for i := range 3 {
		w.params["Sites"] = fmt.Sprintf("http://127.0.0.1:0 {\n\trespond %d\n}", i)
		if err := w.Reload(gateway.Render(t, config, w.params)); err != nil {
			t.Fatal(err)
		}
		w.answers(c, "http://gw", "a.example.com", 200)
	}
	w.apply(gatewayObject(server(80, "b.example.com")))
	w.answers(c, "http://gw", "a.example.com", 404)
	w.answers(c, "http://gw", "b.example.com", 200)
}

// TestDrain opens a stream and stops the gateway: new connections are refused at
// once, and the stream comes to its end.
func TestDrain(t *testing.T) {
	w := start(t, gatewayObject(server(80, "'*'")), "")
	c := client(t, w.http, nil)
	w.answers(c, "http://gw", "a.example.com", 200)
	const events = 30
	pieces := make([]string, events, events+1)
	for i := range pieces {
		pieces[i] = fmt.Sprintf(`data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"piece %d"}}]}`+"\n\n", i)
	}
	w.provider.Script(fakeprovider.Always(fakeprovider.SSE(append(pieces, "data: [DONE]\n\n")...).Every(100 * time.Millisecond)))
	req, _ := http.NewRequest(http.MethodPost, "http://gw", strings.NewReader(`{"stream":true,"messages":[]}`))
	req.Header.Set("Content-Type", "application/json")
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	w.Signal(syscall.SIGTERM)
	until(t, "a refused connection", func() (bool, string) {
		c, err := net.Dial("tcp", w.http)
		if err == nil {
			_ = c.Close()
		}
		return err != nil, "it still listens"
	})
	text, err := io.ReadAll(res.Body)
	if err != nil || !strings.Contains(string(text), fmt.Sprint("piece ", events-1)) || !strings.HasSuffix(string(text), "[DONE]\n\n") {
		t.Errorf("the stream was cut: %v\n%s", err, text)
	}
	if code := w.WaitExit(20 * time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
