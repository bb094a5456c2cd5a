package cluster

import (
	"errors"
	"testing"

	"github.com/go-logr/logr"
	"go.uber.org/zap/zapcore"
)

func TestLogLevels(t *testing.T) {
	for _, test := range []struct {
		quiet     bool
		verbosity int
		want      zapcore.Level
	}{
		{false, 0, zapcore.InfoLevel}, {false, 1, zapcore.DebugLevel}, {false, 4, zapcore.DebugLevel}, {true, 0, zapcore.DebugLevel},
	} {
		s := &sink{quiet: test.quiet}
		if got := s.level(zapcore.InfoLevel, test.verbosity); got != test.want {
			t.Errorf("quiet %v, verbosity %d: %v, want %v", test.quiet, test.verbosity, got, test.want)
		}
	}
	if got := (&sink{}).level(zapcore.ErrorLevel, 0); got != zapcore.ErrorLevel {
		t.Errorf("an error is logged as %v", got)
	}
	for verbosity := maxVerbosity + 1; verbosity <= 10; verbosity++ {
		if logr.New(&sink{}).V(verbosity).Enabled() {
			t.Errorf("verbosity %d, at which requests are logged, is enabled", verbosity)
		}
	}
}

func TestLogDoesNotShareValues(t *testing.T) {
	parent := &sink{values: make([]any, 0, 8)}
	a := parent.WithValues("a", 1).(*sink)
	b := parent.WithValues("b", 2).WithName("x").(*sink)
	if a.values[0] != "a" || b.values[0] != "b" || b.name != "x" {
		t.Errorf("got %v and %v", a, b)
	}
	b.Error(errors.New("e"), "message", "c", 3) // does not panic
}
