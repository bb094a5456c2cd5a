package source

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/caddy-llm/gateway/internal/options"
)

// parseNetworks reads networks such as 192.0.2.8/29. An address alone is a network of one.
func parseNetworks(list []string) ([]netip.Prefix, error) {
	if len(list) == 0 {
		return nil, errors.New("at least one network is needed, such as 192.0.2.8/29")
	}
	var out []netip.Prefix
	for _, text := range list {
		network, err := netip.ParsePrefix(text)
		if addr, single := netip.ParseAddr(text); single == nil && addr.Zone() == "" {
			network, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil || network.Addr().IsUnspecified() || network.Addr().Is4In6() {
			return nil, fmt.Errorf("%s is not a network of addresses; write one such as 192.0.2.8/29, or an address", options.Quoted(text))
		}
		out = append(out, network.Masked())
	}
	return out, nil
}
