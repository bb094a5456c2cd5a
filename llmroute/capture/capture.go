// Package capture is the way of a pod's connections into a sidecar's listener: it reads the
// first request of each connection that rules of the kernel have led there. What is for a
// host with a route is served; everything else goes on to where it was meant to go, as the
// bytes it is, or is refused.
//
// Of the gateway it imports internal packages and llmprovider; the llm app gives it what it
// needs to know as App and Gateway. Begin with wrapper, then readHead and Outbound.
package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/internal/options"
	"github.com/caddy-llm/gateway/llmprovider"
)

func init() {
	caddy.RegisterModule(new(wrapper))
}

// What a sidecar does with connections and requests to hosts without a route, in
// the words of Istio.
const (
	OutboundAllowAny     = "ALLOW_ANY"
	OutboundRegistryOnly = "REGISTRY_ONLY"
)

const (
	// headTime bounds how long the head of a first request is waited for, and
	// headSize how much of it is looked at, in bytes.
	headTime = 5 * time.Second
	headSize = 64 << 10
	// silentTime is how long a client has for its first byte before it is taken
	// for one that waits for the server to speak.
	silentTime = time.Second
	// waitingTime is how long a client of HTTP/2 has for its first request before it is
	// taken for one that waits for the server's settings.
	waitingTime = 200 * time.Millisecond
	// abandonTime is when connections are given up that a closed listener's server
	// does not take any more.
	abandonTime = headTime + 5*time.Second
)

// CheckOutbound checks an outbound traffic policy.
func CheckOutbound(policy string) error {
	if policy != OutboundAllowAny && policy != OutboundRegistryOnly {
		return fmt.Errorf("outbound_traffic_policy %s is neither %s, which passes on what has no route, nor %s, which refuses it", options.Quoted(policy), OutboundAllowAny, OutboundRegistryOnly)
	}
	return nil
}

// wrapper wraps the listener of a sidecar. Connections that rules of the
// kernel have led there, and whose first request is for a host without a route or
// is none at all, go on to their destination as the bytes they are. The app makes
// it; it is not meant for configurations.
type wrapper struct {
	// The address of the listener.
	Address string `json:"address,omitempty"`

	gateway Gateway
}

// App is the llm app, as far as captured connections depend on it.
type App interface {
	// CaptureAt returns what captured connections need to know of the listener at an
	// address.
	CaptureAt(address string) Gateway
}

// Gateway is a sidecar's listener as captured connections see it. It is safe for
// concurrent use.
type Gateway interface {
	// HasRoute reports whether there is a route for a host as a client sent it, or may be:
	// what may be for a host with a route never goes out past the gateway.
	HasRoute(host string) bool
	// Policy returns what becomes of connections to hosts without a route now:
	// OutboundAllowAny or OutboundRegistryOnly.
	Policy() string
	// Count counts a connection by what became of it, and why.
	Count(outcome, reason string)
	// Outbound returns the connections that are opened for what has no route.
	Outbound() *Outbound
	// Logger returns the app's logger.
	Logger() *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (*wrapper) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "caddy.listeners.llm_capture",
		New: func() caddy.Module { return new(wrapper) },
	}
}

// Provision sets up the wrapper.
func (w *wrapper) Provision(ctx caddy.Context) error {
	app, err := ctx.App("llm")
	if err != nil {
		return fmt.Errorf("getting the llm app: %w", err)
	}
	w.gateway = app.(App).CaptureAt(w.Address)
	return nil
}

// WrapListener implements caddy.ListenerWrapper.
func (w *wrapper) WrapListener(l net.Listener) net.Listener {
	c := &capturing{Listener: l, wrapper: w, ready: make(chan accepted), abandoned: make(chan struct{})}
	go c.acceptAll()
	return c
}

// capturing is a listener that looks at connections before it hands them out. A
// slow one delays no other.
type capturing struct {
	net.Listener
	*wrapper
	ready     chan accepted
	undecided sync.WaitGroup
	closing   sync.Once
	abandoned chan struct{}
}

type accepted struct {
	net.Conn
	error
}

// Accept implements net.Listener. After Close it still returns what was under
// way: a client whose connection was accepted must not be let down.
func (c *capturing) Accept() (net.Conn, error) {
	next, ok := <-c.ready
	if !ok {
		return nil, net.ErrClosed
	}
	return next.Conn, next.error
}

