package agents_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/fakemodel"
	"github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/gateway"
)

const (
	providerKey = "sk-of-the-provider-c45d02"
	// agentKey is what agents send; it must not reach the provider.
	agentKey = "sk-of-the-agent-3f9a17"
	// verdict is the model's last word.
	verdict = "Be at the pier before 06:41."
)

// notes are the files that the agent is to read, and what is in them.
var notes = []struct{ name, text string }{
	{"ferry.txt", `The ferry leaves at 06:41 & returns < 19:05, "weather" permitting. 潮水`},
	{"pier.txt", `C:\pier\7 is <closed>; take pier 9.`},
}

// bench is a gateway before a provider that speaks one API, and a folder with the notes for
// an agent to work in.
type bench struct {
	t        *testing.T
	api      fakemodel.API
	provider *fakeprovider.Server
	url      string
	dir      string
	home     string
	proxy    *refusingProxy
}

func newBench(t *testing.T, api fakemodel.API) *bench {
	t.Helper()
	s := fakeprovider.New(t)
	port := gateway.FreePort(t)
	gateway.Start(t, gateway.Render(t, `{
	llm {
		status_listen off
		{{.Provider}}
	}
}

http://:{{.Port}} {
	llm_route {
		rule agents {
			to main
		}
	}
}
`, map[string]any{"Provider": api.Block("main", s.URL(), s.CAFile()), "Port": port}), gateway.Env(fakemodel.KeyVariable, providerKey), gateway.Within(2*time.Minute))
	b := &bench{t: t, api: api, provider: s, url: fmt.Sprintf("http://127.0.0.1:%d", port), dir: t.TempDir(), home: t.TempDir(), proxy: newRefusingProxy(t)}
	for _, note := range notes {
		b.write(filepath.Join(b.dir, note.name), note.text+"\n")
	}
	return b
}

func (b *bench) write(path, content string) {
	b.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// run runs an agent in the folder, with an environment of its own, and returns what it
// wrote to standard output.
func (b *bench) run(env []string, name string, args ...string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = b.dir
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + b.home, "TMPDIR=" + b.t.TempDir(), "CI=1", "TERM=dumb", "NO_COLOR=1",
		"HTTP_PROXY=" + b.proxy.url, "HTTPS_PROXY=" + b.proxy.url, "NO_PROXY=127.0.0.1",
		"http_proxy=" + b.proxy.url, "https_proxy=" + b.proxy.url, "no_proxy=127.0.0.1",
	}, env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = 5 * time.Second // children may keep the pipes
	if err := cmd.Run(); err != nil {
		b.t.Errorf("%s: %v\n%s\n%s\nthe provider got %s", filepath.Base(name), err, stdout.String(), stderr.String(), b.bodies())
	}
	for _, host := range b.proxy.asked() {
		b.t.Errorf("the agent tried to reach %s", host)
	}
	b.t.Logf("%s\n%s", stdout.String(), stderr.String())
	return stdout.String()
}

// bodies is what the provider got, for error messages.
func (b *bench) bodies() string {
	var all strings.Builder
	for _, r := range b.provider.Requests() {
		fmt.Fprintf(&all, "\n%s %s\n%s\n", r.Method, r.Path, r.Body)
	}
	return all.String()
}

// refusingProxy stands where agents look for the way to the internet, and notes what
// they ask for.
type refusingProxy struct {
	url   string
	mu    sync.Mutex
	hosts []string
}

func newRefusingProxy(t *testing.T) *refusingProxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &refusingProxy{url: "http://" + listener.Addr().String()}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.hosts = append(p.hosts, r.Host)
		p.mu.Unlock()
		w.WriteHeader(http.StatusForbidden)
	})}
	go server.Serve(listener) //nolint:errcheck // ends with Close
	t.Cleanup(func() { _ = server.Close() })
	return p
}

func (p *refusingProxy) asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hosts
}
