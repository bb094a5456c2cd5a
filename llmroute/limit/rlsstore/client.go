package rlsstore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	descriptor "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/limit/countup"
	"github.com/caddy-llm/gateway/llmroute/limit/grant"
)

const (
	// defaultDomain is the domain that limits are in.
	defaultDomain = "llm"
	// connectTime is how long the service may take to be connected to, and the most between
	// two tries; requests do not wait for it.
	connectTime = time.Second
	// maxAmount bounds amounts: the protocol's numbers are below 2^32.
	maxAmount = 4_000_000_000
)

// methodShouldRateLimit is Envoy's call, which counts.
const methodShouldRateLimit = rls.RateLimitService_ShouldRateLimit_FullMethodName

// Service is where a service is that counts, and what limits are called there.
type Service struct {
	// The service's address, such as `grpc://ratelimit.example.com:8081`; with `grpcs` in
	// place of `grpc`, TLS is used.
	URL string `json:"url"`

	// The domain of the limits in the service; Limitador calls it namespace. Default: `llm`.
	Domain string `json:"domain,omitempty"`

	countup.Store

	mu     sync.Mutex
	conn   *grpc.ClientConn // nil before the first use
	closed bool
}

var (
	errURL    = errors.New("the URL is not usable; write one such as grpc://ratelimit.example.com:8081, or grpcs://… for TLS")
	errClosed = errors.New("this store's configuration was replaced")
)

// Check reports what is wrong with the configuration, if anything.
func (s *Service) Check() error {
	u, err := url.Parse(s.URL)
	switch {
	case err != nil || u.Hostname() == "" || u.Port() == "" || u.Port() == "0" || !slices.Contains([]string{"grpc", "grpcs"}, u.Scheme) || strings.Trim(u.Path, "/") != "":
		return errURL // without the text of it, which may have a password
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("the URL has a user, a password or parameters; write the address alone")
	case strings.TrimSpace(s.Domain) != s.Domain:
		return errors.New("domain begins or ends with a space; remove it")
	}
	return s.Store.Check()
}

// Provision sets up the store. It connects to nothing: the service may come later.
func (s *Service) Provision(caddy.Context) error {
	if s.Domain == "" {
		s.Domain = defaultDomain
	}
	s.Store.Provision()
	return s.Check()
}

// Close implements grant.Store.
func (s *Service) Close() {
	s.mu.Lock()
	conn := s.conn
	s.conn, s.closed = nil, true
	s.mu.Unlock()
	if conn != nil {
		_ = conn.Close()
	}
}

// connection returns the connection, which connects when it is used.
func (s *Service) connection() (*grpc.ClientConn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, errClosed
	case s.conn != nil:
		return s.conn, nil
	}
	u, err := url.Parse(s.URL)
	if err != nil {
		return nil, errURL
	}
	transport := insecure.NewCredentials()
	if u.Scheme == "grpcs" {
		transport = credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12, ServerName: u.Hostname()})
	}
	wait := backoff.DefaultConfig
	wait.BaseDelay, wait.MaxDelay = connectTime/4, connectTime
	conn, err := grpc.NewClient("dns:///"+u.Host,
		grpc.WithTransportCredentials(transport), grpc.WithDisableServiceConfig(), grpc.WithNoProxy(), grpc.WithUserAgent("llm-gateway"),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: wait, MinConnectTimeout: connectTime}))
	if err != nil {
		return nil, err
	}
	s.conn = conn
	return conn, nil
}

// renew drops a connection on which the service says nothing: another one may lead to another
// replica.
func (s *Service) renew(old *grpc.ClientConn) {
	s.mu.Lock()
	current := s.conn == old
	if current {
		s.conn = nil
	}
	s.mu.Unlock()
	if current {
		_ = old.Close()
	}
}

// each makes the calls, each with a message of its own: services differ in what they do if one
// of several limits in a message has no room.
func (s *Service) each(ctx context.Context, calls []grant.Call, raise func(context.Context, *grpc.ClientConn, *grant.Call) grant.Reply) []grant.Reply {
	conn, err := s.connection()
	if err != nil {
		return countup.Raise(calls, func(*grant.Call) grant.Reply { return grant.Reply{Err: err} })
	}
	replies := countup.Raise(calls, func(c *grant.Call) grant.Reply { return raise(ctx, conn, c) })
	late := func(r grant.Reply) bool { return status.Code(r.Err) == codes.DeadlineExceeded }
	if slices.ContainsFunc(replies, late) && !slices.ContainsFunc(replies, func(r grant.Reply) bool { return r.Err == nil }) {
		s.renew(conn)
	}
	return replies
}

// request is the message about the counter of a call.
func (s *Service) request(c *grant.Call, hits int64) *rls.RateLimitRequest {
	return &rls.RateLimitRequest{
		Domain: s.Domain, HitsAddend: uint32(min(hits, math.MaxUint32)),
		Descriptors: []*descriptor.RateLimitDescriptor{{Entries: []*descriptor.RateLimitDescriptor_Entry{
			{Key: "limit", Value: c.Of.Limit}, {Key: "unit", Value: c.Of.Unit}, {Key: "window", Value: c.Of.Window}, {Key: "key", Value: c.Of.Hash},
		}}},
	}
}

// invoke makes one call of the service.
func (s *Service) invoke(ctx context.Context, conn *grpc.ClientConn, method string, req *rls.RateLimitRequest) (*rls.RateLimitResponse, error) {
	res := new(rls.RateLimitResponse)
	err := conn.Invoke(ctx, method, req, res)
	switch {
	case status.Code(err) == codes.Unimplemented:
		return nil, fmt.Errorf("the server at %s does not serve %s: %w", s.URL, method, err)
	case err != nil:
		return nil, fmt.Errorf("asking %s: %w", s.URL, err)
	}
	return res, nil
}

// counted returns the error for a limit that a service cannot hold, if any.
func counted(store string, d *limit.Definition) error {
	if d.Concurrent > 0 {
		return fmt.Errorf("limit %s: store %s cannot count open requests; leave concurrent out, or use store redis", d.Name, store)
	}
	for i := range d.Amounts {
		a := &d.Amounts[i]
		t := a.Terms()
		switch {
		case t.Burst:
			return fmt.Errorf("limit %s: %s: store %s has no burst; leave it out, or use store redis", d.Name, a.Unit, store)
		case t.Units > maxAmount:
			most := int64(maxAmount)
			if a.Unit == limit.UnitCost {
				most /= 1e6 // it is counted in millionths
			}
			return fmt.Errorf("limit %s: %s: store %s counts at most %d in a window; write less, or use store redis", d.Name, a.Unit, store, most)
		}
	}
	return nil
}
