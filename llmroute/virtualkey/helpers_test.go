package virtualkey

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	aliceKey = "sk-llm-alice-0123456789abcdef"
	bobKey   = "sk-llm-bob-0123456789abcdef"
)

// keyLine is a client's line in a file of keys.
func keyLine(name, key string, models ...string) string {
	hash := sha256.Sum256([]byte(key))
	return strings.Join(append([]string{name, "sha256:" + hex.EncodeToString(hash[:])}, models...), " ") + "\n"
}

func writeKeys(t testing.TB, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
