// Package livefile follows files that are replaced while the gateway runs, such
// as virtual keys and prices: the last valid version stays in use. It knows
// nothing of what the files hold. Begin with Open and File.Get.
package livefile

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// refreshInterval is how often a file is read again while requests arrive,
// unless its kind says otherwise.
const refreshInterval = time.Second

// File is the parsed content of a file that is followed. The first caller of Get
// after Kind.Refresh has passed reads the file again; other callers meanwhile get
// what was read before. It is safe for concurrent use.
type File[T any] struct {
	path   string
	kind   *Kind[T]
	logger *zap.Logger
	opened time.Time

	value atomic.Pointer[T]
	next  atomic.Int64 // when to read again, in nanoseconds after opened

	mu      sync.Mutex        // held while the file is read
	seen    [sha256.Size]byte // the content that was last parsed, good or not
	failure string            // why it could not be read, if it could not
}

// Kind is what files of a kind have in common.
type Kind[T any] struct {
	Name    string // what the file holds, for logs and errors
	MaxSize int64  // in bytes
	Create  string // what to do when there is no such file

	// Refresh is how often the file is read again at most while it is used.
	// Default: 1s.
	Refresh time.Duration

	// Parse reads the content. The error names the file and the line.
	Parse func(path string, data []byte) (T, error)

	// Taken is called for each version that is used from now on; changed is false
	// for the first one.
	Taken func(path string, value T, changed bool, logger *zap.Logger)
}

// Open reads the file for the first time. The error names the file and, if it
// is there and invalid, what Kind.Parse said.
func Open[T any](path string, kind *Kind[T], logger *zap.Logger) (*File[T], error) {
	f := &File[T]{path: path, kind: kind, logger: logger, opened: time.Now()}
	f.next.Store(int64(kind.refresh()))
	data, err := kind.read(path)
	if err != nil {
		return nil, err
	}
	value, err := kind.Parse(path, data)
	if err != nil {
		return nil, err
	}
	f.seen = sha256.Sum256(data)
	f.value.Store(&value)
	kind.Taken(path, value, false, logger)
	return f, nil
}

// Get returns the content of the last valid version.
func (f *File[T]) Get() T {
	// Time since opened, and not of day: a clock that is set back must not keep
	// a withdrawn key in force.
	if f.due() && f.mu.TryLock() {
		if f.due() {
			f.refresh()
			f.next.Store(int64(time.Since(f.opened) + f.kind.refresh()))
		}
		f.mu.Unlock()
	}
	return *f.value.Load()
}

func (f *File[T]) due() bool { return int64(time.Since(f.opened)) >= f.next.Load() }

// refresh reads the file and uses its content if that is new and valid. It
// compares the content, because two versions may have the same time and size.
func (f *File[T]) refresh() {
	data, err := f.kind.read(f.path)
	if err != nil {
		if text := err.Error(); text != f.failure {
			f.failure = text
			f.logger.Error(f.kind.Name+" file cannot be read; keeping the last valid version", zap.Error(err))
		}
		return
	}
	sum := sha256.Sum256(data)
	if f.failure != "" {
		f.failure = ""
		f.logger.Info(f.kind.Name+" file can be read again", zap.String("file", f.path))
	}
	if sum == f.seen {
		return
	}
	f.seen = sum
	value, err := f.kind.Parse(f.path, data)
	if err != nil {
		f.logger.Error(f.kind.Name+" file is invalid; keeping the last valid version", zap.Error(err))
		return
	}
	f.value.Store(&value)
	f.kind.Taken(f.path, value, true, f.logger)
}

func (k *Kind[T]) refresh() time.Duration { return cmp.Or(k.Refresh, refreshInterval) }

func (k *Kind[T]) read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the %s: %w; %s", k.Name, err, k.Create)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the %s: %w", k.Name, err)
	}
	if !info.Mode().IsRegular() { // opening a pipe could wait forever
		return nil, fmt.Errorf("reading the %s: %s is not a regular file; name a file that holds %s", k.Name, path, k.Name)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the %s: %w", k.Name, err)
	}
	defer file.Close()
	var data bytes.Buffer
	if info.Size() <= k.MaxSize {
		data.Grow(int(info.Size()) + bytes.MinRead)
	}
	if _, err := data.ReadFrom(io.LimitReader(file, k.MaxSize+1)); err != nil {
		return nil, fmt.Errorf("reading the %s: %w", k.Name, err)
	}
	if int64(data.Len()) > k.MaxSize {
		return nil, fmt.Errorf("reading the %s: %s is over the limit of %d bytes", k.Name, path, k.MaxSize)
	}
	return data.Bytes(), nil
}
