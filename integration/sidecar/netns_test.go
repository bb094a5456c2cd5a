//go:build linux

// Package sidecar_test runs the gateway as a sidecar: network namespaces stand
// for the pod and for the world outside of it, rules of the kernel lead
// connections to the gateway, and applications know nothing of it.
package sidecar_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/caddy-llm/gateway/integration/internal/host"
	"github.com/caddy-llm/gateway/integration/internal/netns"
)

// Addresses of the pod and of the world, where one more of each family is for
// what is no provider.
const (
	podIP4, worldIP4, otherIP4 = "10.77.0.2", "10.77.0.1", "10.77.0.9"
	podIP6, worldIP6, otherIP6 = "fd77::2", "fd77::1", "fd77::9"
)

// site is a pod and the world, joined by a link.
type site struct {
	t          testing.TB
	pod, world string // names of the namespaces
}

var sites atomic.Int32

// newSite makes the namespaces. hosts are the lines of the pod's /etc/hosts.
func newSite(t testing.TB, hosts ...string) *site {
	t.Helper()
	host.NeedIntegration(t)
	need(t, os.Geteuid() == 0, "network namespaces need root")
	for _, tool := range []string{"ip", "nft", "iptables", "setpriv", "curl"} {
		_, err := exec.LookPath(tool)
		need(t, err == nil, "%s is not installed", tool)
	}
	pair, err := netns.New(fmt.Sprintf("llm%d-%d", os.Getpid(), sites.Add(1)), hosts, []string{podIP4 + "/24", podIP6 + "/64"},
		[]string{worldIP4 + "/24", worldIP6 + "/64", otherIP4 + "/24", otherIP6 + "/64"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pair.Close)
	s := &site{t, pair.Pod, pair.World}
	s.must("ip", "-n", s.pod, "route", "add", "default", "via", worldIP4)
	s.must("ip", "-n", s.pod, "route", "add", "default", "via", worldIP6)
	return s
}

// need skips the test if something is missing; in CI the test fails.
func need(t testing.TB, there bool, format string, args ...any) {
	t.Helper()
	switch {
	case there:
	case os.Getenv("CI") != "":
		t.Fatalf(format, args...)
	default:
		t.Skipf(format, args...)
	}
}

func (s *site) must(name string, args ...string) string {
	s.t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// inPod is a command of root in the pod.
func (s *site) inPod(args ...string) *exec.Cmd { return command(netns.Command(s.pod, args...)) }

// as is a command of a user in the pod, without privileges.
func (s *site) as(uid int, args ...string) *exec.Cmd {
	return command(netns.As(s.pod, strconv.Itoa(uid), args...))
}

func command(line []string) *exec.Cmd { return exec.Command(line[0], line[1:]...) }

const appUID, gatewayUID = 1000, 1337

// run runs a command and returns what it printed; the test fails if it fails.
func (s *site) run(cmd *exec.Cmd) string {
	s.t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return string(out)
}

// within calls f in a namespace: sockets that it opens itself belong there.
func within(ns string, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		file, err := os.Open(filepath.Join("/run/netns", ns))
		if err == nil {
			err = unix.Setns(int(file.Fd()), unix.CLONE_NEWNET)
			file.Close()
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// listen listens in the world.
func (s *site) listen(address string) net.Listener { return s.listenIn(s.world, address) }

// listenIn listens in a namespace.
func (s *site) listenIn(ns, address string) net.Listener {
	s.t.Helper()
	var l net.Listener
	if err := within(ns, func() (err error) {
		l, err = net.Listen("tcp", address)
		return err
	}); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { l.Close() })
	return l
}

// dial connects from the pod, as a client that is not the gateway.
func (s *site) dial(ctx context.Context, address string) (c net.Conn, err error) {
	err = within(s.pod, func() error {
		c, err = (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", address)
		return err
	})
	return c, err
}
