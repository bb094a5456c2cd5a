// Package host is what packages that run programs for tests need of the
// machine: children that do not outlive the test, a lock between test
// processes, the gateway's source.
package host

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// module is the gateway's module; nested modules reach it by a replace.
const module = "github.com/caddy-llm/gateway"

// ModuleRoot finds the gateway's source from the test's directory, which may
// lie in another module.
func ModuleRoot() (string, error) {
	dir, err := Go("", "list", "-m", "-f", "{{.Dir}}", module)
	if err == nil && dir == "" {
		err = fmt.Errorf("go list -m knows no folder of %s", module)
	}
	return dir, err
}

// Go runs the go command in a folder and returns what it printed.
func Go(dir string, args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	if err != nil {
		return "", fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
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
