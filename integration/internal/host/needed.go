package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// NeedIntegration skips a test of the built gateway or of other programs, unless
// LLM_INTEGRATION or LLM_TEST_BINARY is set: "go test ./..." stays quick and needs
// nothing but Go. integration/run.sh sets it.
func NeedIntegration(t testing.TB) {
	t.Helper()
	if os.Getenv("LLM_INTEGRATION") != "" || os.Getenv("LLM_TEST_BINARY") != "" {
		return
	}
	t.Skipf("LLM_INTEGRATION is not set; to run this test: bash integration/run.sh %s", command(t))
}

// command is what run.sh needs to know to run the test: step, folder and test.
func command(t testing.TB) string {
	step, folder := "integration", "integration"
	if dir, err := os.Getwd(); err == nil {
		if _, below, ok := strings.Cut(filepath.ToSlash(dir), "/integration/"); ok {
			folder += "/" + below
		}
		if _, err := os.Stat("go.mod"); err == nil {
			step = "modules"
		}
	}
	name, _, _ := strings.Cut(t.Name(), "/")
	return step + " ./" + folder + " -run '^" + name + "$'"
}
