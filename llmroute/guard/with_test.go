package guard

import (
	"testing"

	"go.uber.org/zap"
)

// TestWith holds that guards that did not change are taken over, and those that cannot be
// used are named.
func TestWith(t *testing.T) {
	word := func(w string) *Definition { return &Definition{Deny: []Pattern{{Regex: w}}} }
	base, err := New(map[string]*Definition{"own": word("a")}, zap.NewNop(), func(string, string, Action, string) {}, nil)
	if err != nil {
		t.Fatal(err)
	}
	one, failed := base.With(map[string]*Definition{"ns/p/same": word("b"), "ns/p/other": word("c"), "ns/p/bad": word("("), "ns/p/null": nil}, base)
	if len(failed) != 2 || failed["ns/p/bad"] == nil || failed["ns/p/null"] == nil || one.guards["ns/p/bad"] != nil {
		t.Errorf("failed are %v", failed)
	}
	two, failed := base.With(map[string]*Definition{"ns/p/same": word("b"), "ns/p/other": word("d")}, one)
	if failed != nil || two.guards["ns/p/same"] != one.guards["ns/p/same"] || two.guards["ns/p/other"] == one.guards["ns/p/other"] || two.guards["own"] != base.guards["own"] {
		t.Errorf("%v: what did not change is not taken over", failed)
	}
	if len(base.guards) != 1 {
		t.Error("the base changed")
	}
}
