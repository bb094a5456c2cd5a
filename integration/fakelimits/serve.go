// Package fakelimits has services that count limits, for tests: servers of published protocols that do
// what real ones do, and what broken ones do.
package fakelimits

import (
	"net"
	"sync/atomic"
	"testing"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
)

// Answer is what a service answers in place of the right response.
type Answer func(right *rls.RateLimitResponse) (*rls.RateLimitResponse, error)

// awkward is a service that may answer otherwise than it should.
type awkward struct{ with atomic.Pointer[Answer] }

// Be has it answer otherwise, after it has counted; nil has it answer as it should.
func (a *awkward) Be(f Answer) { a.with.Store(&f) }

func (a *awkward) answer(right *rls.RateLimitResponse) (*rls.RateLimitResponse, error) {
	if f := a.with.Load(); f != nil && *f != nil {
		return (*f)(right)
	}
	return right, nil
}

// listen listens at the address. An empty one is one of the system's choice.
func listen(t testing.TB, address string) net.Listener {
	t.Helper()
	if address == "" {
		address = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Serve serves over gRPC what register registers at the address that listen describes, until the
// test ends or stop is called.
func Serve(t testing.TB, address string, register func(*grpc.Server)) (at string, stop func()) {
	t.Helper()
	l := listen(t, address)
	server := grpc.NewServer()
	register(server)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	return l.Addr().String(), server.Stop
}
