package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/caddy-llm/gateway/integration/internal/netns"
)

const (
	gatewayUID = "1337" // whose connections are left alone
	appUID     = "1000"
	podIP      = "10.77.0.2"
	worldIP    = "10.77.0.1"
)

// podShapes are the shapes that are asked for in a pod. Each has a host of its
// own for those who provide and one for what no route is about.
var podShapes = []*shape{small, medium, large, events}

// pod is a network namespace with a sidecar in it and the world outside of it:
// what is in Kubernetes a pod, with the same rules of the kernel.
type pod struct {
	dir         string
	binary      string // the Caddy
	application string // this program
	*netns.Pair
	provider, gateway *process
}

func providerHost(i int) string { return fmt.Sprintf("provider%d.example.com", i) }
func otherHost(i int) string    { return fmt.Sprintf("other%d.example.com", i) }
func providerIP(i int) string   { return fmt.Sprintf("10.77.0.%d", 11+i) }
func otherIP(i int) string      { return fmt.Sprintf("10.77.0.%d", 21+i) }

// startPod makes the namespaces and starts the provider and the sidecar.
func startPod(ctx context.Context, binary, dir string, w wire) (p *pod, err error) {
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		return nil, errors.New("-sidecar makes network namespaces and rules in them: run it on Linux, as root")
	}
	for _, name := range []string{"ip", "setpriv"} {
		if _, err := exec.LookPath(name); err != nil {
			return nil, fmt.Errorf("-sidecar needs the command %s: %w", name, err)
		}
	}
	p = &pod{dir: dir, binary: filepath.Join(dir, "sidecar.exe"), application: filepath.Join(dir, "application.exe")}
	defer func() {
		if err != nil {
			p.stop()
		}
	}()
	var names []string
	for i := range podShapes {
		names = append(names, providerHost(i))
	}
	ca, err := newAuthority(dir, names...)
	if err != nil {
		return p, fmt.Errorf("making certificates: %w", err)
	}
	if err := p.join(); err != nil {
		return p, err
	}
	// The sidecar and the application are other users, who need to get at what
	// they are and at what they trust.
	own, err := os.Executable()
	if err != nil {
		return p, err
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chmod(ca.caFile, 0o644), copyProgram(own, p.application), copyProgram(binary, p.binary)); err != nil {
		return p, err
	}
	if p.provider, err = p.launch(ctx, "provider", p.World, "", p.worldConfig(ca, w)); err != nil {
		return p, err
	}
	if err := p.provider.until(ctx, "it does not listen", 20*time.Millisecond, func() bool {
		return p.listens(ctx, p.World, 2*len(podShapes))
	}); err != nil {
		return p, p.provider.failed(err)
	}
	if p.gateway, err = p.launch(ctx, "sidecar", p.Pod, gatewayUID, p.sidecarConfig()); err != nil {
		return p, err
	}
	if err := p.gateway.until(ctx, "it does not listen", 20*time.Millisecond, func() bool { return p.listens(ctx, p.Pod, 1) }); err != nil {
		return p, p.gateway.failed(err)
	}
	return p, nil
}

// join makes the namespaces, with a link between them.
func (p *pod) join() (err error) {
	var hosts []string
	addresses := []string{worldIP + "/24"}
	for i := range podShapes {
		hosts = append(hosts, providerIP(i)+" "+providerHost(i), otherIP(i)+" "+otherHost(i))
		addresses = append(addresses, providerIP(i)+"/24", otherIP(i)+"/24")
	}
	p.Pair, err = netns.New(fmt.Sprintf("llm-bench%d", os.Getpid()), hosts, []string{podIP + "/24"}, addresses)
	return err
}

// command is a command in a namespace, of a user without privileges unless that
// is empty.
func (p *pod) command(ctx context.Context, ns, uid string, args ...string) *exec.Cmd {
	line := netns.Command(ns, args...)
	if uid != "" {
		line = netns.As(ns, uid, args...)
	}
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), keyVariable+"="+providerKey, "SSL_CERT_FILE="+filepath.Join(p.dir, "ca.pem"))
	return cmd
}

