package listen

import (
	"context"
	"net"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

// adminDial bounds how long the admin endpoint is waited for.
const adminDial = time.Second

// WarnOfAdmin warns if Caddy's admin endpoint is where it is by default, or where the
// environment variable CADDY_ADMIN has put it, at a TCP port. A sidecar shares its
// network with an application, which could then read and replace the configuration.
func WarnOfAdmin(ctx context.Context, logger *zap.Logger) {
	address, err := caddy.ParseNetworkAddress(caddy.DefaultAdminListen)
	if err != nil || address.IsUnixNetwork() || address.IsFdNetwork() {
		return
	}
	conn, err := (&net.Dialer{Timeout: adminDial}).DialContext(ctx, "tcp", address.JoinHostPort(0))
	if err != nil {
		return
	}
	_ = conn.Close()
	logger.Warn("admin endpoint is reachable from the application beside this sidecar, which can replace the configuration and send the keys elsewhere; "+
		"set the global option admin to off, or to unix//path in a folder that only the gateway's user can enter", zap.String("address", address.JoinHostPort(0)))
}