// Close implements net.Listener.
func (c *capturing) Close() error {
	c.closing.Do(func() { time.AfterFunc(abandonTime, func() { close(c.abandoned) }) })
	return c.Listener.Close()
}

func (c *capturing) acceptAll() {
	for {
		conn, err := c.Listener.Accept()
		var temporary interface{ Temporary() bool }
		switch {
		case err == nil:
			c.undecided.Add(1)
			go c.sort(conn)
		case errors.As(err, &temporary) && temporary.Temporary():
			c.deliver(nil, err) // the server waits before it asks again
		default:
			c.undecided.Wait()
			close(c.ready)
			return
		}
	}
}

func (c *capturing) deliver(conn net.Conn, err error) {
	select {
	case c.ready <- accepted{conn, err}:
	case <-c.abandoned:
		if conn != nil {
			_ = conn.Close()
		}
	}
}

// sort decides where a connection goes.
func (c *capturing) sort(conn net.Conn) {
	decided := sync.OnceFunc(c.undecided.Done)
	defer decided()
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		c.deliver(conn, nil)
		return
	}
	in := &capturedConn{TCPConn: tcp, to: originalDestination(tcp)}
	head, err := in.readHead()
	if err != nil {
		_ = tcp.Close()
		return
	}
	if c.gateway.Outbound().isOwn(in) {
		c.refuseLoop(in, head)
		return
	}
	if in.to == "" && head.kind == headConnect && IsLocal(tcp.LocalAddr()) {
		if head, err = c.openTunnel(in, head); err != nil {
			_ = tcp.Close()
			return
		}
	}
	switch {
	case in.to == "": // direct: what has no route is the handler's
		in.trimFirst()
	case head.isHTTP() && c.isServed(head):
		in.trimFirst()
		c.gateway.Count(capturedRouted, "")
	case c.gateway.Policy() == OutboundAllowAny:
		decided() // this may take as long as it likes
		c.pass(in, head)
		return
	case head.isHTTP(): // the handler says so
		in.trimFirst()
		c.gateway.Count(capturedRefused, capturedRegistryOnly)
	default:
		c.gateway.Count(capturedRefused, capturedRegistryOnly)
		c.gateway.Logger().Info("refused a connection that is not HTTP: outbound_traffic_policy is "+OutboundRegistryOnly, zap.String("destination", in.to))
		reset(tcp)
		return
	}
	c.deliver(in, nil)
}

// isServed reports whether the server has to answer a first request, because there
// is a route for its host, or because it is not known yet whether there is one, or
// because what the client sent so far does not name a host, or not clearly: what may be
// for a host with a route never goes out past it.
func (c *capturing) isServed(head requestHead) bool {
	switch head.kind {
	case headNoHost, headUnclear:
		return true
	case headWaiting:
		return false
	}
	return c.gateway.HasRoute(head.host)
}

// What became of captured connections, and why, as a metric has it.
const (
	capturedRouted  = "routed"
	capturedPassed  = "passed_on"
	capturedRefused = "refused"

	capturedNoRoute      = "no_route"
	capturedNotHTTP      = "not_http"
	capturedUnreachable  = "unreachable"
	capturedRegistryOnly = "registry_only"
	capturedLoop         = "loop"
)

// pass passes a connection on to its destination.
func (c *capturing) pass(in *capturedConn, head requestHead) {
	server, err := c.gateway.Outbound().open(in)
	if err != nil {
		c.gateway.Count(capturedRefused, capturedUnreachable)
	} else {
		reason := capturedNoRoute
		if !head.isHTTP() {
			reason = capturedNotHTTP
		}
		c.gateway.Count(capturedPassed, reason)
		if head.kind == headWaiting {
			err = c.gateway.Outbound().relay(in, server, c.isServed)
		} else {
			err = c.gateway.Outbound().relay(in, server, nil)
		}
	}
	if errors.Is(err, errServedLate) {
		c.gateway.Logger().Warn("connection reset", zap.String("destination", in.to), zap.Error(err))
		return
	}
	if err != nil {
		if entry := c.gateway.Logger().Check(zap.DebugLevel, "passed-through connection ended with an error"); entry != nil {
			entry.Write(zap.String("destination", in.to), zap.Error(err))
		}
	}
}

