package capture

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
)

const (
	// outboundDial bounds how long a destination may take to be connected to.
	outboundDial = 10 * time.Second
	// outboundIdle is how long a passed-on connection has to be silent for the
	// end of the process not to wait for it.
	outboundIdle = 2 * time.Second
)

// outbounds holds the one outbound of the process: connections outlive the
// configuration that they began with.
var outbounds = caddy.NewUsagePool()

// Outbound is the connections that a sidecar opens for what has no route.
type Outbound struct {
	own   sync.Map // of their ends
	proxy proxy

	mu     sync.Mutex
	relays map[*relayed]struct{}
}

// ends are both ends of a connection as the one who opened it sees them. No two
// connections have the same, though many may have the same port on one side.
type ends struct{ from, to netip.AddrPort }

// relayed is a connection that is passed on.
type relayed struct{ client, server *net.TCPConn }

// AcquireOutbound returns the connections of the process, which outlive configurations.
func AcquireOutbound() *Outbound {
	o := &Outbound{relays: make(map[*relayed]struct{})}
	o.proxy = newProxy(o)
	value, _ := outbounds.LoadOrStore("", o)
	return value.(*Outbound)
}

// ReleaseOutbound gives back what AcquireOutbound returned. It is called once for each call of that.
func ReleaseOutbound() error {
	_, err := outbounds.Delete("")
	return err
}

// Destruct implements caddy.Destructor. Connections in use go on.
func (o *Outbound) Destruct() error {
	o.proxy.close()
	return nil
}

// ownConn is a connection to a destination. While it is open the gateway knows
// it for its own, should it come back.
type ownConn struct {
	*net.TCPConn
	forget func()
}

// Close implements net.Conn. The connection is forgotten first: once it is closed,
// the application may be given the same port, and would be taken for the gateway.
func (c *ownConn) Close() error {
	c.forget()
	return c.TCPConn.Close()
}

func (o *Outbound) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: outboundDial}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	own := ends{addrPort(conn.LocalAddr()), addrPort(conn.RemoteAddr())}
	o.own.Store(own, nil)
	return &ownConn{conn.(*net.TCPConn), sync.OnceFunc(func() { o.own.Delete(own) })}, nil
}

// isOwn reports whether the gateway itself has opened the connection. It is to be
// asked when something has come in on it, or nothing for a while: by then the
// address is known.
func (o *Outbound) isOwn(c *capturedConn) bool {
	to, err := netip.ParseAddrPort(c.to)
	if err != nil { // it is direct
		to = addrPort(c.LocalAddr())
	}
	_, own := o.own.Load(ends{addrPort(c.RemoteAddr()), to})
	return own
}

// open connects to the destination of a captured connection, which is reset if
// there is none: it is told what it would have been told, if late.
func (o *Outbound) open(in *capturedConn) (*ownConn, error) {
	conn, err := o.dial(context.Background(), "tcp", in.to)
	if err != nil {
		reset(in.TCPConn)
		return nil, err
	}
	return conn.(*ownConn), nil
}

// relay passes a connection on as the bytes it is, and returns at its end. served is
// given where the first request on it has not come: it is reset if that is for a host
// that is served.
func (o *Outbound) relay(in *capturedConn, conn *ownConn, served func(requestHead) bool) (err error) {
	defer conn.Close()
	client, server := in.TCPConn, conn.TCPConn
	r := &relayed{client, server}
	o.mu.Lock()
	o.relays[r] = struct{}{}
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		delete(o.relays, r)
		o.mu.Unlock()
	}()
	answered := make(chan error, 1)
	go func() { answered <- r.copy(client, server) }()
	if served != nil {
		err = in.passUntilRequest(server, served)
	} else {
		_, err = server.Write(in.first)
	}
	if err == nil {
		in.first = nil
		err = r.copy(server, client)
	} else {
		r.reset()
	}
	if errAnswer := <-answered; err == nil {
		err = errAnswer
	}
	_ = client.Close()
	return err
}

// copy copies one direction to its end, and then says so. An error ends both
// directions.
func (r *relayed) copy(to, from *net.TCPConn) error {
	_, err := io.Copy(to, from) // in the kernel, where it can
	if err == nil {
		err = to.CloseWrite()
	}
	if err != nil {
		r.reset()
	}
	return err
}

func (r *relayed) reset() {
	reset(r.client)
	reset(r.server)
}

// reset closes a connection so that its other side sees that it broke off.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// Drain waits, when the process exits, for the connections that are passed on
// and in use.
func (o *Outbound) Drain(limit time.Duration) {
	for end := time.Now().Add(limit); o.endSilent() > 0 && time.Now().Before(end); {
		time.Sleep(100 * time.Millisecond)
	}
}

// endSilent ends the connections on which nothing happens, and returns how many
// others there are.
func (o *Outbound) endSilent() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	busy := 0
	for r := range o.relays {
		asked, knownA := silence(r.client)
		answered, knownB := silence(r.server)
		if knownA && knownB && min(asked, answered) > outboundIdle {
			_ = r.client.Close()
			_ = r.server.Close()
			continue
		}
		busy++
	}
	return busy
}

// Interface guards
var (
	_ caddy.Destructor = (*Outbound)(nil)
	_ net.Conn         = (*ownConn)(nil)
)
