package gatewayapi

import "net/netip"

// AddressKey is what is known of a Gateway's address by. One of the same name that is made
// anew is another one.
func (g *Gateway) AddressKey() string { return g.Namespace + "/" + g.Name + " " + string(g.UID) }

// Addresses gives each Gateway an address of the networks that no other one has, by its
// AddressKey. before are those of the last time. A Gateway keeps what its status says, so that
// all replicas agree and a restart changes nothing, and otherwise what it had before. The others
// get the lowest that are free, in their order; with none free a Gateway gets none.
func (a *Attached) Addresses(networks []netip.Prefix, before map[string]netip.Addr) map[string]netip.Addr {
	var claims []addressClaim
	for _, g := range a.Gateways {
		c := addressClaim{key: g.AddressKey(), before: before[g.AddressKey()]}
		for _, had := range g.Status.Addresses {
			c.had = append(c.had, had.Value)
		}
		claims = append(claims, c)
	}
	return assignAddresses(networks, claims)
}

// addressClaim is what is known of the address of a Gateway.
type addressClaim struct {
	key    string
	had    []string   // what its status says
	before netip.Addr // what it had the last time, invalid if none
}

// assignAddresses gives the Gateways their addresses.
func assignAddresses(networks []netip.Prefix, claims []addressClaim) map[string]netip.Addr {
	out := make(map[string]netip.Addr, len(claims))
	taken := make(map[netip.Addr]bool)
	take := func(key string, addr netip.Addr) {
		if _, has := out[key]; !has && !taken[addr] && usableIn(networks, addr) {
			out[key], taken[addr] = addr, true
		}
	}
	for _, c := range claims {
		for _, text := range c.had {
			if addr, err := netip.ParseAddr(text); err == nil {
				take(c.key, addr)
			}
		}
	}
	for _, c := range claims {
		take(c.key, c.before)
	}
	for _, c := range claims {
		for _, network := range networks {
			for addr := network.Addr(); network.Contains(addr); addr = addr.Next() {
				if take(c.key, addr); out[c.key].IsValid() {
					break
				}
			}
		}
	}
	return out
}

// usableIn reports whether a Gateway may have the address. The first and the last one of an
// IPv4 network, which stand for the network itself and for all in it, are no machine's.
func usableIn(networks []netip.Prefix, addr netip.Addr) bool {
	for _, n := range networks {
		if !n.Contains(addr) {
			continue
		}
		if n.Addr().Is4() && n.Bits() < 31 && (addr == n.Addr() || !n.Contains(addr.Next())) {
			continue
		}
		return true
	}
	return false
}
