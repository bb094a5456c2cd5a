package host_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/caddy-llm/gateway/integration/internal/host"
)

func TestTempDir(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	tempDir := func() (string, func()) {
		dir, remove, err := host.TempDir("test")
		if err != nil {
			t.Fatal(err)
		}
		return dir, remove
	}
	first, remove := tempDir()
	second, removeSecond := tempDir()
	if first == second {
		t.Fatalf("two have %s", first)
	}
	remove()
	for _, dir := range []string{first, second} {
		_, err := os.Stat(dir)
		if gone := os.IsNotExist(err); gone != (dir == first) {
			t.Errorf("%s: %v", dir, err)
		}
	}
	removeSecond()

	// What a killed process would leave.
	left := filepath.Join(first, "left")
	if err := os.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	again, remove := tempDir()
	defer remove()
	if _, err := os.Stat(left); again != first || !os.IsNotExist(err) {
		t.Errorf("%s is not removed by %s: %v", left, again, err)
	}
}
