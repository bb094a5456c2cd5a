//go:build !linux

package capture

import (
	"net"
	"time"
)

// originalDestination is empty: only Linux leads connections here.
func originalDestination(*net.TCPConn) string { return "" }

// silence is not known.
func silence(*net.TCPConn) (time.Duration, bool) { return 0, false }
