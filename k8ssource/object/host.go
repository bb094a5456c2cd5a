package object

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/caddy-llm/gateway/internal/host"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
)

// CanonicalHost is a host as routes are looked up by it.
func CanonicalHost(text string) string {
	if name, ok := host.Name(text); ok && !strings.Contains(text, ":") {
		return name
	}
	return host.Lower(text) // no host that requests have; what is wrong with it is reported elsewhere
}

// CheckHost tells what is wrong with the host of a provider, if anything.
func CheckHost(host string) error {
	if len(host) > MaxHost {
		return fmt.Errorf(TooLong, MaxHost)
	}
	if err := upstream.CheckHost(host); err != nil {
		return err
	}
	// Some resolvers read 0x7f.1 or 2130706433 as an address.
	canonical := CanonicalHost(host)
	last := canonical[strings.LastIndexByte(canonical, '.')+1:]
	if _, err := netip.ParseAddr(canonical); err != nil && (isNumber(last) || strings.HasPrefix(last, "0x")) {
		return errors.New("the host is neither a DNS name nor an IP address")
	}
	return nil
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// ClusterSuffix is what follows namespace in the full names of Services.
const ClusterSuffix = ".svc.cluster.local"

// CheckRouteHost says what is wrong with the host of an LLMRoute, if anything.
func CheckRouteHost(host string) string {
	switch host {
	case "":
		return "a host is required; write a provider's host, the name of a Service, or \"*\""
	case "*":
		return ""
	}
	if len(host) > MaxRouteHost {
		return fmt.Sprintf(TooLong, MaxRouteHost)
	}
	name, _ := strings.CutPrefix(host, "*.")
	if strings.Contains(name, "*") || name == "" {
		return "there is a star in a place where there can be none; write a name, *.suffix, or \"*\""
	}
	if _, port, ok := strings.Cut(name, ":"); ok && isNumber(port) {
		return "the host has a port, and routes are for all ports; write the name alone"
	}
	if err := CheckHost(name); err != nil {
		return err.Error()
	}
	return ""
}

// WithoutPort is the host, as routes are looked up by it, of a host that may have a port.
func WithoutPort(host string) string {
	if name, port, ok := strings.Cut(host, ":"); ok && isNumber(port) {
		host = name
	}
	return CanonicalHost(host)
}

// IsHeaderName reports whether requests can be matched by a header of that name. A star is
// a legal letter, which Caddy takes for a pattern.
func IsHeaderName(name string) bool {
	return httpguts.ValidHeaderFieldName(name) && !strings.Contains(name, "*")
}
