//go:build linux

package sidecar_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/gateway"
	"github.com/caddy-llm/gateway/integration/internal/host"
)

// sidecarConfig is that of a sidecar with the manifests in llm.yaml.
const sidecarConfig = `{
	admin {{or .Admin "off"}}
	llm {
		source files llm.yaml {
			namespace default
			labels app=sleep
			workload sleep
			mesh_listen {{or .Listen "localhost:15001"}}
			interval 100ms
			outbound_traffic_policy {{or .Policy "ALLOW_ANY"}}
		}
	}
}
`

// settings are what tests change of it.
type settings struct{ Listen, Policy, Admin string }

// names are the hosts of the pod's world: providers of each family, and others.
var names = []string{
	worldIP4 + " dashscope.aliyuncs.com", worldIP6 + " api.moonshot.cn",
	otherIP4 + " other.example.com", otherIP6 + " other6.example.com",
	"10.96.0.10 demo-llm-server", // a Service without pods
}

// pod is a site with a sidecar, and with providers in the world.
type pod struct {
	*site
	dashscope, moonshot *fakeprovider.Server
	dir                 string
	gateway             *process
	plain               *plainCounter // port 80 at the providers' own addresses
}

// newPod makes a site with providers, and the manifests of a documented scenario.
func newPod(t testing.TB, scenario string) *pod {
	t.Helper()
	p := &pod{site: newSite(t, names...)}
	p.dashscope = p.server(net.JoinHostPort(worldIP4, "443"), fakeprovider.Names("dashscope.aliyuncs.com"))
	p.moonshot = p.server(net.JoinHostPort(worldIP6, "443"), fakeprovider.Names("api.moonshot.cn"))
	p.plain = countConnections(p.listen(net.JoinHostPort(worldIP4, "80")), p.listen(net.JoinHostPort(worldIP6, "80")))
	p.makeDir(p.dashscope)
	p.use(scenario)
	// What leaves the pod for port 80, but for the gateway.
	p.run(p.inPod("nft", `table inet watch { counter direct {}; chain out { type filter hook postrouting priority 300; oifname "eth0" tcp dport 80 meta skuid != 1337 counter name direct; }; }`))
	return p
}

// server is one of the world.
func (p *pod) server(address string, options ...fakeprovider.Option) (s *fakeprovider.Server) {
	p.t.Helper()
	_ = within(p.world, func() error {
		s = fakeprovider.New(p.t, append(options, fakeprovider.At(address), fakeprovider.Keep(100))...)
		return nil
	})
	return s
}

// makeDir makes the gateway's folder, with the authority of the world's servers.
func (p *pod) makeDir(of *fakeprovider.Server) {
	p.t.Helper()
	dir, err := os.MkdirTemp("", "sidecar") // t.TempDir() is closed to other users
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p.dir = dir
	ca, err := os.ReadFile(of.CAFile())
	if err != nil {
		p.t.Fatal(err)
	}
	p.write("ca.pem", string(ca))
	if err := errors.Join(os.Chown(dir, gatewayUID, gatewayUID), os.Chmod(dir, 0o755)); err != nil {
		p.t.Fatal(err)
	}
}

// use makes the manifests of a documented scenario those of the pod.
func (p *pod) use(scenario string) {
	p.t.Helper()
	manifests, err := os.ReadFile(filepath.Join("..", "..", "k8ssource", "testdata", scenario, "input.yaml"))
	if err != nil {
		p.t.Fatal(err)
	}
	p.write("llm.yaml", string(manifests))
}

