package fakeprovider

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Server is a fake provider. It is safe for concurrent use.
type Server struct {
	t        testing.TB
	settings settings
	caFile   string
	pool     *x509.CertPool
	listener net.Listener
	http     *http.Server
	ctx      context.Context
	cancel   context.CancelFunc
	closing  sync.Once
	accepted atomic.Int64
	log      failureLog

	mu            sync.Mutex
	script        func(int, *Recorded) Reply
	requests      []*Recorded
	next          int
	count         int
	cancelled     int
	byReported    map[string]Usage
	byRequested   map[string]Usage
	conns         map[net.Conn]struct{}
	inFlight      int
	cancellations chan *Recorded
	changed       chan struct{}
}

type connKey struct{}

// conn is what a request needs to know of its connection.
type conn struct {
	net.Conn
	number int64
}

// New starts a server and stops it when the test ends. By default it speaks
// HTTP/1.1 and HTTP/2 over TLS on a free port of 127.0.0.1 and answers each
// chat completion with a short text (see Default).
func New(t testing.TB, options ...Option) *Server {
	t.Helper()
	s := &Server{
		t:             t,
		settings:      defaults(),
		script:        Default,
		byReported:    map[string]Usage{},
		byRequested:   map[string]Usage{},
		conns:         map[net.Conn]struct{}{},
		cancellations: make(chan *Recorded, 4096),
		changed:       make(chan struct{}),
	}
	for _, o := range options {
		o(&s.settings)
	}
	if err := s.start(); err != nil {
		t.Fatalf("starting the fake provider: %v", err)
	}
	t.Cleanup(s.Close)
	return s
}

func (s *Server) start() error {
	ca, err := runAuthority()
	if err != nil {
		return err
	}
	s.caFile = filepath.Join(s.t.TempDir(), "ca.pem")
	if err := os.WriteFile(s.caFile, ca.pem, 0o600); err != nil {
		return err
	}
	s.pool = x509.NewCertPool()
	s.pool.AddCert(ca.cert)

	s.listener, err = net.Listen("tcp", s.settings.address)
	if err != nil {
		return err
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	protocols := new(http.Protocols)
	protocols.SetHTTP1(s.settings.http1)
	protocols.SetHTTP2(s.settings.http2)
	protocols.SetUnencryptedHTTP2(s.settings.http2 && s.settings.plain)
	s.http = &http.Server{
		Handler:        http.HandlerFunc(s.serve),
		Protocols:      protocols,
		MaxHeaderBytes: 16 << 20,
		ErrorLog:       log.New(&s.log, "", 0),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, conn{Conn: c, number: s.accepted.Add(1)})
		},
		ConnState: s.track,
	}
	if s.settings.plain {
		go s.http.Serve(s.listener) //nolint:errcheck // ends with Close
		return nil
	}
	cert, err := ca.issue(s.settings.names, s.settings.notAfter)
	if err != nil {
		return err
	}
	s.http.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
	go s.http.ServeTLS(s.listener, "", "") //nolint:errcheck // ends with Close
	return nil
}

// track remembers hijacked connections too, which http.Server forgets.
func (s *Server) track(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch state {
	case http.StateNew:
		s.conns[c] = struct{}{}
	case http.StateClosed:
		delete(s.conns, c)
	}
}

// Close stops the server and cuts every connection. It waits until no script
// is running, so what Requests and Ledger say afterwards is final.
func (s *Server) Close() {
	s.closing.Do(func() {
		s.cancel()
		_ = s.http.Close()
		s.mu.Lock()
		open := make([]net.Conn, 0, len(s.conns))
		for c := range s.conns {
			open = append(open, c)
		}
		s.mu.Unlock()
		for _, c := range open {
			_ = c.Close()
		}
	})
	if !s.waitFor(time.Minute, func() bool { return s.inFlight == 0 }) {
		s.t.Errorf("fake provider: a script was still running a minute after Close")
	}
	if s.t.Failed() {
		s.log.show(s.t)
	}
}

