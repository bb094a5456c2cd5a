package authz

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// addressTest tests an address against addresses and CIDR ranges.
type addressTest struct {
	attribute *attribute
	prefixes  []netip.Prefix // sorted, none within another
}

func (t *addressTest) add(value string) error {
	prefix, err := parsePrefix(value)
	if err != nil {
		return err
	}
	// Of two prefixes, one is within the other or they have nothing in common.
	i, _ := slices.BinarySearchFunc(t.prefixes, prefix.Addr(), compareAddress)
	if i > 0 && t.prefixes[i-1].Overlaps(prefix) {
		return nil
	}
	end := i
	for end < len(t.prefixes) && t.prefixes[end].Overlaps(prefix) {
		if t.prefixes[end].Bits() <= prefix.Bits() {
			return nil
		}
		end++
	}
	t.prefixes = slices.Replace(t.prefixes, i, end, prefix)
	return nil
}

func compareAddress(p netip.Prefix, addr netip.Addr) int { return p.Addr().Compare(addr) }

func (t *addressTest) match(r *request) bool {
	addr := r.address(t.attribute.kind)
	if len(t.prefixes) == 1 { // the usual case
		return t.prefixes[0].Contains(addr)
	}
	i, found := slices.BinarySearchFunc(t.prefixes, addr, compareAddress)
	return found || i > 0 && t.prefixes[i-1].Contains(addr)
}

func (t *addressTest) keys() []key {
	keys := make([]key, len(t.prefixes))
	for i, prefix := range t.prefixes {
		keys[i] = key{attribute: t.attribute, prefix: prefix}
	}
	return keys
}

// parsePrefix parses an address or a CIDR range. IPv4 addresses in IPv6 form are
// IPv4 addresses.
func parsePrefix(s string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(s)
	if !strings.Contains(s, "/") {
		var addr netip.Addr
		addr, err = netip.ParseAddr(s)
		prefix = netip.PrefixFrom(addr.WithZone(""), addr.BitLen())
		if err == nil && addr.Zone() != "" {
			err = errors.New("a zone")
		}
	}
	if err != nil {
		return netip.Prefix{}, errors.New("this is neither an address nor a CIDR range; write one such as 203.0.113.4, 203.0.113.0/24 or 2001:db8::/32")
	}
	if prefix.Addr().Is4In6() && prefix.Bits() >= 96 {
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	return prefix.Masked(), nil
}

// parseAddress parses what a connection or a header says an address is, with or
// without a port and a zone. It is invalid if that is no address.
func parseAddress(s string) netip.Addr {
	s = strings.TrimSpace(s)
	var addr netip.Addr
	// A wrong guess costs an allocation, the error.
	if strings.HasPrefix(s, "[") && !strings.HasSuffix(s, "]") || strings.Count(s, ":") == 1 {
		addrPort, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}
		}
		addr = addrPort.Addr()
	} else {
		var err error
		if addr, err = netip.ParseAddr(strings.Trim(s, "[]")); err != nil {
			return netip.Addr{}
		}
	}
	return addr.WithZone("").Unmap()
}

// addressOf is the address of one end of a connection.
func addressOf(addr net.Addr) netip.Addr {
	switch a := addr.(type) {
	case *net.TCPAddr:
		return a.AddrPort().Addr().WithZone("").Unmap()
	case *net.UDPAddr:
		return a.AddrPort().Addr().WithZone("").Unmap()
	}
	return netip.Addr{}
}

// forwardedFor is the entry of X-Forwarded-For that is the number-th from the
// right, from 1. It is invalid if there are fewer, or it is no address.
func forwardedFor(lines []string, number int) netip.Addr {
	for i := len(lines) - 1; i >= 0; i-- {
		for line, more := lines[i], true; more; number-- {
			var entry string
			comma := strings.LastIndexByte(line, ',')
			if entry, more = line[comma+1:], comma >= 0; more {
				line = line[:comma]
			}
			if number == 1 {
				return parseAddress(entry)
			}
		}
	}
	return netip.Addr{}
}