func (p *pod) write(name, content string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(content), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// start starts the gateway and waits until it serves.
func (p *pod) start(uid int, s settings) {
	p.t.Helper()
	p.launch(uid, s)
	until(p.t, "the gateway is ready", func() bool { return p.readyz() == "200 ok\n" })
}

// readyz is what the gateway says of its readiness, as the pod hears it.
func (p *pod) readyz() string {
	out, _ := p.as(appUID, "curl", "-s", "-m", "5", "-w", "%{http_code} ", "-o", "-", "http://127.0.0.1:2020/readyz").Output()
	body, status, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(status) + " " + body + "\n"
}

// metric is the value of a series, and 0 if there is none.
func (p *pod) metric(series string) string {
	p.t.Helper()
	for line := range strings.Lines(p.curl("http://127.0.0.1:2020/metrics")) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return "0"
}

// launch starts the gateway.
func (p *pod) launch(uid int, s settings) {
	p.t.Helper()
	p.launchWith(uid, gateway.Render(p.t, sidecarConfig, s))
}

// launchWith starts the gateway with a Caddyfile.
func (p *pod) launchWith(uid int, caddyfile string, env ...string) {
	p.t.Helper()
	p.write("Caddyfile", caddyfile)
	cmd := p.as(uid, "--pdeathsig", "KILL", gateway.Binary(p.t), "run", "--config", "Caddyfile")
	cmd.Dir = p.dir
	cmd.Env = append([]string{"HOME=" + p.dir, "PATH=" + os.Getenv("PATH"), "SSL_CERT_FILE=" + filepath.Join(p.dir, "ca.pem")}, env...)
	p.gateway = startProcess(p.t, cmd)
}

// capture sets the rules.
func (p *pod) capture(args ...string) {
	p.t.Helper()
	p.run(p.inPod(append([]string{gateway.Binary(p.t), "llm", "capture"}, args...)...))
}

// direct is how many packets left the pod for port 80 that were not the gateway's.
func (p *pod) direct() string {
	p.t.Helper()
	out := p.run(p.inPod("nft", "list", "counter", "inet", "watch", "direct"))
	_, after, _ := strings.Cut(out, "packets ")
	packets, _, _ := strings.Cut(after, " ")
	return packets
}

// curl runs curl as the application and returns what it printed.
func (p *pod) curl(args ...string) string {
	p.t.Helper()
	return p.run(p.as(appUID, append([]string{"curl", "-sS", "-m", "10"}, args...)...))
}

// process is a program that runs in the pod.
type process struct {
	cmd  *exec.Cmd
	log  syncBuffer
	done chan struct{}
}

func startProcess(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.log, &p.log
	// On a thread that lasts: the death of the one it was started by ends it.
	if err := host.Start(cmd, func(error) { close(p.done) }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("the gateway said:\n%s", p.log.String())
		}
		if strings.Contains(p.log.String(), "panic") {
			t.Errorf("the gateway panicked")
		}
	})
	return p
}

// kill ends the process at once, stop as Kubernetes does.
func (p *process) kill() { p.end(os.Kill) }

func (p *process) stop() { p.end(os.Interrupt) }

func (p *process) end(signal os.Signal) {
	_ = p.cmd.Process.Signal(signal)
	<-p.done
}

// runs fails the test if the process has ended.
func (p *process) runs(t testing.TB, while string) {
	t.Helper()
	select {
	case <-p.done:
		t.Fatal("the gateway has ended while there was " + while)
	default:
	}
}

// ends waits for the end of the process by itself, from what it has waited for on.
func (p *process) ends(t testing.TB, after string) {
	t.Helper()
	began := time.Now()
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		t.Fatal("the gateway is still there 30 s after " + after)
	}
	t.Logf("the gateway ended %v after %s", time.Since(began).Round(time.Millisecond), after)
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// syncBuffer is a buffer that can be read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// plainCounter counts connections and answers none.
type plainCounter struct {
	mu sync.Mutex
	n  int
}

func countConnections(listeners ...net.Listener) *plainCounter {
	c := new(plainCounter)
	for _, l := range listeners {
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				c.mu.Lock()
				c.n++
				c.mu.Unlock()
				_ = conn.Close()
			}
		}()
	}
	return c
}

func (c *plainCounter) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// until waits for something to become true.
func until(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !f(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after 15 s it is still not so that %s", what)
		}
	}
}

// connect is dial for what must succeed.
func (s *site) connect(address string) net.Conn {
	s.t.Helper()
	c, err := s.dial(context.Background(), address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}