// Script replaces what the server answers. The function gets the number of the
// request since this call, from 0, and the request; it may run concurrently.
func (s *Server) Script(script func(i int, r *Recorded) Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script, s.next = script, 0
}

// Addr is the listening address, host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Port is the listening port.
func (s *Server) Port() int { return s.listener.Addr().(*net.TCPAddr).Port }

// URL is scheme://host:port of the listening address.
func (s *Server) URL() string { return s.scheme() + s.Addr() }

// URLFor is URL with another host name, which must resolve to this machine or
// go through a Proxy.
func (s *Server) URLFor(host string) string {
	return fmt.Sprintf("%s%s:%d", s.scheme(), host, s.Port())
}

func (s *Server) scheme() string {
	if s.settings.plain {
		return "http://"
	}
	return "https://"
}

// CAFile is a PEM file with the CA that signs every server of this process.
func (s *Server) CAFile() string { return s.caFile }

// Client trusts the server's CA and does not reuse connections across calls of
// this method.
func (s *Server) Client() *http.Client {
	tr := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: s.pool},
		ForceAttemptHTTP2: s.settings.http2,
	}
	s.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// Requests lists what was received so far, oldest first (see Keep).
func (s *Server) Requests() []*Recorded {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Last is the latest request; the test fails when there is none.
func (s *Server) Last() *Recorded {
	s.t.Helper()
	all := s.Requests()
	if len(all) == 0 {
		s.t.Fatalf("the fake provider received no request")
	}
	return all[len(all)-1]
}

// Count is the number of requests received since the start or the last Reset.
func (s *Server) Count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// InFlight is the number of requests that are being received or answered.
func (s *Server) InFlight() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inFlight
}

// Connections is the number of connections accepted so far, including those on
// which no request came or TLS failed.
func (s *Server) Connections() int64 { return s.accepted.Load() }

// Cancelled counts the requests whose client left before the reply was complete.
func (s *Server) Cancelled() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cancelled
}

// Cancellations delivers each cancelled request at the moment it is noticed.
func (s *Server) Cancellations() <-chan *Recorded { return s.cancellations }

// Reset forgets requests, cancellations and ledger, and keeps the script.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests, s.next, s.count, s.cancelled = nil, 0, 0, 0
	s.byReported, s.byRequested = map[string]Usage{}, map[string]Usage{}
	for len(s.cancellations) > 0 {
		<-s.cancellations
	}
}

// WaitCount waits until n requests have arrived; the test fails if they do not.
func (s *Server) WaitCount(n int, timeout time.Duration) {
	s.t.Helper()
	if !s.waitFor(timeout, func() bool { return s.count >= n }) {
		s.t.Fatalf("the fake provider received %d requests within %v, want %d", s.Count(), timeout, n)
	}
}

// WaitCancelled waits until n requests were cancelled; the test fails if not.
func (s *Server) WaitCancelled(n int, timeout time.Duration) {
	s.t.Helper()
	if !s.waitFor(timeout, func() bool { return s.cancelled >= n }) {
		s.t.Fatalf("%d requests were cancelled within %v, want %d", s.Cancelled(), timeout, n)
	}
}

// WaitIdle waits until every reply has ended; the test fails if one has not.
// The ledger is complete then.
func (s *Server) WaitIdle(timeout time.Duration) {
	s.t.Helper()
	if !s.waitFor(timeout, func() bool { return s.inFlight == 0 }) {
		s.t.Fatalf("a reply of the fake provider was still under way after %v", timeout)
	}
}

// waitFor calls cond under the lock after each change until it holds.
func (s *Server) waitFor(timeout time.Duration, cond func() bool) bool {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	for {
		s.mu.Lock()
		ok, changed := cond(), s.changed
		s.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-deadline.C:
			return false
		}
	}
}

// signal wakes the waiters; the caller holds the lock.
func (s *Server) signal() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// failureLog keeps the HTTP server's complaints. They are no failures: broken
// handshakes are often what a test is about. They are not passed to the test at
// once, for some come after its end.
type failureLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *failureLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(p))
	return len(p), nil
}

func (l *failureLog) show(t testing.TB) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		t.Logf("fake provider: %s", line)
	}
}
