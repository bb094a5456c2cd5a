//go:build !linux

package host

import (
	"os"
	"syscall"
)

func dieWithParent() *syscall.SysProcAttr { return nil }

// LockFile locks on Linux only.
func LockFile(string) (func(), error) { return func() {}, nil }

// TempDir makes an empty folder and a function that removes it.
func TempDir(name string) (string, func(), error) {
	dir, err := os.MkdirTemp("", name+"-")
	return dir, func() { _ = os.RemoveAll(dir) }, err
}
