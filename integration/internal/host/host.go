// Package host is what packages that run programs for tests need of the
// machine: children that do not outlive the test, a lock between test
// processes, the gateway's source.
package host

import (
	"fmt"
	"os/exec"
	"runtime"
	"strings"
)

// module is the gateway's module; nested modules reach it by a replace.
const module = "github.com/caddy-llm/gateway"

// ModuleRoot finds the gateway's source from the test's directory, which may
// lie in another module.
func ModuleRoot() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	dir := strings.TrimSpace(string(out))
	if err != nil || dir == "" {
		return "", fmt.Errorf("finding the source of %s (go list -m): %w", module, err)
	}
	return dir, nil
}

// Start starts a program that dies with this process. When it ends, ended is
// called with what Wait returned.
func Start(cmd *exec.Cmd, ended func(error)) error {
	cmd.SysProcAttr = dieWithParent()
	start := make(chan error, 1)
	go func() {
		// The thread must outlive the child, see dieWithParent.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		start <- err
		if err == nil {
			ended(cmd.Wait())
		}
	}()
	return <-start
}
