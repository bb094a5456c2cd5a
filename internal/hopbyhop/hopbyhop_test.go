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
		left       string // of Connection
	}{
		{nil, all, ""},
		{[]string{"close"}, all, "close"},
		{[]string{"keep-alive , Upgrade"}, all, "keep-alive , Upgrade"},
		{[]string{"user-type"}, "Content-Type Forwarded Upgrade User_type X-A X-Forwarded-For", ""},
		{[]string{"\t USER-Type ,,x-a"}, "Content-Type Forwarded Upgrade User_type X-Forwarded-For", ""},
		{[]string{"keep-alive", "x-a, user_type"}, "Connection Content-Type Forwarded Upgrade User-Type X-Forwarded-For", "keep-alive"},
		{[]string{"Upgrade, X-A", "close"}, "Connection Content-Type Forwarded Upgrade User-Type User_type X-Forwarded-For", "Upgrade, close"},
		{[]string{"not-there"}, "Content-Type Forwarded Upgrade User-Type User_type X-A X-Forwarded-For", ""},
		{[]string{"Connection, forwarded, x-forwarded-for, content-type, content-encoding"}, all, "Connection, forwarded, x-forwarded-for, content-type, content-encoding"},
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
		if got := strings.Join(h["Connection"], "; "); got != test.left {
			t.Errorf("%q: what is left of Connection is %q, want %q", test.connection, got, test.left)
		}
		for name := range strings.FieldsSeq(all) { // the gateway's own by now
			if name != "Connection" {
				h[name] = []string{"own"}
			}
		}
		before := maps.Clone(h)
		if RemoveNamed(h); !maps.EqualFunc(h, before, slices.Equal[[]string]) {
			t.Errorf("%q: a second call leaves %v of %v", test.connection, h, before)
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
