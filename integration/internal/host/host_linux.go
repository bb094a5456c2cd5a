package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// dieWithParent has the kernel kill the child when the thread that started it
// ends, so that a killed test leaves nothing behind.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// LockFile waits until no other process holds the lock; the file is created.
// The returned function gives it back.
func LockFile(path string) (func(), error) { return lock(path, syscall.LOCK_EX) }

func lock(path string, how int) (func(), error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), how); err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}

// TempDir makes an empty folder that nobody else uses, and a function that
// removes it. What a killed test left is removed by a later one.
func TempDir(name string) (string, func(), error) {
	base := filepath.Join(os.TempDir(), fmt.Sprintf("%s-%d", name, os.Getuid()))
	if err := os.MkdirAll(base, 0o700); err != nil {
		return "", nil, err
	}
	for i := 0; ; i++ {
		dir := filepath.Join(base, strconv.Itoa(i))
		unlock, err := lock(dir+".lock", syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			continue
		}
		if err == nil {
			err = errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700))
		}
		if err != nil {
			return "", nil, err
		}
		return dir, func() {
			_ = os.RemoveAll(dir)
			unlock()
		}, nil
	}
}
