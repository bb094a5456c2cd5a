package operations_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	fp "github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/gateway"
)

const statusConfig = `{
	llm {
{{.Options}}
		provider p {{.URL}}
	}
}
http://:{{.Port}} {
	llm_route {
		to p
	}
}
`

func TestStatusListener(t *testing.T) {
	up := fp.New(t, fp.Plain(), fp.HTTP1Only())
	port, status := gateway.FreePort(t), gateway.FreePort(t)
	config := func(address string) string {
		return gateway.Render(t, statusConfig, map[string]any{"URL": up.URL(), "Port": port, "Options": "\t\tstatus_listen " + address})
	}
	g := gateway.Start(t, config(fmt.Sprintf("127.0.0.1:%d", status)))
	post(t, port, "/", `{}`)

	for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ok\n"} {
		if a := get(t, status, path); a.status != 200 || a.body != want {
			t.Errorf("%s: %d %q", path, a.status, a.body)
		}
	}
	a := get(t, status, "/metrics")
	for _, want := range []string{"asm_llm_proxy_prompt_tokens{", "llm_attempts_total{", "go_goroutines "} {
		if a.status != 200 || !strings.Contains(a.body, "\n"+want) {
			t.Errorf("/metrics: %d without %s", a.status, want)
		}
	}
	if a := get(t, status, "/"); a.status != 200 || !strings.Contains(a.body, "<title>LLM gateway</title>") {
		t.Errorf("the page: %d", a.status)
	}
	if a := get(t, status, "/status.json"); a.status != 200 || !strings.Contains(a.body, `"prompt_tokens":9`) {
		t.Errorf("the page's data: %d %s", a.status, a.body)
	}
	if a := get(t, status, "/status.json", "Host", "elsewhere.example.com"); a.status != 403 {
		t.Errorf("the page's data for another name: %d %s", a.status, a.body)
	}
	// Nothing else is there: no request can reach a provider through it.
	for _, path := range []string{"/", "/config/", "/v1/chat/completions", "/debug/pprof/"} {
		if a := post(t, status, path, `{}`); len(a.body) > 0 && a.status == 200 {
			t.Errorf("%s: %d %q", path, a.status, a.body)
		}
	}
	if up.Count() != 1 {
		t.Errorf("the provider received %d requests", up.Count())
	}

	t.Run("counts outlive a reload, on another port", func(t *testing.T) {
		before := tokens(t, status)
		other := gateway.FreePort(t)
		if err := g.Reload(config(fmt.Sprintf("127.0.0.1:%d", other))); err != nil {
			t.Fatal(err)
		}
		postAfterReload(t, port, "/", `{}`)
		if now := tokens(t, other); now != 2*before || before != 9 {
			t.Errorf("%v tokens before, %v after another request", before, now)
		}
		waitFor(t, "the old port to close", func() bool { return refuses(t, status) })
	})
	t.Run("without the page", func(t *testing.T) {
		other := gateway.FreePort(t)
		if err := g.Reload(config(fmt.Sprintf("127.0.0.1:%d\n\t\tstatus_page off", other))); err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]int{"/": 404, "/status.json": 404, "/healthz": 200, "/metrics": 200} {
			if a := get(t, other, path); a.status != want {
				t.Errorf("%s: %d, want %d", path, a.status, want)
			}
		}
	})
	t.Run("off", func(t *testing.T) {
		if err := g.Reload(config("off")); err != nil {
			t.Fatal(err)
		}
		if a := postAfterReload(t, port, "/", `{}`); a.status != 200 {
			t.Errorf("got %d", a.status)
		}
		waitFor(t, "the port to close", func() bool { return refuses(t, status) })
	})
	t.Run("on a unix socket", func(t *testing.T) {
		dir, err := os.MkdirTemp("", "status") // a test's own directory may be too long a path
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		socket := filepath.Join(dir, "s")
		if err := g.Reload(config("unix/" + socket)); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(socket); err != nil {
			t.Error(err)
		}
	})
}

// tokens is the number of input tokens that the gateway counts.
func tokens(t *testing.T, status int) (sum float64) {
	t.Helper()
	for _, s := range metrics(t, status)["asm_llm_proxy_prompt_tokens"] {
		sum += s.value
	}
	return sum
}

// refuses reports whether nobody listens at a port.
func refuses(t *testing.T, port int) bool {
	t.Helper()
	_, err := try(t.Context(), http.MethodGet, port, "/healthz", "")
	return errors.Is(err, syscall.ECONNREFUSED)
}

// A gateway on which a stream is still open stays healthy and is not ready for
// more while it shuts down.
func TestStatusWhileShuttingDown(t *testing.T) {
	up := fp.New(t, fp.Plain(), fp.HTTP1Only())
	gate := make(chan struct{})
	up.Script(func(int, *fp.Recorded) fp.Reply {
		<-gate
		return fp.JSON(200, `{}`)
	})
	port, status := gateway.FreePort(t), gateway.FreePort(t)
	g := gateway.Start(t, gateway.Render(t, statusConfig, map[string]any{"URL": up.URL(), "Port": port, "Options": fmt.Sprintf("\t\tstatus_listen 127.0.0.1:%d", status)}))
	answered := make(chan answer, 1)
	go func() {
		a, _ := try(t.Context(), http.MethodPost, port, "/", `{}`) // status 0 is seen below
		answered <- a
	}()
	waitFor(t, "the request to be under way", func() bool { return up.InFlight() == 1 })
	g.Signal(syscall.SIGTERM)
	waitFor(t, "the gateway not to be ready", func() bool { return get(t, status, "/readyz").status == http.StatusServiceUnavailable })
	if a := get(t, status, "/healthz"); a.status != 200 {
		t.Errorf("/healthz: %d", a.status)
	}
	close(gate)
	if a := <-answered; a.status != 200 {
		t.Errorf("the request under way got %d", a.status)
	}
	if code := g.WaitExit(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// A taken port is an error that names the address and what to do. A running
// gateway keeps its configuration.
func TestBusyStatusPort(t *testing.T) {
	up := fp.New(t, fp.Plain(), fp.HTTP1Only())
	port, busy := gateway.FreePort(t), listen(t)
	config := func(address string) string {
		return gateway.Render(t, statusConfig, map[string]any{"URL": up.URL(), "Port": port, "Options": "\t\tstatus_listen " + address})
	}
	address := fmt.Sprintf("127.0.0.1:%d", busy)
	clear := func(err error) {
		t.Helper()
		if err == nil {
			t.Fatal("no error")
		}
		for _, want := range []string{"status listener", address, "address already in use", "status_listen", "off"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("the error does not say %q: %v", want, err)
			}
		}
	}
	began := time.Now()
	_, err := gateway.TryStart(t, config(address))
	clear(err)
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("it took %v", took)
	}

	g := gateway.Start(t, config("off"))
	clear(g.Reload(config(address)))
	if a := post(t, port, "/", `{}`); a.status != 200 {
		t.Errorf("after a refused reload the gateway answers %d", a.status)
	}
	for _, bad := range []string{"127.0.0.1", "nonsense", "127.0.0.1:99999", "http://127.0.0.1:1"} {
		if err := g.Reload(config(bad)); err == nil || !strings.Contains(err.Error(), "status_listen") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
