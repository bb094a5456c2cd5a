package upstream

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
)

// forms are the ways to write an IPv4 address as an IPv6 one.
var forms = map[string]func(a [4]byte, r *rand.Rand) [16]byte{
	"mapped":     func(a [4]byte, _ *rand.Rand) [16]byte { return [16]byte{10: 0xff, 0xff, a[0], a[1], a[2], a[3]} },
	"compatible": func(a [4]byte, _ *rand.Rand) [16]byte { return [16]byte{12: a[0], a[1], a[2], a[3]} },
	"translated": func(a [4]byte, _ *rand.Rand) [16]byte { return [16]byte{8: 0xff, 0xff, 12: a[0], a[1], a[2], a[3]} },
	"NAT64": func(a [4]byte, _ *rand.Rand) [16]byte {
		return [16]byte{0, 0x64, 0xff, 0x9b, 12: a[0], a[1], a[2], a[3]}
	},
	"NAT64 /48": func(a [4]byte, r *rand.Rand) [16]byte {
		return [16]byte{0, 0x64, 0xff, 0x9b, 0, 1, a[0], a[1], 0, a[2], a[3], byte(r.Uint32())}
	},
	"NAT64 /56": func(a [4]byte, r *rand.Rand) [16]byte {
		return [16]byte{0, 0x64, 0xff, 0x9b, 0, 1, byte(r.Uint32()), a[0], 0, a[1], a[2], a[3]}
	},
	"NAT64 /64": func(a [4]byte, r *rand.Rand) [16]byte {
		return [16]byte{0, 0x64, 0xff, 0x9b, 0, 1, byte(r.Uint32()), 7, 0, a[0], a[1], a[2], a[3]}
	},
	"NAT64 /96": func(a [4]byte, r *rand.Rand) [16]byte {
		return [16]byte{0, 0x64, 0xff, 0x9b, 0, 1, byte(r.Uint32()), 12: a[0], a[1], a[2], a[3]}
	},
	"6to4": func(a [4]byte, r *rand.Rand) [16]byte {
		return [16]byte{0x20, 0x02, a[0], a[1], a[2], a[3], 15: byte(r.Uint32())}
	},
	"Teredo client": func(a [4]byte, _ *rand.Rand) [16]byte {
		return [16]byte{0x20, 1, 4: 8, 8, 8, 8, 12: ^a[0], ^a[1], ^a[2], ^a[3]}
	},
	"Teredo server": func(a [4]byte, _ *rand.Rand) [16]byte {
		return [16]byte{0x20, 1, 4: a[0], a[1], a[2], a[3], 12: 0xf7, 0xf7, 0xf7, 0xf7}
	},
	"ISATAP": func(a [4]byte, r *rand.Rand) [16]byte {
		return [16]byte{0xfd, byte(r.Uint32()), 8: 2, 0, 0x5e, 0xfe, a[0], a[1], a[2], a[3]}
	},
}

// TestInternalForms holds that an address is internal in whatever form it is written, and
// that others are in none.
func TestInternalForms(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 10))
	for _, test := range []struct {
		ip       string
		port     int
		internal bool
	}{
		{"169.254.169.254", 80, true}, {"169.254.170.2", 80, true}, {"169.254.0.23", 80, true}, {"168.63.129.16", 80, true}, {"100.100.100.200", 80, true}, {"192.0.0.192", 80, true},
		{"127.0.0.1", 2019, true}, {"127.9.8.7", 2019, true}, {"0.0.0.0", 2019, true}, {"224.0.0.1", 80, true}, {"255.255.255.255", 80, true},
		{"127.0.0.1", 11434, false}, {"10.0.0.1", 80, false}, {"192.168.1.1", 2019, false}, {"8.8.8.8", 443, false}, {"203.0.113.7", 443, false}, {"168.63.129.17", 80, false},
	} {
		ip := netip.MustParseAddr(test.ip)
		if got := Internal(ip, test.port) != ""; got != test.internal {
			t.Errorf("%s: got %v", ip, got)
		}
		for name, form := range forms {
			if strings.HasPrefix(name, "NAT64 /") && (ip.As4()[0] >= 224 || !test.internal && test.port == adminPort) {
				continue // it connects to nothing, or is refused for another reading
			}
			for range 20 {
				addr := netip.AddrFrom16(form(ip.As4(), random))
				for _, text := range []string{addr.String(), fmt.Sprintf("[%s]", addr), addr.StringExpanded()} {
					if got := InternalHost(text, test.port) != ""; got != test.internal {
						t.Errorf("%s of %s: %s: got %v, want %v", name, ip, text, got, test.internal)
					}
				}
				if got := Internal(addr.WithZone("eth0"), test.port) != ""; got != test.internal {
					t.Errorf("%s of %s with a zone: got %v", name, ip, got)
				}
			}
		}
	}
	for host, internal := range map[string]bool{
		"localhost": true, "LOCALHOST.": true, "a.localhost": true, "[::1]": true, "::": true, "0.1.2.3": true, "metadata": true, "metadata.google.internal.": true, "Metadata.Google.Internal": true,
		"instance-data.ec2.internal": true, "fd00:ec2::254": true, "fd00:ec2::23": true, "fd20:ce::254": true, "fe80::a9fe:a9fe": true, "ff02::1": true,
		"2001:db8::a9fe:a9fe": true, // a prefix of the network's own
		"api.openai.com":      false, "2606:4700::6810:1": false, "fd00::1": false, "64:ff9b::808:808": false,
	} {
		if got := InternalHost(host, 2019) != ""; got != internal {
			t.Errorf("%s: got %v", host, got)
		}
	}
}
