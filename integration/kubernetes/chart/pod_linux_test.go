package chart

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/gateway"
	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
)

// podSpec is what is needed of a Deployment's pods.
type podSpec struct {
	Metadata struct{ Labels map[string]string }
	Spec     struct {
		ServiceAccountName            string
		TerminationGracePeriodSeconds int
		SecurityContext               struct{ RunAsUser, RunAsGroup uint32 }
		Containers                    []struct {
			Command         []string
			SecurityContext struct{ ReadOnlyRootFilesystem bool }
			Env             []struct {
				Name, Value string
				ValueFrom   *struct{ FieldRef struct{ FieldPath string } }
			}
			VolumeMounts []struct{ Name, MountPath string }
			Ports        []struct {
				Name          string
				ContainerPort int
			}
			Lifecycle struct {
				PreStop struct{ Sleep struct{ Seconds int } }
			}
		}
		Volumes []struct {
			Name        string
			ConfigMap   *struct{ Name string }
			DownwardAPI *struct{ Items []struct{ Path string } }
			EmptyDir    *struct{ SizeLimit string }
		}
	}
}

// pod is a pod of a Deployment as a process: with its command, environment,
// volumes, user and ServiceAccount, and a root file system that holds nothing
// else and that nobody can write to.
type pod struct {
	t      testing.TB
	spec   podSpec
	binary string
	cmd    *exec.Cmd
	ports  map[string]int // by name
	output syncBuffer
	done   chan struct{}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// startPod starts a pod and waits until it is ready. Its ports are moved to free
// ones; files and variables are added to what the Deployment says.
func startPod(t testing.TB, c *cluster.Cluster, namespace, deployment string, files map[string]string, env ...string) *pod {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("NOT TESTED: only root can start a process in a root file system of its own")
	}
	p := &pod{t: t, binary: gateway.Binary(t), ports: make(map[string]int), done: make(chan struct{})}
	if err := json.Unmarshal([]byte(get(c, namespace, "deployment/"+deployment, ".spec.template")), &p.spec); err != nil {
		t.Fatalf("reading the pod of %s: %v", deployment, err)
	}
	root, err := os.MkdirTemp("", "pod")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(root) })
	start := make(chan error)
	go p.run(root, p.content(c, namespace, files), append(p.environment(c, namespace), env...), start)
	if err := <-start; errors.Is(err, syscall.EPERM) {
		t.Skipf("NOT TESTED: no root file system of its own for a process: %v", err)
	} else if err != nil {
		t.Fatalf("starting the pod: %v", err)
	}
	t.Cleanup(p.kill)
	p.until("is ready", func() bool { return p.probe("/readyz") == http.StatusOK })
	return p
}

// run starts the process, in a thread with mounts of its own, and lives as long
// as it does.
func (p *pod) run(root string, files map[string]string, env []string, start chan<- error) {
	runtime.LockOSThread() // for good: the thread is not to be used again
	if err := p.mount(root, files); err != nil {
		start <- err
		return
	}
	container, user := p.spec.Spec.Containers[0], p.spec.Spec.SecurityContext
	p.cmd = &exec.Cmd{
		Path: "/usr/bin/" + container.Command[0], Args: container.Command, Env: env, Dir: "/", Stdout: &p.output, Stderr: &p.output,
		SysProcAttr: &syscall.SysProcAttr{
			Chroot: root, Pdeathsig: syscall.SIGKILL, Credential: &syscall.Credential{Uid: user.RunAsUser, Gid: user.RunAsGroup},
		},
	}
	if err := p.cmd.Start(); err != nil {
		start <- err
		return
	}
	close(start)
	_ = p.cmd.Wait()
	close(p.done)
}

// mount makes the root file system, for this thread and its children.
func (p *pod) mount(root string, files map[string]string) error {
	if err := syscall.Unshare(syscall.CLONE_NEWNS | syscall.CLONE_FS); err != nil {
		return err
	}
	if err := syscall.Mount("", "/", "", syscall.MS_PRIVATE|syscall.MS_REC, ""); err != nil {
		return err
	}
	if err := syscall.Mount("tmpfs", root, "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	// The image's binary is static; the one of the tests may need libraries.
	for inside, outside := range map[string]string{"/usr/bin/caddy": p.binary, "/lib": "/lib", "/lib64": "/lib64", "/proc": "/proc", "/dev/null": "/dev/null"} {
		if err := bind(outside, filepath.Join(root, inside)); err != nil {
			return fmt.Errorf("%s: %w", inside, err)
		}
	}
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
	}
	var writable []string
	for _, m := range p.spec.Spec.Containers[0].VolumeMounts {
		for _, v := range p.spec.Spec.Volumes {
			if v.Name == m.Name && v.EmptyDir != nil {
				writable = append(writable, filepath.Join(root, m.MountPath))
			}
		}
	}
	for _, dir := range writable {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if p.spec.Spec.Containers[0].SecurityContext.ReadOnlyRootFilesystem {
		if err := syscall.Mount("", root, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
			return err
		}
	}
	for _, dir := range writable {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=777"); err != nil {
			return err
		}
	}
	return nil
}

