package redisclient

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/valkey-io/valkey-go"
)

const (
	// sentinelPort is the port of a Sentinel whose address names none.
	sentinelPort = "26379"
	// askSentinelsEvery is how often Sentinels are asked which server is the primary, in case
	// what they said of a change was missed.
	askSentinelsEvery = 5 * time.Second
)

var (
	errPrimary  = errors.New("with sentinels, the URL has the name that they have for the primary in place of a host, and no port; write one such as redis://mymaster/0")
	errSentinel = errors.New("sentinels has an address that is not usable; write hosts with or without a port, such as sentinels redis-0.redis:26379 redis-1.redis:26379")
	errNoAsking = errors.New("sentinel_username and sentinel_password are for sentinels; add their addresses, such as sentinels redis-0.redis:26379 redis-1.redis:26379")
)

// useSentinels has the client ask the Sentinels which server is the primary of the URL.
func (s *Server) useSentinels(o *valkey.ClientOption, u *url.URL) (err error) {
	if u.Port() != "" {
		return errPrimary
	}
	o.InitAddress = make([]string, len(s.Sentinels))
	for i, address := range s.Sentinels {
		if o.InitAddress[i], err = sentinelAddress(address); err != nil {
			return err
		}
	}
	o.Sentinel = valkey.SentinelOption{
		MasterSet: u.Hostname(), ClientName: o.ClientName, TopologyRefreshInterval: askSentinelsEvery,
		Dialer: net.Dialer{Timeout: dialTimeout, KeepAlive: valkey.DefaultTCPKeepAlive, Control: toSentinel},
	}
	if o.TLSConfig != nil {
		o.TLSConfig.ServerName = "" // a certificate is for the address that is connected to
		o.Sentinel.TLSConfig = o.TLSConfig
	}
	o.DialCtxFn = dial
	servers := o.AuthCredentialsFn
	o.AuthCredentialsFn = func(c valkey.AuthCredentialsContext) (valkey.AuthCredentials, error) {
		if _, ok := c.Address.(sentinelAddr); ok {
			return credentials(s.SentinelUsername, s.SentinelPassword)
		}
		return servers(c)
	}
	return nil
}

// sentinelAddress returns the address with a port.
func sentinelAddress(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil { // no port
		host, port = strings.TrimSuffix(strings.TrimPrefix(address, "["), "]"), sentinelPort
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", errSentinel
	}
	if _, err := netip.ParseAddr(host); err != nil && (host == "" || strings.ContainsAny(host, ":/@?#[]{}<> \t\r\n")) {
		return "", errSentinel
	}
	return net.JoinHostPort(host, port), nil
}

// toSentinel marks the dialer of connections to Sentinels. Of a connection, valkey-go says
// only its address when it asks for credentials, and those of Sentinels are other ones.
func toSentinel(string, string, syscall.RawConn) error { return nil }

// dial connects to a server or, with the dialer that toSentinel marks, to a Sentinel.
func dial(ctx context.Context, address string, d *net.Dialer, t *tls.Config) (conn net.Conn, err error) {
	if t == nil {
		conn, err = d.DialContext(ctx, "tcp", address)
	} else {
		conn, err = (&tls.Dialer{NetDialer: d, Config: t}).DialContext(ctx, "tcp", address)
	}
	if err == nil && d.Control != nil {
		conn = sentinelConn{conn}
	}
	return conn, err
}

// sentinelConn is a connection to a Sentinel, which its address tells.
type sentinelConn struct{ net.Conn }

func (c sentinelConn) RemoteAddr() net.Addr { return sentinelAddr{c.Conn.RemoteAddr()} }

type sentinelAddr struct{ net.Addr }

// parseSentinels reads: sentinels <address>...
func (s *Server) parseSentinels(d *caddyfile.Dispenser) error {
	if s.Sentinels != nil {
		return d.Errf("%s is given twice; name all in one", d.Val())
	}
	if s.Sentinels = d.RemainingArgs(); len(s.Sentinels) == 0 {
		return d.Errf("%s takes the addresses of Sentinels, such as redis-0.redis:26379; got nothing", "sentinels")
	}
	return nil
}
