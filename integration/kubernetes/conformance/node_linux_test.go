package conformance

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/caddy-llm/gateway/integration/internal/host"
	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
)

const (
	podNetwork  = "10.244.0.0/16" // of pods; the machine is 10.244.0.1 there
	nodeAddress = "10.244.0.1"
	// Addresses that are all the machine's: those of Services, see the flags of the API
	// server, and those of Gateways.
	serviceNetwork = "10.96.0.0/16"
	gatewayNetwork = "10.89.0.0/24"
)

// node stands in for a machine that runs pods.
type node struct {
	t          *testing.T
	kubeconfig string // for programs in pods
	dir        string // of logs
	addresses  int    // given to pods so far
	pods       map[string]*sandbox
}

// network sets up what pods are joined to, and the addresses. The default route leads
// nowhere; kube-apiserver wants one.
func network() error {
	for _, line := range []string{
		"link set lo up", "link add pods type bridge", "address add " + nodeAddress + "/16 dev pods", "link set pods up",
		"route add default dev pods", "route add local " + serviceNetwork + " dev lo", "route add local " + gatewayNetwork + " dev lo",
	} {
		if err := ip(line); err != nil {
			return err
		}
	}
	return nil
}

func newNode(t *testing.T, c *cluster.Cluster) *node {
	t.Helper()
	n := &node{t: t, dir: t.TempDir(), pods: make(map[string]*sandbox)}
	server, err := net.Listen("tcp", nodeAddress+":6443")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	api := strings.TrimPrefix(c.URL, "https://")
	go forward(server, func() string { return api })
	n.kubeconfig = filepath.Join(n.dir, "kubeconfig")
	config := fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: it,
clusters: [{name: it, cluster: {server: "https://%s:6443", tls-server-name: 127.0.0.1, certificate-authority: %q}}],
users: [{name: it, user: {token: %q}}], contexts: [{name: it, context: {cluster: it, user: it}}]}`, nodeAddress, c.CAFile, c.AdminToken)
	if err := os.WriteFile(n.kubeconfig, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return n
}

// ip runs the command ip.
func ip(line string) error {
	if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", line, err, out)
	}
	return nil
}

// forward passes connections on.
func forward(from net.Listener, to func() string) {
	for {
		in, err := from.Accept()
		if err != nil {
			return
		}
		go func() {
			defer in.Close()
			out, err := net.DialTimeout("tcp", to(), 5*time.Second)
			if err != nil {
				return
			}
			defer out.Close()
			go func() {
				_, _ = io.Copy(out, in)
				_ = out.(*net.TCPConn).CloseWrite()
			}()
			_, _ = io.Copy(in, out)
		}()
	}
}

// sandbox is a pod: a network namespace, held by a process, and its containers.
type sandbox struct {
	address string
	stop    context.CancelFunc
}

// runPod starts the containers of a pod. ready is called when all listen.
func (n *node) runPod(pod *corev1.Pod, ready func(address string)) error {
	n.addresses++
	s := &sandbox{address: fmt.Sprintf("10.244.%d.%d", 1+n.addresses/200, 1+n.addresses%200)}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	n.pods[string(pod.UID)] = s
	pause := exec.CommandContext(ctx, "unshare", "--net", "sh", "-c",
		`echo && read go && ip link set lo up && ip link set eth0 up && ip address add "$0/16" dev eth0 && ip route add default via "$1" && echo && exec sleep infinity`, s.address, nodeAddress)
	in, err := pause.StdinPipe()
	if err != nil {
		return err
	}
	out, err := pause.StdoutPipe()
	if err != nil {
		return err
	}
	pause.Stderr = os.Stderr
	if err := host.Start(pause, func(error) {}); err != nil {
		return err
	}
	lines := bufio.NewReader(out)
	if _, err := lines.ReadString('\n'); err != nil {
		return fmt.Errorf("a network namespace for a pod: %w", err)
	}
	if err := ip(fmt.Sprintf("link add pod%d master pods type veth peer name eth0 netns %d", n.addresses, pause.Process.Pid)); err != nil {
		return err
	}
	if err := ip(fmt.Sprintf("link set pod%d up", n.addresses)); err != nil {
		return err
	}
	if _, err := in.Write([]byte("go\n")); err != nil {
		return err
	}
	if _, err := lines.ReadString('\n'); err != nil {
		return fmt.Errorf("the network of a pod: %w", err)
	}
	var listens []string
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		program := programOf(c.Image)
		if program == "" { // no test that is run needs it
			continue
		}
		if err := n.runContainer(ctx, program, pod, c, s.address, pause.Process.Pid); err != nil {
			return err
		}
		listens = append(listens, net.JoinHostPort(s.address, strconv.Itoa(firstPort(c))))
	}
	go func() {
		for _, address := range listens {
			for !accepts(address) {
				if ctx.Err() != nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		}
		ready(s.address)
	}()
	return nil
}

// programOf is the program that stands for an image, empty if there is none.
func programOf(image string) string {
	for name := range podPrograms {
		if strings.Contains(image, "/"+name+":") {
			return filepath.Join(os.Getenv(programsEnv), name)
		}
	}
	return ""
}

// runContainer starts the program of an image. Volumes are not made, and what refers to them
// is left out.
func (n *node) runContainer(ctx context.Context, program string, pod *corev1.Pod, c *corev1.Container, address string, pid int) error {
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--target", strconv.Itoa(pid), "--net", "--", program}, c.Args...)...)
	cmd.Env = []string{"KUBECONFIG=" + n.kubeconfig, "GOMAXPROCS=1"}
	for _, e := range c.Env {
		value := e.Value
		if e.ValueFrom != nil && e.ValueFrom.FieldRef != nil {
			value = map[string]string{"metadata.name": pod.Name, "metadata.namespace": pod.Namespace, "status.podIP": address}[e.ValueFrom.FieldRef.FieldPath]
		}
		inVolume := false
		for _, v := range c.VolumeMounts {
			inVolume = inVolume || strings.HasPrefix(value, v.MountPath+"/")
		}
		if !inVolume {
			cmd.Env = append(cmd.Env, e.Name+"="+value)
		}
	}
	log, err := os.Create(filepath.Join(n.dir, pod.Name+"."+c.Name))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	return host.Start(cmd, func(error) {})
}

// firstPort is the port by which it is told whether a container is ready. The echo server
// has 3000 unless something else is said.
func firstPort(c *corev1.Container) int {
	if p := c.ReadinessProbe; p != nil && p.GRPC != nil {
		return int(p.GRPC.Port)
	}
	if len(c.Ports) > 0 {
		return int(c.Ports[0].ContainerPort)
	}
	return 3000
}

func accepts(address string) bool {
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err == nil {
		_ = c.Close()
	}
	return err == nil
}

// running is the status of a pod that is ready.
func running(pod *corev1.Pod, address string) corev1.PodStatus {
	now := metav1.Now()
	status := corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: address, PodIPs: []corev1.PodIP{{IP: address}}, HostIP: nodeAddress, StartTime: &now,
	}
	for _, kind := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		status.Conditions = append(status.Conditions, corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: now})
	}
	for _, c := range pod.Spec.Containers {
		status.ContainerStatuses = append(status.ContainerStatuses, corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, Ready: true, Started: new(true), State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}},
		})
	}
	return status
}
