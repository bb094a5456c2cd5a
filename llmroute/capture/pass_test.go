package capture

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestUnroutedRequests holds where requests for hosts without a route go, and which are refused.
func TestUnroutedRequests(t *testing.T) {
	pod, outside := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}
	for name, test := range map[string]struct {
		target, captured string // captured is the destination of the connection
		local            net.Addr
		policy           string
		to               Destination
		refusal          string
	}{
		"to the gateway":         {target: "/x", local: pod, policy: OutboundAllowAny},
		"captured":               {target: "/x", captured: "192.0.2.7:80", local: outside, policy: OutboundAllowAny, to: Destination{Address: "192.0.2.7:80"}},
		"captured, for a proxy":  {target: "http://a.example/x", captured: "192.0.2.7:3128", local: outside, policy: OutboundAllowAny, to: Destination{Address: "192.0.2.7:3128", Absolute: true}},
		"by proxy":               {target: "http://a.example/x", local: pod, policy: OutboundAllowAny, to: Destination{Address: "a.example:80"}},
		"by proxy, with a port":  {target: "http://a.example:81/x", local: pod, policy: OutboundAllowAny, to: Destination{Address: "a.example:81"}},
		"by proxy, from outside": {target: "http://a.example/x", local: outside, policy: OutboundAllowAny, to: Destination{Address: "a.example:80"}, refusal: "not_a_proxy"},
		"by proxy, with TLS":     {target: "https://a.example/x", local: pod, policy: OutboundAllowAny, to: Destination{Address: "a.example:80"}, refusal: "unsupported_scheme"},
		"not by policy":          {target: "/x", captured: "192.0.2.7:80", local: outside, policy: OutboundRegistryOnly, to: Destination{Address: "192.0.2.7:80"}, refusal: "registry_only"},
	} {
		r := httptest.NewRequest(http.MethodGet, test.target, nil)
		ctx := context.WithValue(r.Context(), http.LocalAddrContextKey, test.local)
		if test.captured != "" {
			ctx = context.WithValue(ctx, destinationKey, test.captured)
		}
		r = r.WithContext(ctx)
		to := Meant(r)
		if to == nil {
			to = new(Destination)
		} else if refused := Refusal(r, test.policy); refused == nil && test.refusal != "" || refused != nil && refused.Code != test.refusal {
			t.Errorf("%s: refused with %v, want %q", name, refused, test.refusal)
		}
		if *to != test.to {
			t.Errorf("%s: goes to %+v, want %+v", name, *to, test.to)
		}
	}
}
