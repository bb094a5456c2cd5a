package listen

import (
	"slices"
	"testing"
)

// TestPortsOf holds that a port is that of the servers for the request's host, also
// where two ports share an address.
func TestPortsOf(t *testing.T) {
	listeners := []*Listener{
		{Address: ":8080", Port: 80, Servers: []*Server{
			{Hosts: []string{"a.com", "both.com"}, Gateway: "ns/one"}, {Hosts: []string{"b.com", "both.com", "*.c.com"}, Gateway: "ns/two", Port: 8080},
		}},
		{Address: ":8443", Port: 443, TLS: true, Servers: []*Server{{Hosts: []string{"*"}, Gateway: "ns/one"}}},
		{Address: ":9000", Servers: []*Server{{Hosts: []string{"*"}, Gateway: "ns/one"}}},
	}
	for _, test := range []struct {
		host string
		port int
		want []int
	}{
		{"a.com", 80, []int{80}},
		{"A.com.:80", 8080, []int{80}},
		{"b.com", 80, []int{8080}},
		{"x.c.com:80", 8080, []int{8080}},
		{"both.com", 80, []int{80, 8080}},
		{"other.com", 80, []int{80}},
		{"a.com", 443, []int{443}},
		{"a.com", 8443, []int{443}},
		{"a.com", 9000, []int{9000}},
		{"a.com", 1234, []int{1234}},
	} {
		if got := PortsOf(listeners, test.host, test.port); !slices.Equal(got, test.want) {
			t.Errorf("%s at port %d: %v, want %v", test.host, test.port, got, test.want)
		}
	}
}
