package capture

import (
	"encoding/binary"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// originalDestination is where a connection went before rules of the kernel led
// it here, or empty if it was meant for here.
func originalDestination(c *net.TCPConn) string {
	raw, err := c.SyscallConn()
	if err != nil {
		return ""
	}
	local := addrPort(c.LocalAddr())
	var to netip.AddrPort
	_ = raw.Control(func(fd uintptr) {
		if local.Addr().Is4() {
			// A sockaddr_in in the room of a structure of about its size.
			if got, err := unix.GetsockoptIPv6Mreq(int(fd), unix.SOL_IP, unix.SO_ORIGINAL_DST); err == nil {
				m := got.Multiaddr
				to = netip.AddrPortFrom(netip.AddrFrom4([4]byte(m[4:8])), binary.BigEndian.Uint16(m[2:4]))
			}
			return
		}
		if got, err := unix.GetsockoptIPv6MTUInfo(int(fd), unix.SOL_IPV6, unix.SO_ORIGINAL_DST); err == nil {
			port := binary.NativeEndian.AppendUint16(nil, got.Addr.Port) // as the network has it
			to = netip.AddrPortFrom(netip.AddrFrom16(got.Addr.Addr), binary.BigEndian.Uint16(port))
		}
	})
	if !to.IsValid() || to == local {
		return ""
	}
	return to.String()
}

// silence is how long nothing has come in on a connection.
func silence(c *net.TCPConn) (time.Duration, bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, false
	}
	var info *unix.TCPInfo
	if errControl := raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) }); errControl != nil || err != nil {
		return 0, false
	}
	return time.Duration(info.Last_data_recv) * time.Millisecond, true
}
