//go:build linux

package sidecar_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestApplicationCannotReach is what the page says that an application cannot reach in
// its pod, and what it can.
func TestApplicationCannotReach(t *testing.T) {
	const key = "sk-dashscope" // of the documented manifests
	p := newPod(t, "documented-weighted-split")
	manifests, socket := filepath.Join(p.dir, "llm.yaml"), filepath.Join(p.dir, "admin", "socket")
	if err := os.Mkdir(filepath.Dir(socket), 0o700); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{filepath.Dir(socket): 0o700, manifests: 0o400} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, gatewayUID, gatewayUID); err != nil {
			t.Fatal(err)
		}
	}
	tries := func(uid int, args ...string) (string, error) {
		out, err := p.as(uid, args...).CombinedOutput()
		return string(out), err
	}

	p.start(gatewayUID, settings{})
	p.capture()
	process := fmt.Sprintf("/proc/%d/", p.gateway.cmd.Process.Pid)
	for name, args := range map[string][]string{
		"admin endpoint":                {"curl", "-sS", "-m", "5", "http://127.0.0.1:2019/config/"},
		"the objects and their keys":    {"cat", manifests},
		"the environment":               {"cat", process + "environ"},
		"the memory":                    {"head", "-c1", process + "mem"},
		"the files":                     {"ls", process + "root/"},
		"open files":                    {"ls", process + "fd/"},
		"its end":                       {"kill", "-TERM", fmt.Sprint(p.gateway.cmd.Process.Pid)},
		"the rules that lead to it":     {"nft", "delete", "table", "ip", "llm_capture"},
		"a connection of the sidecar's": {"setpriv", "--reuid", fmt.Sprint(gatewayUID), "true"},
	} {
		if out, err := tries(appUID, args...); err == nil {
			t.Errorf("the application reaches %s: %s", name, out)
		}
	}
	// Or what is refused above might be refused to everyone.
	for name, args := range map[string][]string{
		"the objects and their keys": {"cat", manifests}, "the environment": {"cat", process + "environ"}, "the files": {"ls", process + "root/"},
	} {
		if out, err := tries(gatewayUID, args...); err != nil {
			t.Errorf("the gateway's own user does not reach %s: %s", name, out)
		}
	}
	p.curl(call("http://dashscope.aliyuncs.com")...)
	for _, path := range []string{"/metrics", "/readyz", "/healthz", "/", "/llm", "/config/", "/debug/pprof/heap"} {
		if out := p.curl("http://127.0.0.1:2020" + path); strings.Contains(out, key) {
			t.Errorf("the status listener shows a key at %s", path)
		}
	}
	if strings.Contains(p.gateway.log.String(), "admin endpoint is reachable") || strings.Contains(p.gateway.log.String(), key) {
		t.Errorf("a warning, or a key, is in the log")
	}
	// A process that runs as the gateway's user is not captured.
	_ = p.as(gatewayUID, "curl", "-s", "-m", "2", "http://dashscope.aliyuncs.com").Run()
	if p.plain.count() == 0 {
		t.Error("a process of the gateway's user was captured")
	}
	p.gateway.stop()

	t.Run("admin at a socket", func(t *testing.T) {
		p.start(gatewayUID, settings{Admin: "unix/" + socket})
		config := []string{"curl", "-sS", "-m", "5", "--unix-socket", socket, "http://localhost/config/"}
		if out, err := tries(appUID, config...); err == nil {
			t.Errorf("the application reaches the socket: %s", out)
		}
		if out, err := tries(gatewayUID, config...); err != nil || !strings.Contains(out, "llm.yaml") || strings.Contains(out, key) {
			t.Errorf("its own user: %v %s", err, out)
		}
		if strings.Contains(p.gateway.log.String(), "admin endpoint is reachable") {
			t.Error("there is a warning")
		}
		p.gateway.stop()
	})
	t.Run("admin at its usual port", func(t *testing.T) {
		p.start(gatewayUID, settings{Admin: "localhost:2019"})
		until(t, "there is a warning", func() bool {
			return strings.Contains(p.gateway.log.String(), "admin endpoint is reachable from the application")
		})
	})
}
