package limit

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/llmroute/limit/tuple"
)

// TestManyKeys holds a meter to its bound: further keys are counted together, and
// what was used is never given back to make room.
func TestManyKeys(t *testing.T) {
	b := newBench(t)
	s := b.compile(t, &Definition{Name: "a", Key: []Key{"header X-Any"}, Amounts: one(UnitRequests, "2", "1m")})
	m := s.limits[0].meters[0]
	key := func(i int) subject { return subject{"header X-Any": fmt.Sprint(i)} }
	for i := range maxCounters {
		if refused := spend(t, s, request(key(i), 0, 0), 0, 0); refused != nil {
			t.Fatalf("key %d: %+v", i, refused)
		}
	}
	b.add(2 * time.Second)
	for i := range 3 {
		if refused := spend(t, s, request(key(maxCounters+i), 0, 0), 0, 0); (refused != nil) != (i == 2) {
			t.Errorf("further key %d: %+v", i, refused)
		}
	}
	if len(m.counters) > maxCounters || !of(t, s, "a", 0).Shared {
		t.Errorf("%d counters", len(m.counters))
	}
	spend(t, s, request(key(7), 0, 0), 0, 0)
	if refused := spend(t, s, request(key(7), 0, 0), 0, 0); refused == nil {
		t.Error("a key was forgotten")
	}
	b.add(time.Hour)
	for i := range 3 {
		if refused := spend(t, s, request(key(maxCounters+i), 0, 0), 0, 0); refused != nil {
			t.Errorf("key %d, an hour later: %+v", i, refused)
		}
	}
	if len(m.counters) > 10 {
		t.Errorf("%d counters are left", len(m.counters))
	}
}

// TestCombinations holds that no two combinations of values are counted as one.
func TestCombinations(t *testing.T) {
	values := []string{"", "a", "b", "ab", "\x00", "\x01a", "\xfe", "\xff", strings.Repeat("a", 127), strings.Repeat("a", 128), strings.Repeat("a", 129), strings.Repeat("\xff", 200), "a\x01"}
	seen := map[string]string{}
	for _, x := range values {
		for _, y := range values {
			for _, z := range values {
				text := string(tuple.Append(tuple.Append(tuple.Append(nil, x), y), z))
				if other, ok := seen[text]; ok {
					t.Fatalf("%q %q %q is %s", x, y, z, other)
				}
				seen[text] = fmt.Sprintf("%q %q %q", x, y, z)
				shown := show([]Key{KeyIP, KeyModel, "header X"}, text)
				if strings.Count(shown, "=") != 3 || len(x) > 1 && strings.Contains(shown, x) {
					t.Errorf("%q %q %q is shown as %q", x, y, z, shown)
				}
			}
		}
	}
	if got := show([]Key{KeyClient, KeyProvider}, string(tuple.Append(tuple.Append(nil, "alice"), "p"))); got != "client=alice provider=p" {
		t.Errorf("got %q", got)
	}
	if got := show([]Key{KeyClient}, string(tuple.Append(nil, "https://issuer/alice"))); strings.Contains(got, "alice") {
		t.Errorf("a principal is shown as %q", got)
	}
}

func TestAmounts(t *testing.T) {
	for text, want := range map[string]int64{"1": Nano, "0.50": Nano / 2, "0.000000001": 1, "1000000000": maxUnits, "12.3": 12_300_000_000} {
		if got, err := UnitCost.readAmount(text); got != want || err != nil {
			t.Errorf("%s is %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "+1", "1.", ".5", "1e3", "0x10", "1_000", "0.0000000001", "1000000001", "1,5", " 1", "NaN", "99999999999999999999"} {
		if got, err := UnitCost.readAmount(text); err == nil {
			t.Errorf("%q is %d", text, got)
		}
	}
	if got, err := UnitTokens.readAmount("1.5"); err == nil {
		t.Errorf("1.5 tokens are %d", got)
	}
	for n, want := range map[int64]string{0: "0", 1: "0.000000001", -1_500_000_000: "-1.5", 20 * Nano: "20"} {
		if got := UnitCost.Format(n); got != want {
			t.Errorf("%d is %s", n, got)
		}
	}
}

func TestPatterns(t *testing.T) {
	for _, test := range []struct {
		pattern, text string
		want          bool
	}{
		{"gpt-4o*", "gpt-4o", true}, {"gpt-4o*", "gpt-4o-mini", true}, {"gpt-4o*", "gpt-4", false}, {"*-mini", "o-mini-mini", true}, {"*", "", true}, {"", "", true}, {"", "a", false},
		{"a*b*c", "axxbxxc", true}, {"a*b*c", "axxbxx", false}, {"a*a", "a", false}, {"**", "x", true},
	} {
		if Matches(test.pattern, test.text) != test.want {
			t.Errorf("%q and %q", test.pattern, test.text)
		}
	}
}
