package headername

import (
	"net/http"
	"strings"
	"testing"
)

func TestClassesOfNames(t *testing.T) {
	for want, lists := range map[Class][][]string{Hidden: {credentialNames, identityNames}, Sent: {plainNames}} {
		for _, names := range lists {
			for _, name := range names {
				if got := ClassOf(http.CanonicalHeaderKey(name)); got != want && got != Own {
					t.Errorf("%s is of class %d, want %d", name, got, want)
				}
			}
		}
	}
}

// TestHiddenNamesAreNotSent holds the one rule: what logs hide, no provider gets.
func TestHiddenNamesAreNotSent(t *testing.T) {
	words := []string{"x", "user", "auth", "token", "max", "key", "cache", "id", "remote", "client", "cert", "email", "openai", "project", "method", "digest", "cf", "access"}
	for _, a := range words {
		for _, b := range words {
			for _, c := range words {
				name := http.CanonicalHeaderKey(a + "-" + b + "-" + c)
				if IsHidden(name) && ClassOf(name) == Sent {
					t.Fatalf("%s is hidden and sent", name)
				}
			}
		}
	}
}

func FuzzHeaderNames(f *testing.F) {
	for _, name := range append(append([]string{"", "-", "--token", strings.Repeat("a-", 100) + "token"}, credentialNames...), plainNames...) {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		hidden := IsHidden(name)
		if IsCredential(name) && !hidden {
			t.Errorf("%q is a credential and is shown", name)
		}
		for _, other := range []string{strings.ToLower(name), strings.ToUpper(name), strings.NewReplacer("-", "_").Replace(name), strings.NewReplacer("_", ".").Replace(name)} {
			if isASCII(name) && IsHidden(other) != hidden {
				t.Errorf("%q is hidden: %v, but %q is not", name, hidden, other)
			}
		}
		if hidden && ClassOf(http.CanonicalHeaderKey(name)) == Sent {
			t.Errorf("%q is hidden and sent", name)
		}
	})
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c >= 0x80 })
}

func TestJudgingNamesDoesNotAllocate(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() {
		for _, name := range []string{"X-Custom-Header", "X-Auth-Request-Access-Token", "User-Agent", "X-Datadog-Origin"} {
			_ = ClassOf(name)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
