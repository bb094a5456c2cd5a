package gateway_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/gateway"
)

// The child of a test that is killed must not live on.
func TestNothingOutlivesTheTest(t *testing.T) {
	if os.Getenv("GATEWAY_TEST_HELPER") != "" {
		g := gateway.Start(t, gateway.Render(t, simple, params{gateway.FreePort(t), "x"}))
		fmt.Println("pid:", g.PID())
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestNothingOutlivesTheTest$")
	cmd.Env = append(os.Environ(), "GATEWAY_TEST_HELPER=1",
		"LLM_TEST_BINARY="+gateway.Binary(t),
		"TMPDIR="+t.TempDir()) // it can not clean up after itself
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := 0
	for s := bufio.NewScanner(out); s.Scan(); {
		if n, ok := strings.CutPrefix(s.Text(), "pid: "); ok {
			pid, _ = strconv.Atoi(n)
		}
	}
	if err := cmd.Wait(); err == nil || pid == 0 {
		t.Fatalf("the helper ended with %v and named process %d", err, pid)
	}
	for deadline := time.Now().Add(5 * time.Second); syscall.Kill(pid, 0) == nil; time.Sleep(10 * time.Millisecond) {
		if stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); strings.Contains(string(stat), ") Z ") {
			break // dead, only nobody has asked for its exit code yet
		}
		if time.Now().After(deadline) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Fatal("the gateway outlived its test")
		}
	}
}
