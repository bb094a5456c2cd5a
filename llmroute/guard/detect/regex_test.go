package detect

import (
	"regexp"
	"testing"
)

// TestRequired holds that what is looked for before a regular expression is run never
// hides a match.
func TestRequired(t *testing.T) {
	patterns := []string{
		`sk-[a-z]{3}`, `(?i)Internal\s+codename`, `(?i)kiss`, `foo|bar|(?:baz)+`, `(?i:A)b`, `a?b`, `[Ss]ecret`, `(x|yy)z`, `\d{3}-\d{2}`, `(?:ab){2,3}`, `(ab)?c`, `(?i)stra\x{df}e`,
		`^a`, `\bword\b`, `.`, `a{0,2}b`, `(?s)a.b`, `\x{fffd}`, `(?i)[k]x`, `(?:a|b|c|d|e|f|g|h|i|j|k|l|m|n|o|p|q|r)x`, `(?i)\x{17f}un`,
	}
	words := []string{"sk-abc", "INTERNAL codename", "internal\tCODENAME", "KI\u017fs", "\u212aiss", "foo", "bazbaz", "Ab", "b", "secret", "yyz", "123-45", "ababab", "c", "STRASSE", "STRA\u1e9eE",
		"stra\u00dfe", "word", "a\nb", "\xff", "\u212ax", "kx", "rx", "sun", "SUN", "", "nothing"}
	for _, p := range patterns {
		d, err := Regex(p, "")
		if err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		re := regexp.MustCompile(p)
		for _, w := range words {
			got := false
			each(d, "x "+w+" y", func(int, int) bool { got = true; return false })
			if want := re.MatchString("x " + w + " y"); got != want {
				t.Errorf("%s in %q: %v, want %v", p, w, got, want)
			}
		}
	}
}