// launch starts a Caddy in a namespace.
func (p *pod) launch(ctx context.Context, name, ns, uid, config string) (*process, error) {
	file := filepath.Join(p.dir, name+".caddyfile")
	home := filepath.Join(p.dir, name)
	if err := errors.Join(os.WriteFile(file, []byte(config), 0o644), os.MkdirAll(home, 0o777), os.Chmod(home, 0o777)); err != nil {
		return nil, err
	}
	cmd := p.command(context.WithoutCancel(ctx), ns, uid, p.binary, "run", "--config", file, "--adapter", "caddyfile")
	cmd.Env = append(cmd.Env, "HOME="+home, "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home)
	return launch(name, p.dir, cmd)
}

// listens reports whether there are as many listeners in a namespace, its own
// admin and status listeners not counted.
func (p *pod) listens(ctx context.Context, ns string, want int) bool {
	out, err := p.command(ctx, ns, "", "cat", "/proc/net/tcp").Output()
	if err != nil {
		return false
	}
	n := 0
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) > 3 && f[3] == "0A" && !strings.HasSuffix(f[1], ":07E4") { // listening, and not at 2020
			n++
		}
	}
	return n == want
}

// worldConfig are the providers, behind TLS, and what is none, at port 80.
func (p *pod) worldConfig(ca *authority, w wire) string {
	var b strings.Builder
	fmt.Fprintf(&b, "{\n\tadmin off\n\tauto_https off\n\tservers {\n\t\tprotocols %s\n\t}\n\tllm {\n\t\tstatus_listen off\n\t}\n\tlog {\n\t\tlevel WARN\n\t}\n}\n", strings.Join(w.protocols(), " "))
	for i, s := range podShapes {
		mock := fmt.Sprintf("reply_size %d\n\t\tprompt_tokens %d\n\t\tcompletion_tokens %d\n", s.reply, promptTokens, completionTokens)
		if s.chunks > 0 {
			mock += fmt.Sprintf("\t\tchunks %d\n\t\tchunk_interval 0s\n", s.chunks)
		}
		fmt.Fprintf(&b, "https://%s {\n\tbind %s\n\ttls %s %s\n\tllm_mock {\n\t\tapi_key {env.%s}\n\t\t%s\t}\n}\n", providerHost(i), providerIP(i), ca.certFile, ca.keyFile, keyVariable, mock)
		fmt.Fprintf(&b, "http://%s {\n\tbind %s\n\tllm_mock {\n\t\t%s\t}\n}\n", otherHost(i), otherIP(i), mock)
	}
	return b.String()
}

// sidecarConfig is a sidecar of providers and nothing else.
func (p *pod) sidecarConfig() string {
	manifests := ""
	for i := range podShapes {
		manifests += fmt.Sprintf("apiVersion: istio.alibabacloud.com/v1beta1\nkind: LLMProvider\nmetadata: {name: p%d, namespace: default}\nspec:\n  host: %s\n"+
			"  configs: {defaultConfig: {openAIConfig: {model: %s, apiKey: %s}}}\n---\n", i, providerHost(i), routeModel, providerKey)
	}
	file := filepath.Join(p.dir, "llm.yaml")
	if err := os.WriteFile(file, []byte(manifests), 0o644); err != nil {
		return "# " + err.Error() // the sidecar will say that the file is not there
	}
	return fmt.Sprintf(sidecarConfig, file, net.JoinHostPort("127.0.0.1", "15001"), "127.0.0.1:2020")
}

// capture sets the rules that lead connections to the sidecar, or takes them
// away.
func (p *pod) capture(ctx context.Context, on bool) error {
	args := []string{p.binary, "llm", "capture"}
	if !on {
		args = append(args, "--undo")
	}
	if out, err := p.command(ctx, p.Pod, "", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(args[1:], " "), err, out)
	}
	return nil
}

func (p *pod) stop() {
	for _, one := range []*process{p.gateway, p.provider} {
		if one != nil {
			one.stop()
		}
	}
	if p.Pair != nil {
		p.Close()
	}
}

// copyProgram copies a program to where everybody may start it.
func copyProgram(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	return writeFile(to, func(w io.Writer) error {
		_, err := io.Copy(w, in)
		return errors.Join(err, os.Chmod(to, 0o755))
	})
}
