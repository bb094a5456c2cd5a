package gateway

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/internal/host"
)

// Gateway is a running gateway process.
type Gateway struct {
	// Dir is the process's working directory, where relative paths in its
	// config lead. Home and the XDG directories are below it.
	Dir string
	// Admin is the address of its admin endpoint in Caddy's notation: a unix
	// socket of its own, unless AdminAt said otherwise.
	Admin string

	t      testing.TB
	binary string
	set    settings
	env    []string
	cmd    *exec.Cmd
	book   *logBook
	done   chan struct{}
	exit   error
	stopMu sync.Mutex
	asked  bool
}

// Option changes how a gateway is started.
type Option func(*settings)

type settings struct {
	env     []string
	args    []string
	files   map[string]string
	adapter string
	admin   string
	dir     string
	timeout time.Duration
}

// Env sets an environment variable. The process sees only these, PATH, TMPDIR,
// GOCOVERDIR, and a home of its own.
func Env(name, value string) Option {
	return func(s *settings) { s.env = append(s.env, name+"="+value) }
}

// Args adds arguments to caddy run.
func Args(args ...string) Option { return func(s *settings) { s.args = append(s.args, args...) } }

// File puts a file into the working directory before the start.
func File(name, content string) Option {
	return func(s *settings) { s.files[name] = content }
}

// Adapter names the config adapter. Without it a config that is JSON is taken
// as it is, and any other is a Caddyfile.
func Adapter(name string) Option { return func(s *settings) { s.adapter = name } }

// AdminAt tells where the config puts the admin endpoint, when it sets one.
func AdminAt(address string) Option { return func(s *settings) { s.admin = address } }

// In uses an existing working directory, for a second start on the state of
// the first: In(g.Dir).
func In(dir string) Option { return func(s *settings) { s.dir = dir } }

// Within changes how long the start may take (default 30 s).
func Within(d time.Duration) Option { return func(s *settings) { s.timeout = d } }

// Start runs the gateway with a config and returns when it serves. When the
// test ends the process is stopped, and the test fails if the process had
// panicked, met a data race, or ended on its own.
func Start(t testing.TB, config string, options ...Option) *Gateway {
	t.Helper()
	g, err := TryStart(t, config, options...)
	if err != nil {
		t.Fatalf("starting the gateway: %v", err)
	}
	return g
}

// TryStart is Start for configs that may be refused; the error holds what the
// gateway printed. The Gateway is returned either way, for its logs.
func TryStart(t testing.TB, config string, options ...Option) (*Gateway, error) {
	t.Helper()
	g := newGateway(t, options...)
	args, err := writeConfig(g.Dir, config, g.set.adapter)
	if err != nil {
		return g, err
	}
	err = g.launch(append(args, g.set.args...))
	if g.cmd.Process != nil {
		if err != nil {
			g.Kill()
		}
		t.Cleanup(g.cleanUp)
	}
	return g, err
}

