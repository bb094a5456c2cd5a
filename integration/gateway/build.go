// Package gateway runs the built gateway as a process of its own for tests:
// with its own home, logs captured line by line, ready when it says so, and
// gone when the test is.
//
//	p := gateway.FreePort(t)
//	g := gateway.Start(t, gateway.Render(t, `:{{.}} { respond "ok" }`, p))
//	// … requests to http://127.0.0.1:p …
//	g.WaitLog("handled request")
package gateway

import (
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/caddy-llm/gateway/integration/internal/host"
)

// Binary returns the gateway to test: the file LLM_TEST_BINARY names, or
// cmd/caddy, built once per test process, with the race detector when
// LLM_TEST_RACE is 1. The build is kept in the temporary directory, so an
// unchanged one costs the next process a second. The test is skipped unless
// integration tests are asked for, see host.NeedIntegration.
func Binary(t testing.TB) string {
	t.Helper()
	host.NeedIntegration(t)
	path, err := binary()
	if err != nil {
		t.Fatalf("building the gateway: %v", err)
	}
	return path
}

var binary = sync.OnceValues(func() (string, error) {
	if given := os.Getenv("LLM_TEST_BINARY"); given != "" {
		if _, err := os.Stat(given); err != nil {
			return "", fmt.Errorf("LLM_TEST_BINARY: %w", err)
		}
		return filepath.Abs(given)
	}
	root, err := host.ModuleRoot()
	if err != nil {
		return "", err
	}
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(root)) // two checkouts must not share a binary
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("llm-gateway-test-%d", os.Getuid()), fmt.Sprintf("%x", sum.Sum64()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	name := "caddy"
	args := []string{"build"}
	if os.Getenv("LLM_TEST_RACE") == "1" {
		name = "caddy-race"
		args = append(args, "-race")
	}
	path := filepath.Join(dir, name)
	unlock, err := host.LockFile(path + ".lock") // several test processes at once
	if err != nil {
		return "", err
	}
	defer unlock()
	cmd := exec.Command("go", append(args, "-o", path, "./cmd/caddy")...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./cmd/caddy: %w\n%s", err, out)
	}
	return path, nil
})
