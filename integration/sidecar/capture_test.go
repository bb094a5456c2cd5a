//go:build linux

package sidecar_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/integration/gateway"
)

// answering serves connections at an address with a word, at once.
func answering(t testing.TB, l net.Listener, word string) {
	t.Helper()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.WriteString(c, word)
				_ = c.(*net.TCPConn).CloseWrite()
				_, _ = io.Copy(io.Discard, c) // or the client would see a reset
				_ = c.Close()
			}()
		}
	}()
}

// reached connects from the pod and returns what answers.
func (s *site) reached(address string) string {
	c, err := s.dial(context.Background(), address)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	word, err := io.ReadAll(c)
	if err != nil {
		return err.Error()
	}
	return string(word)
}

// reachedAs is reached for a process of a user. curl takes what is no HTTP as it is.
func (s *site) reachedAs(uid int, url string) string {
	out, _ := s.as(uid, "curl", "-sS", "--http0.9", "-m", "5", url).CombinedOutput()
	return string(out)
}

// captureTools are those that the command knows and that the machine has.
func captureTools(t testing.TB) []string {
	t.Helper()
	var out []string
	for _, tool := range []string{"nft", "iptables", "iptables-legacy", "iptables-nft"} {
		if _, err := exec.LookPath(tool); err == nil {
			out = append(out, tool)
		}
	}
	return out
}

func TestCapture(t *testing.T) {
	for _, tool := range append([]string{""}, captureTools(t)...) {
		t.Run("with "+tool, func(t *testing.T) {
			s := newSite(t)
			for _, ip := range []string{worldIP4, worldIP6} {
				for _, port := range []string{"80", "8005", "8080"} {
					answering(t, s.listen(net.JoinHostPort(ip, port)), "world")
				}
			}
			for _, ip := range []string{otherIP4, otherIP6} {
				answering(t, s.listen(net.JoinHostPort(ip, "80")), "other")
			}
			s.inPodListen("127.0.0.1:15001", "gateway")
			s.inPodListen("[::1]:15001", "gateway")
			s.inPodListen("127.0.0.1:80", "pod")
			s.inPodListen("[::1]:80", "pod")
			s.inPodListen(net.JoinHostPort(podIP4, "80"), "pod")
			args := []string{gateway.Binary(t), "llm", "capture", "--ports", "80,8000-8010", "--exclude", otherIP4 + "," + otherIP6 + "/127"}
			if tool != "" {
				args = append(args, "--tool", tool)
			}
			check := func(when, captured string) {
				t.Helper()
				for address, want := range map[string]string{
					net.JoinHostPort(worldIP4, "80"): captured, net.JoinHostPort(worldIP6, "80"): captured,
					net.JoinHostPort(worldIP4, "8005"): captured, net.JoinHostPort(worldIP6, "8005"): captured,
					net.JoinHostPort(worldIP4, "8080"): "world", net.JoinHostPort(worldIP6, "8080"): "world",
					net.JoinHostPort(otherIP4, "80"): "other", net.JoinHostPort(otherIP6, "80"): "other",
					"127.0.0.1:80": "pod", "[::1]:80": "pod", net.JoinHostPort(podIP4, "80"): "pod",
				} {
					if got := s.reached(address); got != want {
						t.Errorf("%s: %s leads to %q, want %q", when, address, got, want)
					}
				}
				for _, url := range []string{"http://" + worldIP4, "http://[" + worldIP6 + "]"} {
					if got := s.reachedAs(appUID, url); got != captured {
						t.Errorf("%s: the application reaches %q at %s, want %q", when, got, url, captured)
					}
					if got := s.reachedAs(gatewayUID, url); got != "world" {
						t.Errorf("%s: the gateway's user reaches %q at %s", when, got, url)
					}
				}
			}
			check("before", "world")
			s.run(s.inPod(args...))
			check("captured", "gateway")
			once := s.rules()
			s.run(s.inPod(args...))
			check("captured twice", "gateway")
			if twice := s.rules(); twice != once {
				t.Errorf("the second time changed the rules from\n%s\nto\n%s", once, twice)
			}
			s.run(s.inPod(append(args, "--undo")...))
			check("undone", "world")
			s.run(s.inPod(append(args, "--undo")...))
			check("undone twice", "world")
			if left := s.rules(); strings.Contains(strings.ToLower(left), "llm_capture") {
				t.Errorf("left behind:\n%s", left)
			}

			commands := s.run(s.inPod(append(args, "--dry-run")...))
			check("printed", "world")
			s.run(s.inPod("sh", "-e", "-c", commands))
			check("typed in", "gateway")
			commands = s.run(s.inPod(append(args, "--dry-run", "--undo")...))
			s.run(s.inPod("sh", "-e", "-c", commands))
			check("undone by hand", "world")
		})
	}
}

// inPodListen answers connections to an address in the pod.
func (s *site) inPodListen(address, word string) {
	s.t.Helper()
	var l net.Listener
	if err := within(s.pod, func() (err error) {
		l, err = net.Listen("tcp", address)
		return err
	}); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { l.Close() })
	answering(s.t, l, word)
}

