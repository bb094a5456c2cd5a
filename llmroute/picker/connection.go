package picker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
)

const (
	// connectTime is how long a picker may take to be connected to.
	connectTime = time.Second
	// maxBackoff bounds the time between two tries to connect.
	maxBackoff = 5 * time.Second
	// healthPause is how long the picker's health is left alone after its stream broke, and
	// how long a connection to a picker that does not serve is kept.
	healthPause = 5 * time.Second
)

var (
	errUnreachable = errors.New("the endpoint picker cannot be reached")
	errNotServing  = errors.New("the endpoint picker says that it is not serving")
)

// connection is the connection to one picker. It is safe for concurrent use.
type connection struct {
	address string
	options []grpc.DialOption
	ctx     context.Context // ends with Destruct
	end     context.CancelFunc

	heard atomic.Int64 // when a picker said something last, in nanoseconds of Unix time

	// roots are whom its certificate must be signed by, nil if it is not verified: those of
	// the newest configuration, whose file may be another by then.
	roots atomic.Pointer[x509.CertPool]

	mu         sync.Mutex
	conn       *grpc.ClientConn // nil before the first use
	notServing bool
}

// newConnection returns a connection that connects at its first use. Without a config
// there is no TLS.
func newConnection(address string, config *tls.Config) *connection {
	c := &connection{address: address}
	c.ctx, c.end = context.WithCancel(context.Background())
	transport := insecure.NewCredentials()
	if config != nil {
		config.VerifyConnection = func(state tls.ConnectionState) error { return c.verify(state, config.ServerName) }
		transport = credentials.NewTLS(config)
	}
	wait := backoff.DefaultConfig
	wait.MaxDelay = maxBackoff
	c.options = []grpc.DialOption{
		grpc.WithTransportCredentials(transport), grpc.WithDisableServiceConfig(), grpc.WithNoProxy(),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: wait, MinConnectTimeout: connectTime}),
		grpc.WithIdleTimeout(0), // health is watched
	}
	return c
}

// verify verifies the picker's certificate, if it is to be verified.
func (c *connection) verify(state tls.ConnectionState, name string) error {
	options := x509.VerifyOptions{Roots: c.roots.Load(), DNSName: name, Intermediates: x509.NewCertPool()}
	if options.Roots == nil {
		return nil
	}
	for _, certificate := range state.PeerCertificates[1:] {
		options.Intermediates.AddCert(certificate)
	}
	_, err := state.PeerCertificates[0].Verify(options)
	return err
}

// Destruct implements caddy.Destructor. Streams that are open end: the responses that
// they are for go on.
func (c *connection) Destruct() error {
	c.end()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		return nil
	}
	return c.conn.Close()
}

// get returns the connection once it is ready, or why it is not.
func (c *connection) get(ctx context.Context) (*grpc.ClientConn, error) {
	c.mu.Lock()
	if c.conn == nil {
		if c.ctx.Err() != nil {
			c.mu.Unlock()
			return nil, errUnreachable
		}
		conn, err := grpc.NewClient("dns:///"+c.address, c.options...)
		if err != nil {
			c.mu.Unlock()
			return nil, err
		}
		c.conn = conn
		go c.watch(conn)
	}
	conn, notServing := c.conn, c.notServing
	c.mu.Unlock()
	if notServing {
		return nil, errNotServing
	}
	state := conn.GetState()
	if state == connectivity.Ready {
		return conn, nil
	}
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	for ; ; state = conn.GetState() {
		switch state {
		case connectivity.Ready:
			return conn, nil
		case connectivity.TransientFailure, connectivity.Shutdown:
			return nil, errUnreachable
		case connectivity.Idle:
			conn.Connect()
		}
		if !conn.WaitForStateChange(ctx, state) {
			return nil, errUnreachable
		}
	}
}

// renew drops a connection on which a picker says nothing, or is no longer the one that
// serves: the next one may lead to another replica.
func (c *connection) renew(old *grpc.ClientConn) {
	c.mu.Lock()
	current := c.conn == old
	if current {
		c.conn, c.notServing = nil, false
	}
	c.mu.Unlock()
	if current {
		_ = old.Close()
	}
}

func (c *connection) heardNow() { c.heard.Store(time.Now().UnixNano()) }

// silentSince reports whether the picker has said nothing in any stream since then.
func (c *connection) silentSince(then time.Time) bool { return c.heard.Load() < then.UnixNano() }

// watch follows what the picker says of its health, under the name of its service. One that
// has no such service, or no name for it, is taken to be well.
func (c *connection) watch(conn *grpc.ClientConn) {
	request := &grpc_health_v1.HealthCheckRequest{Service: extproc.ExternalProcessor_ServiceDesc.ServiceName}
	for {
		stream, err := grpc_health_v1.NewHealthClient(conn).Watch(c.ctx, request, grpc.WaitForReady(true))
		for err == nil {
			var said *grpc_health_v1.HealthCheckResponse
			if said, err = stream.Recv(); err == nil {
				c.setNotServing(conn, said.GetStatus() == grpc_health_v1.HealthCheckResponse_NOT_SERVING)
			}
		}
		c.setNotServing(conn, false)
		select {
		case <-c.ctx.Done():
			return
		case <-time.After(healthPause):
		}
		if conn.GetState() == connectivity.Shutdown {
			return
		}
	}
}

// setNotServing notes what was said of a connection's picker. One that does not serve for a
// while is a follower: another connection may lead to the replica that does.
func (c *connection) setNotServing(conn *grpc.ClientConn, is bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != conn {
		return
	}
	if c.notServing = is; !is {
		return
	}
	time.AfterFunc(healthPause, func() {
		c.mu.Lock()
		still := c.conn == conn && c.notServing
		c.mu.Unlock()
		if still {
			c.renew(conn)
		}
	})
}
