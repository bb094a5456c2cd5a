package files

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/caddy-llm/gateway/k8ssource/object"
)

// coarsest is the coarsest clock of a file system in use: a file that was
// changed so shortly before it was read can be changed again without its time
// showing it.
const coarsest = 2 * time.Second

var errUnsettled = errors.New("the file is being written")

// manifest is one file that is followed.
type manifest struct {
	path      string
	namespace string      // of objects that name none
	info      os.FileInfo // as it was read, nil before
	readAt    time.Time
	hash      [sha256.Size]byte
	objects   *object.Set // of the last good content, nil before

	waiting os.FileInfo // as it was found when last looked at, if it was not read
	waits   int
	problem *problem
	absent  int // looks in a row that its folder or pattern did not have it
}

// due reports whether the file is to be read now. One that was renamed into place
// is complete; one that is written to in place is read when it has not changed
// between two looks, or at the latest after so many.
func (m *manifest) due(found os.FileInfo, patience int) bool {
	if m.info != nil && sameFile(m.info, found) {
		m.waiting, m.waits = nil, 0
		// What is wrong with the content stays so until it changes; whether a
		// file can be opened shows nowhere.
		return m.problem != nil && (!m.problem.lasts() || m.problem.line == 0) || m.mayHaveChanged()
	}
	renamed := m.info != nil && !os.SameFile(m.info, found) && found.Size() > 0
	settled := m.waiting != nil && sameFile(m.waiting, found)
	if renamed || settled || m.waits >= patience {
		m.waiting, m.waits = nil, 0
		return true
	}
	m.waiting = found
	m.waits++
	return false
}

// mayHaveChanged tells that the file was read so soon after it was changed that
// its time need not show a further change.
func (m *manifest) mayHaveChanged() bool {
	age := m.readAt.Sub(m.info.ModTime())
	return age < coarsest && age > -coarsest
}

// read reads the file. If it is as it was, nothing else is done.
func (m *manifest) read(now time.Time) error {
	// Opening a pipe would wait for somebody to write to it.
	if info, err := os.Stat(m.path); err == nil && !info.Mode().IsRegular() {
		return &object.FileError{File: m.path, Line: 1, Text: "this is not a regular file; write the path of a file with YAML"}
	}
	f, err := os.Open(m.path)
	if err != nil {
		return fmt.Errorf("reading a manifest: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("reading a manifest: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(f, object.MaxFileSize+1))
	if err != nil {
		return fmt.Errorf("reading a manifest: %w", err)
	}
	if after, err := f.Stat(); err == nil && m.info != nil && !sameFile(info, after) {
		return errUnsettled
	}
	hash := sha256.Sum256(data)
	if hash != m.hash || m.problem != nil || m.objects == nil {
		objects, err := object.DecodeIn(m.namespace, m.path, data)
		m.info, m.readAt = info, now
		if err != nil {
			return err
		}
		m.objects = objects
	}
	m.info, m.readAt, m.hash = info, now, hash
	return nil
}

// sameFile reports whether nothing about the file has changed.
func sameFile(a, b os.FileInfo) bool {
	return a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && os.SameFile(a, b)
}
