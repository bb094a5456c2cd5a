package upstream

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
)

func TestPublic(t *testing.T) {
	random := rand.New(rand.NewPCG(11, 12))
	for text, public := range map[string]bool{
		"8.8.8.8": true, "151.101.1.140": true, "100.63.255.255": true, "172.32.0.1": true, "192.0.1.1": true,
		"127.0.0.1": false, "127.255.255.254": false, "0.0.0.0": false, "10.1.2.3": false, "172.16.0.1": false, "172.31.255.255": false, "192.168.0.1": false,
		"100.64.0.1": false, "169.254.169.254": false, "168.63.129.16": false, "192.0.0.192": false, "198.19.0.1": false, "203.0.113.9": false, "224.0.0.1": false, "240.0.0.1": false, "255.255.255.255": false,
	} {
		ip := netip.MustParseAddr(text)
		if got := Public(ip); got != public {
			t.Errorf("%s: got %v", ip, got)
		}
		for name, form := range forms { // none of them makes an address public that is not
			for range 20 {
				addr := netip.AddrFrom16(form(ip.As4(), random))
				if got := Public(addr); got && !public {
					t.Errorf("%s of %s: %s is public", name, ip, addr)
				} else if name == "NAT64" && got != public || name == "mapped" && got != public {
					t.Errorf("%s of %s: %s: got %v", name, ip, addr, got)
				}
			}
		}
	}
	for text, public := range map[string]bool{
		"2606:4700::6810:1": true, "2a00:1450:4001:80b::200e": true,
		"::": false, "::1": false, "fe80::1": false, "fe80::1%eth0": false, "fec0::1": false, "fd00::1": false, "fc00::1": false, "ff02::1": false, "fd00:ec2::254": false, "100::1": false,
		"2001:db8::1": false, "2001::1": false, "3fff::1": false, "5f00::1": false, "64:ff9b:1::808:808": false,
	} {
		if got := Public(netip.MustParseAddr(text)); got != public {
			t.Errorf("%s: got %v", text, got)
		}
	}
}

// TestPublicDialer holds that nothing is connected to that is not public: neither an
// address that is written as such nor one that a name stands for.
func TestPublicDialer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for _, host := range []string{"127.0.0.1", "localhost", "0.0.0.0", "::ffff:127.0.0.1", "::1"} {
		conn, err := PublicDialer().DialContext(t.Context(), "tcp", net.JoinHostPort(host, port))
		if err == nil {
			conn.Close()
		}
		if !errors.Is(err, errNotPublic) && (host != "::1" || err == nil) { // there may be no IPv6
			t.Errorf("%s: got %v", host, err)
		}
	}
}