// rules are all rules of the pod, without what they have counted.
func (s *site) rules() string {
	var b strings.Builder
	for _, tool := range []string{"iptables-legacy-save", "ip6tables-legacy-save", "iptables-nft-save", "ip6tables-nft-save"} {
		out, _ := s.inPod(tool, "-t", "nat").Output()
		for line := range strings.Lines(string(out)) {
			if strings.HasPrefix(line, "-") {
				b.WriteString(tool + " " + line)
			}
		}
	}
	out, _ := s.inPod("nft", "-s", "list", "ruleset").Output()
	b.Write(out)
	return b.String()
}

func TestCaptureErrors(t *testing.T) {
	s := newSite(t)
	binary := gateway.Binary(t)
	empty := "PATH=" + t.TempDir()
	for _, tc := range []struct {
		name string
		cmd  *exec.Cmd
		want string
	}{
		{"not root", s.as(appUID, binary, "llm", "capture"), "run this as root with the capability NET_ADMIN"},
		{"root without the capability", s.inPod("setpriv", "--bounding-set=-net_admin", binary, "llm", "capture"), "capabilities: {add: [NET_ADMIN]}"},
		{"undo without the capability", s.as(appUID, binary, "llm", "capture", "--undo"), "NET_ADMIN"},
		{"no tool", s.inPod("env", empty, binary, "llm", "capture"), "there is no nft and no iptables here; install"},
		{"the tool is not there", s.inPod("env", empty, binary, "llm", "capture", "--tool", "nft"), "--tool: there is no nft here"},
		{"no such tool", s.inPod(binary, "llm", "capture", "--tool", "ebtables"), `--tool: "ebtables" is none of nft, iptables`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, err := tc.cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), tc.want) {
				t.Errorf("%v: %s\nwant %q in it", err, out, tc.want)
			}
		})
	}
	if left := s.rules(); strings.Contains(strings.ToLower(left), "llm_capture") {
		t.Errorf("there are rules:\n%s", left)
	}
}

// TestCaptureFallsBack: a tool that cannot do it leaves nothing, and another one
// is used.
func TestCaptureFallsBack(t *testing.T) {
	s := newSite(t)
	s.inPodListen("127.0.0.1:15001", "gateway")
	broken := t.TempDir()
	script := "#!/bin/sh\necho the kernel has no nf_tables >&2\nexit 1\n"
	writeExecutable(t, broken+"/nft", script)
	path := "PATH=" + broken + ":" + "/usr/sbin:/usr/bin:/sbin:/bin"
	out := s.run(s.inPod("env", path, gateway.Binary(t), "llm", "capture"))
	if !strings.Contains(out, "(iptables)") {
		t.Errorf("it says %q", out)
	}
	if got := s.reached(net.JoinHostPort(worldIP4, "80")); got != "gateway" {
		t.Errorf("port 80 leads to %q", got)
	}

	for _, name := range []string{"iptables", "iptables-legacy", "iptables-nft", "ip6tables"} {
		writeExecutable(t, broken+"/"+name, script)
	}
	msg, err := s.inPod("env", "PATH="+broken+":/bin:/usr/bin", gateway.Binary(t), "llm", "capture").CombinedOutput()
	if err == nil || !strings.Contains(string(msg), "nft -f -: exit status 1: the kernel has no nf_tables") {
		t.Errorf("with no tool that works: %v: %s", err, msg)
	}
}

// TestCaptureWithoutIPv6: rules for IPv6 that cannot be set matter only where
// there is an address of it.
func TestCaptureWithoutIPv6(t *testing.T) {
	s := newSite(t)
	s.inPodListen("127.0.0.1:15001", "gateway")
	broken := t.TempDir()
	for _, name := range []string{"ip6tables", "ip6tables-restore"} {
		writeExecutable(t, broken+"/"+name, "#!/bin/sh\necho no such table: nat >&2\nexit 1\n")
	}
	command := func() *exec.Cmd {
		return s.inPod("env", "PATH="+broken+":/usr/sbin:/usr/bin:/sbin:/bin", gateway.Binary(t), "llm", "capture", "--tool", "iptables")
	}
	out, err := command().CombinedOutput()
	if err == nil || !strings.Contains(string(out), "no such table: nat") {
		t.Errorf("with an address: %v: %s", err, out)
	}
	if got := s.reached(net.JoinHostPort(worldIP4, "80")); strings.Contains(got, "gateway") {
		t.Error("half of the rules are there")
	}
	s.must("ip", "-n", s.pod, "addr", "del", podIP6+"/64", "dev", "eth0")
	if out := s.run(command()); !strings.Contains(out, "no rules for IPv6, which this machine has no address of") {
		t.Errorf("without an address it says %s", out)
	}
	if got := s.reached(net.JoinHostPort(worldIP4, "80")); got != "gateway" {
		t.Errorf("port 80 leads to %q", got)
	}
}

func writeExecutable(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(fmt.Errorf("%s: %w", path, err))
	}
}
