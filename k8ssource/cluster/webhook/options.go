package webhook

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/k8ssource/inject"
)

const (
	// optionsRefresh is how often the file is read again, while there are requests.
	optionsRefresh = time.Second

	// maxOptions is more than any file of options has, in bytes.
	maxOptions = 1 << 20
)

// optionsFile is the file with what sidecars are like. It is safe for concurrent
// use.
type optionsFile struct {
	path   string
	logger func() *zap.Logger

	mu      sync.Mutex
	last    time.Time // when it was read
	content []byte
	failing string // why it cannot be used, as logged
	options *inject.Options
}

// openOptions reads the file for the first time.
func openOptions(path string, logger func() *zap.Logger) (*optionsFile, error) {
	f := &optionsFile{path: path, logger: logger, last: time.Now()}
	return f, f.read()
}

// get returns what the file says, or said when it last was good.
func (f *optionsFile) get() *inject.Options {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.last) < optionsRefresh {
		return f.options
	}
	f.last = time.Now()
	switch err := f.read(); {
	case err == nil:
		f.failing = ""
	case f.failing != err.Error():
		f.failing = err.Error()
		f.logger().Error("injection options file is invalid; keeping the last valid version", zap.Error(err))
	}
	return f.options
}

func (f *optionsFile) read() error {
	info, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the injection's options: %w; create it, with at least the line: image: NAME", err)
	}
	if err == nil && (!info.Mode().IsRegular() || info.Size() > maxOptions) {
		err = fmt.Errorf("%s is not a regular file of at most %d bytes", f.path, maxOptions)
	}
	if err != nil {
		return fmt.Errorf("reading the injection's options: %w", err)
	}
	content, err := os.ReadFile(f.path)
	if err != nil {
		return fmt.Errorf("reading the injection's options: %w", err)
	}
	if f.options != nil && bytes.Equal(content, f.content) {
		return nil
	}
	options, err := inject.ReadOptions(content)
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	if f.options != nil {
		f.logger().Info("injection options changed", zap.String("file", f.path))
	}
	f.options, f.content = options, content
	return nil
}
