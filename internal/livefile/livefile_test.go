package livefile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// words is a kind whose content is one line that does not begin with "bad".
func words(refresh time.Duration) *Kind[string] {
	return &Kind[string]{
		Name: "words", MaxSize: 64, Create: "create it", Refresh: refresh,
		Parse: func(path string, data []byte) (string, error) {
			if strings.HasPrefix(string(data), "bad") {
				return "", errors.New(path + ":1: bad word")
			}
			return string(data), nil
		},
		Taken: func(_ string, value string, changed bool, logger *zap.Logger) {
			if changed {
				logger.Info("changed to " + value)
			}
		},
	}
}

// replace renames a new version into the file's place, as a careful writer does.
func replace(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, content string, refresh time.Duration) (*File[string], string, *observer.ObservedLogs) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "words")
	replace(t, path, content)
	core, logs := observer.New(zapcore.DebugLevel)
	f, err := Open(path, words(refresh), zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	return f, path, logs
}

func TestLastValidVersionIsKept(t *testing.T) {
	f, path, logs := open(t, "one", time.Nanosecond)
	for _, tc := range []struct {
		change string
		do     func()
		want   string
		log    string
	}{
		{"nothing", func() {}, "one", ""},
		{"another content", func() { replace(t, path, "two") }, "two", "changed to two"},
		{"a mistake", func() { replace(t, path, "bad") }, "two", "words file is invalid; keeping the last valid version"},
		{"too long", func() { replace(t, path, strings.Repeat("x", 65)) }, "two", "words file cannot be read; keeping the last valid version"},
		{"gone", func() { _ = os.Remove(path) }, "two", "words file cannot be read; keeping the last valid version"},
		{"back", func() { replace(t, path, "three") }, "three", "words file can be read again, changed to three"},
	} {
		tc.do()
		for range 3 { // each is logged once
			if got := f.Get(); got != tc.want {
				t.Errorf("%s: got %q, want %q", tc.change, got, tc.want)
			}
		}
		var messages []string
		for _, entry := range logs.TakeAll() {
			messages = append(messages, entry.Message)
		}
		if got := strings.Join(messages, ", "); got != tc.log {
			t.Errorf("%s: logged %q, want %q", tc.change, got, tc.log)
		}
	}
}

func TestFileIsReadOnceASecond(t *testing.T) {
	f, path, _ := open(t, "one", 0)
	replace(t, path, "two")
	if got := f.Get(); got != "one" {
		t.Fatalf("the file was read again at once: %q", got)
	}
	f.opened = f.opened.Add(-refreshInterval) // a second has passed
	if got := f.Get(); got != "two" {
		t.Fatalf("the file was not read again after a second: %q", got)
	}
	replace(t, path, "three")
	if got := f.Get(); got != "two" {
		t.Fatalf("the file was read again within the next second: %q", got)
	}
}

// Requests go on while one of them waits for the file.
func TestOneCallerReads(t *testing.T) {
	f, _, _ := open(t, "one", time.Nanosecond)
	f.mu.Lock() // as by a request whose reading takes long
	defer f.mu.Unlock()
	done := make(chan string)
	go func() { done <- f.Get() }()
	select {
	case got := <-done:
		if got != "one" {
			t.Errorf("got %q meanwhile", got)
		}
	case <-time.After(10 * time.Second):
		t.Error("another request waits for the reading")
	}
}

func TestReplacedUnderLoad(t *testing.T) {
	f, path, logs := open(t, "one", time.Nanosecond)
	var stop atomic.Bool
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for !stop.Load() {
				if got := f.Get(); got != "one" && got != "two" {
					t.Errorf("got %q, which no version holds", got)
					return
				}
				time.Sleep(50 * time.Microsecond)
			}
		})
	}
	for i := range 150 {
		replace(t, path, []string{"one", "two", "bad"}[i%3])
		time.Sleep(time.Millisecond)
	}
	stop.Store(true)
	group.Wait()
	if logs.FilterMessageSnippet("is invalid").Len() == 0 || logs.FilterMessageSnippet("cannot be read").Len() != 0 {
		t.Error("the log has something else than mistakes")
	}
}

// A pipe would keep the request waiting that opens it.
func TestSpecialFilesAreRejected(t *testing.T) {
	if _, err := os.Stat(os.DevNull); errors.Is(err, os.ErrNotExist) {
		t.Skip("no " + os.DevNull)
	}
	if _, err := Open(os.DevNull, words(0), zap.NewNop()); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("error is %v", err)
	}
}