// refuseLoop ends a connection that the gateway itself has opened.
func (c *capturing) refuseLoop(in *capturedConn, head requestHead) {
	c.gateway.Count(capturedRefused, capturedLoop)
	c.gateway.Logger().Error("refused a connection that the gateway itself had opened; run it as the user that caddy llm capture exempts "+
		"(--uid, 1337 by default), and check that no host name resolves to its own address", zap.String("destination", in.to))
	if head.isHTTP1() {
		in.answer(http.StatusLoopDetected, "the gateway was about to call itself; its operator can find the reason in the log\n")
		return
	}
	reset(in.TCPConn)
}

// openTunnel answers CONNECT. What comes next is treated like a connection to
// that destination which was captured: an HTTP client may ask for a tunnel to
// port 80 as well.
func (c *capturing) openTunnel(in *capturedConn, head requestHead) (requestHead, error) {
	name, port, err := net.SplitHostPort(head.host)
	if n, errPort := strconv.ParseUint(port, 10, 16); err != nil || errPort != nil || name == "" || n == 0 {
		in.answer(http.StatusBadRequest, "CONNECT needs a host and a port, as in CONNECT example.com:443\n")
		return head, errRefused
	}
	if c.gateway.Policy() == OutboundRegistryOnly && !c.isServed(head) {
		c.gateway.Count(capturedRefused, capturedRegistryOnly)
		in.answer(http.StatusForbidden, fmt.Sprintf("there is no LLM route for host %q, and outbound_traffic_policy is %s\n", llmprovider.Bounded(name), OutboundRegistryOnly))
		return head, errRefused
	}
	in.trimFirst()
	if err := in.skipHead(); err != nil {
		return head, err
	}
	if _, err := io.WriteString(in.TCPConn, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return head, err
	}
	in.to = head.host
	return in.readHead()
}

var errRefused = errors.New("refused")

// capturedConn is a connection of which the first bytes were read. They are read
// again by its user.
type capturedConn struct {
	*net.TCPConn
	first []byte
	to    string // where the client believes it is connected to, empty if that is here
}

// Read implements net.Conn.
func (c *capturedConn) Read(p []byte) (int, error) {
	if len(c.first) == 0 {
		return c.TCPConn.Read(p)
	}
	n := copy(p, c.first)
	if c.first = c.first[n:]; len(c.first) == 0 {
		c.first = nil
	}
	return n, nil
}

// WriteTo implements io.WriterTo in place of the method of TCPConn, which knows
// nothing of the first bytes.
func (c *capturedConn) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(c.first)
	c.first = c.first[n:]
	if err != nil {
		return int64(n), err
	}
	rest, err := io.Copy(w, c.TCPConn)
	return int64(n) + rest, err
}

// answer writes a whole response and ends the connection.
func (c *capturedConn) answer(status int, text string) {
	_ = c.SetDeadline(time.Now().Add(time.Second))
	_, _ = fmt.Fprintf(c.TCPConn, "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		status, http.StatusText(status), len(text), text)
	_ = c.CloseWrite()
	_, _ = io.Copy(io.Discard, c.TCPConn) // or the client may see a reset instead
	_ = c.Close()
}

// destinationKey is where a connection's context has its destination.
const destinationKey caddy.CtxKey = "llm_destination"

// KeepDestination makes the destination of a captured connection known to
// handlers.
func KeepDestination(ctx context.Context, conn net.Conn) context.Context {
	if c, ok := conn.(*capturedConn); ok && c.to != "" {
		return context.WithValue(ctx, destinationKey, c.to)
	}
	return ctx
}

// DestinationOf returns the destination of the connection that a request came on. ok is
// false unless it was captured.
func DestinationOf(r *http.Request) (to string, ok bool) {
	to, ok = r.Context().Value(destinationKey).(string)
	return to, ok
}

// IsLocal reports whether only the machine or pod itself can have connected there.
func IsLocal(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// addrPort is an address in the form that two of them can be compared in.
func addrPort(addr net.Addr) netip.AddrPort {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	a := tcp.AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// Interface guards
var (
	_ caddy.Provisioner     = (*wrapper)(nil)
	_ caddy.ListenerWrapper = (*wrapper)(nil)
	_ io.WriterTo           = (*capturedConn)(nil)
)
