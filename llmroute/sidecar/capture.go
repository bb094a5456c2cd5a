// Package sidecar prepares the pod in which the gateway runs beside an
// application: `caddy llm capture` leads the pod's outbound connections to it.
package sidecar

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/caddy-llm/gateway/internal/options"
)

const (
	// DefaultUID is the user that a sidecar runs as, unless told otherwise.
	DefaultUID = 1337
	// DefaultPort is where a sidecar listens, unless told otherwise.
	DefaultPort = 15001
)

// capture is what is captured, and where it is led to.
type capture struct {
	ports   []portRange    // of the destinations
	exclude []netip.Prefix // destinations that are left alone
	uid     uint32         // the user whose own connections are left alone
	to      uint16         // the gateway's port
}

// portRange is one port, or several in a row.
type portRange struct{ first, last uint16 }

// CheckPorts reports what is wrong with a port, or a range of ports, that is to be
// captured for a gateway at another one, if anything.
func CheckPorts(text string, gateway uint16) error {
	_, err := parsePortRange(text, gateway)
	return err
}

// CheckRange reports what is wrong with a range of addresses, if anything.
func CheckRange(text string) error {
	_, err := parsePrefix(text)
	return err
}

func parsePortRange(text string, gateway uint16) (portRange, error) {
	begin, end, ranged := strings.Cut(text, "-")
	if !ranged {
		end = begin
	}
	first, errFirst := parsePort(begin)
	last, errLast := parsePort(end)
	switch {
	case errFirst != nil || errLast != nil || last < first:
		return portRange{}, fmt.Errorf("%s is not a port; write a number from 1 to 65535 such as 80, or two as in 8000-8010", options.Quoted(text))
	case first <= gateway && gateway <= last:
		return portRange{}, fmt.Errorf("%s includes %d, which the gateway itself listens on; leave it out, or let the gateway listen elsewhere", options.Quoted(text), gateway)
	}
	return portRange{first, last}, nil
}

func parsePort(text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err == nil && n == 0 {
		err = errors.New("port 0")
	}
	return uint16(n), err
}

// join writes the range with a separator between its ends.
func (r portRange) join(separator string) string {
	if r.first == r.last {
		return strconv.Itoa(int(r.first))
	}
	return fmt.Sprintf("%d%s%d", r.first, separator, r.last)
}

// newCapture reads what the command line says.
func newCapture(ports, exclude []string, uid uint32, to uint16) (*capture, error) {
	c := &capture{uid: uid, to: to}
	if to == 0 {
		return nil, fmt.Errorf("--to is 0; write the port that the gateway listens on, such as %d", DefaultPort)
	}
	if uid == 0 {
		return nil, fmt.Errorf("--uid is 0: connections of root would not be captured, and those of the gateway would come back to it unless it runs as root; "+
			"run the gateway as a user of its own and write that one's number, such as %d", DefaultUID)
	}
	if len(ports) == 0 {
		return nil, errors.New("--ports is empty; write at least one port, such as 80")
	}
	for _, text := range ports {
		r, err := parsePortRange(text, to)
		if err != nil {
			return nil, fmt.Errorf("--ports: %w", err)
		}
		c.ports = append(c.ports, r)
	}
	for _, text := range exclude {
		prefix, err := parsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("--exclude: %w", err)
		}
		c.exclude = append(c.exclude, prefix)
	}
	return c, nil
}

func parsePrefix(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil || prefix.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%s is not a range of addresses; write one such as 10.0.0.0/8, 169.254.169.254 or fd00::/8", options.Quoted(text))
	}
	return prefix.Masked(), nil
}

// excluded are the ranges of one family.
func (c *capture) excluded(ipv6 bool) []netip.Prefix {
	var out []netip.Prefix
	for _, prefix := range c.exclude {
		if prefix.Addr().Is6() == ipv6 {
			out = append(out, prefix)
		}
	}
	return out
}
