package listen

import (
	"slices"
	"testing"
)

// TestGatewaysOf holds that a request may have come in by each Gateway that has its host at the
// address, and with TLS by that of the server which takes it alone.
func TestGatewaysOf(t *testing.T) {
	for sent, want := range map[string][]string{
		"a.example.com:80": {"n/exact", "n/second", "n/wide", "n/any"}, "b.example.com": {"n/wide", "n/any"}, "x.y.example.com": {"n/wide", "n/any"},
		"example.com": {"n/any"}, "other": {"n/any"}, "mesh.local": {"table", "n/any"}, "[": nil,
	} {
		for _, tls := range []bool{false, true} {
			l := NewLive(&Listener{TLS: tls})
			for _, s := range []*Server{
				{Gateway: "n/any", Hosts: []string{"*"}}, {Gateway: "n/wide", Hosts: []string{"*.example.com"}}, {Gateway: "n/exact", Hosts: []string{"A.example.com"}},
				{Gateway: "n/second", Hosts: []string{"a.example.com"}}, {Table: "table", Hosts: []string{"mesh.local"}}, {Hosts: []string{"other"}},
			} {
				l.AddServer(s, 0, nil)
			}
			expected := want
			if tls && len(want) > 0 {
				expected = want[:1]
			}
			if got := l.GatewaysOf(sent); !slices.Equal(got, expected) {
				t.Errorf("%s, TLS %v: %q, want %q", sent, tls, got, expected)
			}
		}
	}
}
