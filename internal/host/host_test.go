package host

import (
	"strings"
	"testing"
)

func TestName(t *testing.T) {
	for authority, want := range map[string]string{
		"test.com": "test.com", "TEST.com": "test.com", "test.com.": "test.com", "test.com..": "test.com",
		"test.com:": "test.com", "test.com:80": "test.com", "Test.Com.:80": "test.com", "test.com:http": "test.com",
		"[::1]": "::1", "[::1]:80": "::1", "[::1]:": "::1", "::1": "::1", "[0:0:0:0:0:0:0:1]": "::1", "[2001:DB8::A]:443": "2001:db8::a",
		"[fe80::1%eth0]:80": "fe80::1", "fe80::1%25eth0": "fe80::1", "[::ffff:127.0.0.1]": "::ffff:127.0.0.1",
		"127.0.0.1:80": "127.0.0.1", "*.Suffix.com": "*.suffix.com", "*": "*", "": "", ":80": "", ".": "",
		"under_score.com": "under_score.com", "user@test.com": "user@test.com", "test%2ecom": "test%2ecom", "a,b:80": "a,b",
		"\u212aelvin.com": "\u212aelvin.com", strings.Repeat("a", maxName) + "..:80": strings.Repeat("a", maxName),
	} {
		if got, ok := Name(authority); !ok || got != want {
			t.Errorf("%q: %q, %v; want %q", authority, got, ok, want)
		}
	}
	for _, authority := range []string{
		"[test.com]", "[test.com]:80", "[test.com", "test.com]", "[]", "[]:80", "[127.0.0.1]", "[::1", "::1]", "[::1].", "[::1]80", "[::1]x:80", "a[::1]",
		strings.Repeat("a.", 128) + "com:80", strings.Repeat("a", maxName+1), "[[::1]]", "[::1]:[80]", "test.com:[80]", "[test.com].", "[v1.fe80]", "[test.com]:80:80", "][", "test.com:80:80", "a:b:c", "::x", "[::1]@test.com",
	} {
		if got, ok := Name(authority); ok {
			t.Errorf("%q: %q, want none", authority, got)
		}
	}
}

// FuzzName holds that a normal form is its own normal form, however it is written.
func FuzzName(f *testing.F) {
	for _, authority := range []string{"TEST.com.:80", "[::1]:80", "[test.com]", "fe80::1%eth0", "a:b:c", "..", "[::1%]]:1"} {
		f.Add(authority)
	}
	f.Fuzz(func(t *testing.T, authority string) {
		name, ok := Name(authority)
		if !ok {
			if !strings.ContainsAny(authority, "[]") && strings.Count(authority, ":") < 2 && len(authority) <= maxName {
				t.Fatalf("%q has no normal form", authority)
			}
			return
		}
		if strings.ContainsAny(name, "[]") || Lower(name) != name {
			t.Fatalf("%q: %q is no normal form", authority, name)
		}
		if again, ok := Name(name); !ok || again != name {
			t.Fatalf("%q: %q becomes %q, %v", authority, name, again, ok)
		}
		for _, end := range []string{"", ":", ":80"} {
			if again, ok := Name(InURL(name) + end); !ok || again != name {
				t.Fatalf("%q: %q%s becomes %q, %v", authority, name, end, again, ok)
			}
		}
	})
}

func TestNameAllocatesNothing(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { _, _ = Name("llm.example.com:8080") }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestIntersect(t *testing.T) {
	for _, c := range []struct{ a, b, want string }{
		{"*", "*", "*"}, {"*", "a.com", "a.com"}, {"*", "*.a.com", "*.a.com"}, {"a.com", "a.com", "a.com"}, {"a.com", "b.com", ""},
		{"*.a.com", "x.a.com", "x.a.com"}, {"*.a.com", "x.y.a.com", "x.y.a.com"}, {"*.a.com", "a.com", ""}, {"*.a.com", ".a.com", ""}, {"*.a.com", "xa.com", ""},
		{"*.a.com", "*.x.a.com", "*.x.a.com"}, {"*.a.com", "*.b.com", ""}, {"*", "::1", "::1"},
	} {
		if got := Intersect(c.a, c.b); got != c.want {
			t.Errorf("Intersect(%q, %q) = %q, want %q", c.a, c.b, got, c.want)
		}
		if got := Intersect(c.b, c.a); got != c.want {
			t.Errorf("Intersect(%q, %q) = %q, want %q", c.b, c.a, got, c.want)
		}
	}
}
