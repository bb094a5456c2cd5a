package hopbyhop

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestRemoveNamed(t *testing.T) {
	const all = "Connection Content-Type Forwarded Upgrade User-Type User_type X-A X-Forwarded-For"
	for _, test := range []struct {
		connection []string
		want       string
	}{
		{nil, all},
		{[]string{"close"}, all},
		{[]string{"user-type"}, "Connection Content-Type Forwarded Upgrade User_type X-A X-Forwarded-For"},
		{[]string{"\t USER-Type ,,x-a"}, "Connection Content-Type Forwarded Upgrade User_type X-Forwarded-For"},
		{[]string{"keep-alive", "x-a, user_type"}, "Connection Content-Type Forwarded Upgrade User-Type X-Forwarded-For"},
		{[]string{"Upgrade, X-A"}, "Connection Content-Type Forwarded Upgrade User-Type User_type X-Forwarded-For"},
		{[]string{"Connection, forwarded, x-forwarded-for, content-type, content-encoding"}, all},
	} {
		h := http.Header{}
		for name := range strings.FieldsSeq(all) {
			h[name] = []string{"x"}
		}
		h["Connection"] = test.connection
		RemoveNamed(h)
		if got := strings.Join(slices.Sorted(maps.Keys(h)), " "); got != test.want {
			t.Errorf("%q: %s, want %s", test.connection, got, test.want)
		}
	}
}

func TestRemove(t *testing.T) {
	h := http.Header{"Connection": {"x-a"}, "X-A": {"1"}, "Upgrade": {"h2c"}, "X-B": {"2"}, "Keep-Alive": {"timeout=5"}}
	Remove(h)
	if len(h) != 1 || h.Get("X-B") != "2" {
		t.Errorf("%v", h)
	}
}
