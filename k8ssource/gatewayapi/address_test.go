package gatewayapi

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

func networksOf(list ...string) []netip.Prefix {
	var networks []netip.Prefix
	for _, text := range list {
		networks = append(networks, netip.MustParsePrefix(text))
	}
	return networks
}

func TestAssignAddresses(t *testing.T) {
	addr := netip.MustParseAddr
	for name, c := range map[string]struct {
		networks []string
		claims   []addressClaim
		want     string // of a, b and c
	}{
		"the lowest first":            {[]string{"192.0.2.8/29"}, []addressClaim{{key: "a"}, {key: "b"}}, "192.0.2.9 192.0.2.10 invalid IP"},
		"what the status says":        {[]string{"192.0.2.8/29"}, []addressClaim{{key: "a"}, {key: "b", had: []string{"192.0.2.9"}}}, "192.0.2.10 192.0.2.9 invalid IP"},
		"the older one keeps it":      {[]string{"192.0.2.8/29"}, []addressClaim{{key: "a", had: []string{"192.0.2.9"}}, {key: "b", had: []string{"192.0.2.9"}}}, "192.0.2.9 192.0.2.10 invalid IP"},
		"what it had before":          {[]string{"192.0.2.8/29"}, []addressClaim{{key: "a"}, {key: "b", before: addr("192.0.2.9")}}, "192.0.2.10 192.0.2.9 invalid IP"},
		"the status goes first":       {[]string{"192.0.2.8/29"}, []addressClaim{{key: "a", before: addr("192.0.2.9")}, {key: "b", had: []string{"192.0.2.9"}}}, "192.0.2.10 192.0.2.9 invalid IP"},
		"of other networks":           {[]string{"192.0.2.8/29"}, []addressClaim{{key: "a", had: []string{"203.0.113.7", "llm.example.com"}, before: addr("203.0.113.7")}}, "192.0.2.9 invalid IP invalid IP"},
		"none is left":                {[]string{"192.0.2.8/32", "192.0.2.7/32"}, []addressClaim{{key: "a"}, {key: "b"}, {key: "c"}}, "192.0.2.8 192.0.2.7 invalid IP"},
		"a network of two":            {[]string{"192.0.2.8/31"}, []addressClaim{{key: "a"}, {key: "b"}, {key: "c"}}, "192.0.2.8 192.0.2.9 invalid IP"},
		"IPv6":                        {[]string{"2001:db8::/64"}, []addressClaim{{key: "a"}, {key: "b"}}, "2001:db8:: 2001:db8::1 invalid IP"},
		"neither first nor last":      {[]string{"192.0.2.8/30"}, []addressClaim{{key: "a", had: []string{"192.0.2.8"}}, {key: "b", had: []string{"192.0.2.11"}}}, "192.0.2.9 192.0.2.10 invalid IP"},
		"the end of all addresses":    {[]string{"255.255.255.254/31"}, []addressClaim{{key: "a"}, {key: "b"}, {key: "c"}}, "255.255.255.254 255.255.255.255 invalid IP"},
		"networks with each in other": {[]string{"192.0.2.9/32", "192.0.2.8/30"}, []addressClaim{{key: "a"}, {key: "b"}, {key: "c"}}, "192.0.2.9 192.0.2.10 invalid IP"},
	} {
		t.Run(name, func(t *testing.T) {
			got := assignAddresses(networksOf(c.networks...), c.claims)
			if text := fmt.Sprint(got["a"], " ", got["b"], " ", got["c"]); text != c.want {
				t.Errorf("the addresses are %s, want %s", text, c.want)
			}
		})
	}
}

// TestAddressesStay holds, for Gateways that come and go in any order: no two have the same
// address, all are of the networks, and none changes while the Gateway is there, whether
// their status was written by then or not.
func TestAddressesStay(t *testing.T) {
	networks := networksOf("192.0.2.8/29", "2001:db8::/126")
	for range 300 {
		var has map[string]netip.Addr
		var there []string
		for range 20 {
			if key := fmt.Sprint("gateway ", rand.IntN(20)); slices.Contains(there, key) || len(there) > 12 {
				there = there[1:]
			} else {
				at := rand.IntN(len(there) + 1)
				there = append(there[:at:at], append([]string{key}, there[at:]...)...)
			}
			var claims []addressClaim
			for _, key := range there {
				c := addressClaim{key: key, before: has[key]}
				if has[key].IsValid() && rand.IntN(2) == 0 {
					c.had = []string{has[key].String()}
				}
				claims = append(claims, c)
			}
			now := assignAddresses(networks, claims)
			owners := make(map[netip.Addr]string)
			for key, addr := range now {
				if other := owners[addr]; other != "" {
					t.Fatalf("%s and %s have %s", other, key, addr)
				}
				owners[addr] = key
				if !usableIn(networks, addr) {
					t.Fatalf("%s has %s", key, addr)
				}
				if before := has[key]; before.IsValid() && before != addr {
					t.Fatalf("%s had %s and has %s", key, before, addr)
				}
			}
			if want := min(len(there), 6+4); len(now) != want {
				t.Fatalf("%d of %d have an address, want %d", len(now), len(there), want)
			}
			has = maps.Clone(now)
		}
	}
}
