package llmroute

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

	"github.com/caddy-llm/gateway/internal/host"

	"github.com/caddy-llm/gateway/internal/options"
)

func init() {
	caddy.RegisterModule(new(captureListener))
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

// captureListener wraps the listener of a sidecar. Connections that rules of the
// kernel have led there, and whose first request is for a host without a route or
// is none at all, go on to their destination as the bytes they are. The app makes
// it; it is not meant for configurations.
type captureListener struct {
	// The address of the listener.
	Address string `json:"address,omitempty"`

	app *App
}

// CaddyModule returns the Caddy module information.
func (*captureListener) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "caddy.listeners.llm_capture",
		New: func() caddy.Module { return new(captureListener) },
	}
}

// Provision sets up the wrapper.
func (w *captureListener) Provision(ctx caddy.Context) error {
	app, err := ctx.App("llm")
	if err != nil {
		return fmt.Errorf("getting the llm app: %w", err)
	}
	w.app = app.(*App)
	return nil
}

// WrapListener implements caddy.ListenerWrapper.
func (w *captureListener) WrapListener(l net.Listener) net.Listener {
	c := &capturing{Listener: l, captureListener: w, ready: make(chan accepted), abandoned: make(chan struct{})}
	go c.acceptAll()
	return c
}

// capturing is a listener that looks at connections before it hands them out. A
// slow one delays no other.
type capturing struct {
	net.Listener
	*captureListener
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
	if c.app.outbound.isOwn(in) {
		c.refuseLoop(in, head)
		return
	}
	if in.to == "" && head.kind == headConnect && isLocal(tcp.LocalAddr()) {
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
		c.count(capturedRouted, "")
	case c.policy() == OutboundAllowAny:
		decided() // this may take as long as it likes
		c.pass(in, head)
		return
	case head.isHTTP(): // the handler says so
		in.trimFirst()
		c.count(capturedRefused, capturedRegistryOnly)
	default:
		c.count(capturedRefused, capturedRegistryOnly)
		c.app.logger.Info("refused a connection that is no HTTP request: outbound_traffic_policy is "+OutboundRegistryOnly, zap.String("destination", in.to))
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
	snap := c.app.snapshot()
	return c.app.runner != nil && snap.state == nil || snap.hasRoute(c.Address, head.host)
}

// hasRoute reports whether a listener has a route for the host. It has one for a host that
// has no normal form, which the handler rejects: another server may read it as one that
// has a route.
func (s *snapshot) hasRoute(address, sent string) bool {
	if _, ok := host.Name(sent); !ok {
		return true
	}
	l := s.listeners[address]
	if l == nil {
		return true // it is being closed, and its handler says so
	}
	server := l.find(sent)
	if server == nil || s.tables[server.Table] == nil {
		return false
	}
	return s.tables[server.Table].find(sent) != nil
}

func (c *capturing) policy() string {
	if l := c.app.snapshot().listeners[c.Address]; l != nil {
		return l.Outbound
	}
	return OutboundAllowAny // it is being closed
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

func (c *capturing) count(outcome, reason string) {
	c.app.metrics.captured.WithLabelValues(outcome, reason).Inc()
}

// pass passes a connection on to its destination.
func (c *capturing) pass(in *capturedConn, head requestHead) {
	server, err := c.app.outbound.open(in)
	if err != nil {
		c.count(capturedRefused, capturedUnreachable)
	} else {
		reason := capturedNoRoute
		if !head.isHTTP() {
			reason = capturedNotHTTP
		}
		c.count(capturedPassed, reason)
		if head.kind == headWaiting {
			err = c.app.outbound.relay(in, server, c.isServed)
		} else {
			err = c.app.outbound.relay(in, server, nil)
		}
	}
	if errors.Is(err, errServedLate) {
		c.app.logger.Warn("a connection was reset", zap.String("destination", in.to), zap.Error(err))
		return
	}
	if err != nil {
		if entry := c.app.logger.Check(zap.DebugLevel, "a connection that was passed on ended with an error"); entry != nil {
			entry.Write(zap.String("destination", in.to), zap.Error(err))
		}
	}
}

// refuseLoop ends a connection that the gateway itself has opened.
func (c *capturing) refuseLoop(in *capturedConn, head requestHead) {
	c.count(capturedRefused, capturedLoop)
	c.app.logger.Error("a connection of the gateway's own came back to it and was refused; run it as the user whose connections caddy llm capture leaves alone "+
		"(--uid, 1337 by default), and let no host name lead to its own address", zap.String("destination", in.to))
	if head.isHTTP1() {
		in.answer(http.StatusLoopDetected, "the gateway was about to call itself; its operator finds the reason in the log\n")
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
	if c.policy() == OutboundRegistryOnly && !c.isServed(head) {
		c.count(capturedRefused, capturedRegistryOnly)
		in.answer(http.StatusForbidden, fmt.Sprintf("there is no LLM route for host %q, and outbound_traffic_policy is %s\n", bounded(name), OutboundRegistryOnly))
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

// answer writes a whole answer and ends the connection.
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

// keepDestination makes the destination of a captured connection known to
// handlers.
func keepDestination(ctx context.Context, conn net.Conn) context.Context {
	if c, ok := conn.(*capturedConn); ok && c.to != "" {
		return context.WithValue(ctx, destinationKey, c.to)
	}
	return ctx
}

// isLocal reports whether only the machine or pod itself can have connected there.
func isLocal(addr net.Addr) bool {
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
	_ caddy.Provisioner     = (*captureListener)(nil)
	_ caddy.ListenerWrapper = (*captureListener)(nil)
	_ io.WriterTo           = (*capturedConn)(nil)
)
