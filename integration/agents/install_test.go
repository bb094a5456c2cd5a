package agents_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/internal/host"
)

//go:embed npm/package.json
var packages []byte

//go:embed npm/package-lock.json
var lock []byte

// installed returns the folder node_modules with the agents. The test is skipped unless
// integration tests are asked for, and where there is no npm.
func installed(t *testing.T) string {
	t.Helper()
	host.NeedIntegration(t)
	for _, name := range []string{"node", "npm"} {
		if _, err := exec.LookPath(name); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("%s not found", name)
			}
			t.Skipf("%s not found: the agents are packages of npm", name)
		}
	}
	dir, err := install()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

var install = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "llm-gateway", fmt.Sprintf("agents-%x", sha256.Sum256(lock))[:24])
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", err
	}
	unlock, err := host.LockFile(dir + ".lock") // several test processes at once
	if err != nil {
		return "", err
	}
	defer unlock()
	complete := filepath.Join(dir, "complete")
	if _, err := os.Stat(complete); err == nil {
		return filepath.Join(dir, "node_modules"), nil
	}
	for name, content := range map[string][]byte{"package.json": packages, "package-lock.json": lock} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return "", err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	// No scripts: the agents run without them, and none of them downloads anything.
	cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	var output bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &output, &output
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("npm ci in %s: %w\n%s", dir, err, output.String())
	}
	return filepath.Join(dir, "node_modules"), os.WriteFile(complete, nil, 0o600)
})
