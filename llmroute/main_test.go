package llmroute

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"
)

// TestMain has the tests keep what they store in a folder of their own: what limits have
// counted outlives a process. It lets all of the parallel ones run at a time, if it is not told how
// many: they are those that wait rather than work.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "llmroute")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	caddy.DefaultStorage = &certmagic.FileStorage{Path: dir}
	flag.Parse()
	told := false
	flag.Visit(func(f *flag.Flag) { told = told || f.Name == "test.parallel" })
	if !told {
		_ = flag.Set("test.parallel", "32")
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}
