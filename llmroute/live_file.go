package llmroute

import (
	"bytes"
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

// fileRefresh is how often a file is read again while requests arrive.
const fileRefresh = time.Second

// liveFile is a file that is followed: its content, parsed. The request that
// comes first after a second reads it again; those that arrive meanwhile use
// what was read before. It is safe for concurrent use.
type liveFile[T any] struct {
	path   string
	kind   *fileKind[T]
	logger *zap.Logger
	every  time.Duration
	opened time.Time

	value atomic.Pointer[T]
	next  atomic.Int64 // when to read again, in nanoseconds after opened

	mu      sync.Mutex        // held while the file is read
	seen    [sha256.Size]byte // the content that was last parsed, good or not
	failure string            // why it could not be read, if it could not
}

// fileKind is what files of a kind have in common.
type fileKind[T any] struct {
	of      string // what the file holds, for logs and errors
	maxSize int64  // in bytes
	create  string // what to do when there is no such file
	// parse reads the content. The error names the file and the line.
	parse func(path string, data []byte) (T, error)
	// taken is told of each version that is used from now on.
	taken func(path string, value T, changed bool, logger *zap.Logger)
}

// openLiveFile reads the file for the first time.
func openLiveFile[T any](path string, kind *fileKind[T], logger *zap.Logger) (*liveFile[T], error) {
	f := &liveFile[T]{path: path, kind: kind, logger: logger, every: fileRefresh, opened: time.Now()}
	f.next.Store(int64(f.every))
	data, err := kind.read(path)
	if err != nil {
		return nil, err
	}
	value, err := kind.parse(path, data)
	if err != nil {
		return nil, err
	}
	f.seen = sha256.Sum256(data)
	f.value.Store(&value)
	kind.taken(path, value, false, logger)
	return f, nil
}

// get returns what the file says.
func (f *liveFile[T]) get() T {
	// Time since opened, and not of day: a clock that is set back must not keep
	// a withdrawn key in force.
	if f.due() && f.mu.TryLock() {
		if f.due() {
			f.refresh()
			f.next.Store(int64(time.Since(f.opened) + f.every))
		}
		f.mu.Unlock()
	}
	return *f.value.Load()
}

func (f *liveFile[T]) due() bool { return int64(time.Since(f.opened)) >= f.next.Load() }

// refresh reads the file and takes over what it says, if it is new and good. It
// compares the content, because two versions may have the same time and size.
func (f *liveFile[T]) refresh() {
	data, err := f.kind.read(f.path)
	if err != nil {
		if text := err.Error(); text != f.failure {
			f.failure = text
			f.logger.Error("the file of "+f.kind.of+" cannot be read; its last good version stays in force", zap.Error(err))
		}
		return
	}
	sum := sha256.Sum256(data)
	if f.failure != "" {
		f.failure = ""
		f.logger.Info("the file of "+f.kind.of+" can be read again", zap.String("file", f.path))
	}
	if sum == f.seen {
		return
	}
	f.seen = sum
	value, err := f.kind.parse(f.path, data)
	if err != nil {
		f.logger.Error("the file of "+f.kind.of+" has a mistake; its last good version stays in force", zap.Error(err))
		return
	}
	f.value.Store(&value)
	f.kind.taken(f.path, value, true, f.logger)
}

func (k *fileKind[T]) read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the %s: %w; %s", k.of, err, k.create)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the %s: %w", k.of, err)
	}
	if !info.Mode().IsRegular() { // opening a pipe could wait forever
		return nil, fmt.Errorf("reading the %s: %s is not a regular file; name a file with %s", k.of, path, k.of)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the %s: %w", k.of, err)
	}
	defer file.Close()
	var data bytes.Buffer
	if info.Size() <= k.maxSize {
		data.Grow(int(info.Size()) + bytes.MinRead)
	}
	if _, err := data.ReadFrom(io.LimitReader(file, k.maxSize+1)); err != nil {
		return nil, fmt.Errorf("reading the %s: %w", k.of, err)
	}
	if int64(data.Len()) > k.maxSize {
		return nil, fmt.Errorf("reading the %s: %s is over the limit of %d bytes", k.of, path, k.maxSize)
	}
	return data.Bytes(), nil
}
