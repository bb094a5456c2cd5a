package cluster

import (
	"fmt"
	"net/netip"
	"regexp"

	"github.com/caddy-llm/gateway/internal/options"
	"github.com/caddy-llm/gateway/k8ssource/gatewayapi"
)

// maxAddresses is the most addresses that the status of a Gateway may have.
const maxAddresses = 16

var hostName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)

// gatewayAddresses reads the addresses that the status of Gateways gets.
func gatewayAddresses(list []string) ([]gatewayapi.Address, error) {
	if len(list) > maxAddresses {
		return nil, fmt.Errorf("gateway_addresses: there are %d; at most %d are possible", len(list), maxAddresses)
	}
	var out []gatewayapi.Address
	for _, text := range list {
		addr, err := netip.ParseAddr(text)
		switch {
		case err == nil && addr.Zone() == "":
			out = append(out, gatewayapi.Address{Type: "IPAddress", Value: addr.String()})
		case err != nil && len(text) <= 253 && hostName.MatchString(text):
			out = append(out, gatewayapi.Address{Type: "Hostname", Value: text})
		default:
			return nil, fmt.Errorf("gateway_addresses: %s is neither an IP address nor a host name; write one such as 203.0.113.7 or llm.example.com, without a port", options.Quoted(text))
		}
	}
	return out, nil
}