// newGateway prepares everything but the process.
func newGateway(t testing.TB, options ...Option) *Gateway {
	t.Helper()
	g := &Gateway{
		t: t, binary: Binary(t),
		set:  settings{files: map[string]string{}, timeout: 30 * time.Second},
		book: &logBook{changed: make(chan struct{})},
		done: make(chan struct{}),
	}
	for _, o := range options {
		o(&g.set)
	}
	g.Dir = g.set.dir
	if g.Dir == "" {
		g.Dir = t.TempDir()
	}
	g.Admin = g.set.admin
	if g.Admin == "" {
		// A test's own directory may be too long a path for a socket.
		dir, err := os.MkdirTemp("", "gw")
		if err != nil {
			t.Fatalf("making a directory for the admin socket: %v", err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		g.Admin = "unix/" + filepath.Join(dir, "admin")
	}
	for name, content := range g.set.files {
		g.WriteFile(name, content)
	}
	home := filepath.Join(g.Dir, "home")
	g.env = []string{
		"HOME=" + home,
		"XDG_CONFIG_HOME=" + filepath.Join(home, "config"),
		"XDG_DATA_HOME=" + filepath.Join(home, "data"),
		"XDG_CACHE_HOME=" + filepath.Join(home, "cache"),
		"CADDY_ADMIN=" + g.Admin,
	}
	for _, name := range []string{"PATH", "TMPDIR", "GOCOVERDIR"} {
		if v, ok := os.LookupEnv(name); ok {
			g.env = append(g.env, name+"="+v)
		}
	}
	g.env = append(g.env, g.set.env...)
	return g
}

// launch starts the process and waits until it reports that it serves: caddy
// run has a flag for it, which works whatever the config does to admin and logs.
func (g *Gateway) launch(args []string) error {
	ready, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer ready.Close()
	g.cmd = exec.Command(g.binary, append([]string{"run", "--pingback", ready.Addr().String()}, args...)...)
	g.cmd.Dir, g.cmd.Env = g.Dir, g.env
	g.cmd.Stdin = strings.NewReader("ready")
	g.cmd.Stdout, g.cmd.Stderr = &writer{book: g.book}, &writer{book: g.book}
	g.cmd.WaitDelay = 2 * time.Second
	err = host.Start(g.cmd, func(err error) {
		g.exit = err
		close(g.done)
	})
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() {
		c, err := ready.Accept()
		if err == nil {
			_, err = io.ReadAll(c)
			_ = c.Close()
		}
		served <- err
	}()
	select {
	case err := <-served:
		return err
	case <-g.done:
		return fmt.Errorf("it ended (%v) before it served:%s", g.cmd.ProcessState, g.book.tail(20))
	case <-time.After(g.set.timeout):
		return fmt.Errorf("it did not serve within %v:%s", g.set.timeout, g.book.tail(20))
	}
}

// PID is the process ID.
func (g *Gateway) PID() int { return g.cmd.Process.Pid }

// Signal sends a signal.
func (g *Gateway) Signal(s os.Signal) {
	g.t.Helper()
	g.expectExit()
	if err := g.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		g.t.Fatalf("sending %v: %v", s, err)
	}
}

// Exited is closed when the process has ended.
func (g *Gateway) Exited() <-chan struct{} { return g.done }

// WaitExit waits for the end and returns the exit code, -1 after a signal; the
// test fails if it does not come.
func (g *Gateway) WaitExit(timeout time.Duration) int {
	g.t.Helper()
	select {
	case <-g.done:
		return g.cmd.ProcessState.ExitCode()
	case <-time.After(timeout):
		g.t.Fatalf("the gateway had not ended after %v; its last lines are:%s", timeout, g.book.tail(20))
		return 0
	}
}

// Stop sends SIGTERM, waits up to 30 seconds and returns the exit code.
func (g *Gateway) Stop() int {
	g.t.Helper()
	g.Signal(syscall.SIGTERM)
	return g.WaitExit(30 * time.Second)
}

// Kill ends the process with SIGKILL, as a crash would.
func (g *Gateway) Kill() {
	g.t.Helper()
	g.expectExit()
	_ = g.cmd.Process.Kill()
	<-g.done
}

func (g *Gateway) expectExit() {
	g.stopMu.Lock()
	defer g.stopMu.Unlock()
	g.asked = true
}

// cleanUp ends the process and says what went wrong with it.
func (g *Gateway) cleanUp() {
	g.stopMu.Lock()
	asked := g.asked
	g.stopMu.Unlock()
	select {
	case <-g.done:
		if !asked {
			g.t.Errorf("the gateway ended by itself: %v", g.exit)
		}
	default:
		_ = g.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-g.done:
		case <-time.After(10 * time.Second):
			_ = g.cmd.Process.Kill()
			<-g.done
		}
	}
	for _, line := range g.book.complaints() {
		g.t.Errorf("the gateway wrote: %s", line)
	}
	if g.t.Failed() {
		g.t.Logf("the gateway's last lines:%s", g.book.tail(60))
	}
}
