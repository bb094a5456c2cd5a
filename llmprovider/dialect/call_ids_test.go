package dialect_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// FuzzCallIDs holds that an id becomes one that the API takes, that one which it takes stays
// as it is, and that two ids do not become one.
func FuzzCallIDs(f *testing.F) {
	long := strings.Repeat("call_0123456789-", 5)
	for _, id := range []string{"call_1", "toolu_01.a:b", "f:1 ü", long, long + ".", strings.Repeat("é", 40), strings.Repeat(".", 63), ""} {
		f.Add(id, id+"x")
	}
	apis := []struct {
		ids   dialect.CallIDs
		takes *regexp.Regexp
	}{
		{dialect.CallIDs{}, regexp.MustCompile(`^[a-zA-Z0-9_-]*$`)},
		{dialect.CallIDs{Marks: ".:", Max: 64}, regexp.MustCompile(`^[a-zA-Z0-9_.:-]{0,64}$`)},
		{dialect.CallIDs{Any: true, Max: 64}, regexp.MustCompile(`^(?s:.{0,64})$`)},
	}
	f.Fuzz(func(t *testing.T, one, other string) {
		one, other = strings.ToValidUTF8(one, "?"), strings.ToValidUTF8(other, "?")
		for _, api := range apis {
			id := func(of string) (id string) {
				text := api.ids.Append(nil, of)
				if err := json.Unmarshal(text, &id); err != nil {
					t.Fatalf("%q became %s: %v", of, text, err)
				}
				if !api.takes.MatchString(id) {
					t.Errorf("%q became %q, which %+v does not take", of, id, api.ids)
				}
				if api.takes.MatchString(of) && len(of) <= 64 && id != of {
					t.Errorf("%q became %q, though %+v takes it", of, id, api.ids)
				}
				return id
			}
			if (id(one) == id(other)) != (one == other) {
				t.Errorf("%q became %q, and %q became %q", one, id(one), other, id(other))
			}
		}
	})
}
