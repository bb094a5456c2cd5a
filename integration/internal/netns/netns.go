// Package netns makes network namespaces that stand for a pod and for the world
// outside of it. It needs Linux, root, and the commands ip and setpriv.
package netns

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Pair is a pod and the world, joined by a link whose ends are called eth0.
type Pair struct {
	Pod, World string // names of the namespaces
}

// New makes the namespaces; their names begin with id. hosts are lines of /etc/hosts
// in both. The addresses have the length of their prefix, as in 10.77.0.2/24. After
// an error nothing is left.
func New(id string, hosts, pod, world []string) (made *Pair, err error) {
	p := &Pair{id + "-pod", id + "-world"}
	defer func() {
		if err != nil {
			p.Close()
		}
	}()
	lines := append([]string{"127.0.0.1 localhost", "::1 localhost"}, hosts...)
	for _, ns := range []string{p.Pod, p.World} {
		if err := ip("netns", "add", ns); err != nil {
			return nil, err
		}
		if err := ip("-n", ns, "link", "set", "lo", "up"); err != nil {
			return nil, err
		}
		if err := os.MkdirAll(etc(ns), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(etc(ns), "hosts"), []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			return nil, err
		}
	}
	if err := ip("-n", p.Pod, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", p.World); err != nil {
		return nil, err
	}
	for ns, addresses := range map[string][]string{p.Pod: pod, p.World: world} {
		for _, address := range addresses {
			args := []string{"-n", ns, "addr", "add", address, "dev", "eth0"}
			if strings.Contains(address, ":") {
				args = append(args, "nodad")
			}
			if err := ip(args...); err != nil {
				return nil, err
			}
		}
		if err := ip("-n", ns, "link", "set", "eth0", "up"); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Close removes the namespaces.
func (p *Pair) Close() {
	for _, ns := range []string{p.Pod, p.World} {
		_ = ip("netns", "del", ns)
		_ = os.RemoveAll(etc(ns))
	}
}

// Command is the command line that runs another one in a namespace, as root.
func Command(ns string, command ...string) []string {
	return append([]string{"ip", "netns", "exec", ns}, command...)
}

// As is the command line that runs another one in a namespace as a user without
// privileges. The command may begin with options of setpriv.
func As(ns, uid string, command ...string) []string {
	line := []string{"setpriv", "--reuid", uid, "--regid", uid, "--clear-groups", "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"}
	return Command(ns, append(line, command...)...)
}

// etc is the folder whose files ip netns exec puts over those of /etc.
func etc(ns string) string { return filepath.Join("/etc/netns", ns) }

func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}