// bind makes a file or folder available at another place, if it is there.
func bind(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return nil //nolint:nilerr // not every system has a /lib64
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if info.IsDir() {
		err = os.Mkdir(to, 0o755)
	} else {
		err = os.WriteFile(to, nil, 0o600)
	}
	if err != nil {
		return err
	}
	return syscall.Mount(from, to, "", syscall.MS_BIND|syscall.MS_REC, "")
}

// content are the files of the pod's volumes.
func (p *pod) content(c *cluster.Cluster, namespace string, files map[string]string) map[string]string {
	p.t.Helper()
	out := maps.Clone(files)
	if out == nil {
		out = make(map[string]string)
	}
	moved := []string{}
	for _, port := range p.spec.Spec.Containers[0].Ports {
		p.ports[port.Name] = gateway.FreePort(p.t)
		moved = append(moved, fmt.Sprint(":", port.ContainerPort), fmt.Sprint(":", p.ports[port.Name]))
	}
	for _, v := range p.spec.Spec.Volumes {
		dir := ""
		for _, m := range p.spec.Spec.Containers[0].VolumeMounts {
			if m.Name == v.Name {
				dir = m.MountPath
			}
		}
		switch {
		case v.ConfigMap != nil:
			var data map[string]string
			if err := json.Unmarshal([]byte(get(c, namespace, "configmap/"+v.ConfigMap.Name, ".data")), &data); err != nil {
				p.t.Fatalf("reading ConfigMap %s: %v", v.ConfigMap.Name, err)
			}
			for name, text := range data {
				out[dir+"/"+name] = strings.NewReplacer(moved...).Replace(text)
			}
		case v.DownwardAPI != nil:
			lines := ""
			for _, name := range slices.Sorted(maps.Keys(p.spec.Metadata.Labels)) {
				lines += fmt.Sprintf("%s=%q\n", name, p.spec.Metadata.Labels[name])
			}
			out[dir+"/"+v.DownwardAPI.Items[0].Path] = lines
		}
	}
	ca, err := os.ReadFile(c.CAFile)
	if err != nil {
		p.t.Fatal(err)
	}
	const account = "/var/run/secrets/kubernetes.io/serviceaccount/"
	out[account+"ca.crt"], out[account+"namespace"] = string(ca), namespace
	out[account+"token"] = c.Token(namespace, p.spec.Spec.ServiceAccountName)
	return out
}

func (p *pod) environment(c *cluster.Cluster, namespace string) []string {
	p.t.Helper()
	server, err := url.Parse(c.URL)
	if err != nil {
		p.t.Fatal(err)
	}
	env := []string{"PATH=/usr/bin", "KUBERNETES_SERVICE_HOST=" + server.Hostname(), "KUBERNETES_SERVICE_PORT=" + server.Port()}
	for _, e := range p.spec.Spec.Containers[0].Env {
		if e.ValueFrom != nil {
			if e.ValueFrom.FieldRef.FieldPath != "metadata.namespace" {
				p.t.Fatalf("variable %s: %+v", e.Name, e.ValueFrom)
			}
			e.Value = namespace
		}
		env = append(env, e.Name+"="+e.Value)
	}
	return env
}

// probe returns the status of a response of the status listener, 0 without one.
func (p *pod) probe(path string) int {
	res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", p.ports["status"], path))
	if err != nil {
		return 0
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// until waits for something to become true of the running pod.
func (p *pod) until(what string, is func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(20 * time.Millisecond) {
		select {
		case <-p.done:
			p.t.Fatalf("the pod ended (%v) before it %s:\n%s", p.cmd.ProcessState, what, p.output.String())
		default:
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("not true after a minute: the pod %s:\n%s", what, p.output.String())
		}
	}
}

// stop tells the process to stop, as the kubelet does.
func (p *pod) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatalf("stopping the pod: %v", err)
	}
}

func (p *pod) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
	if p.t.Failed() {
		p.t.Logf("the pod's output:\n%s", p.output.String())
	}
}
