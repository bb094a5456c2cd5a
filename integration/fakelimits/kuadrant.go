package fakelimits

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
)

// Limit is one of Kuadrant's limits: it holds for descriptors with these entries, and counts apart
// by those that Variables names.
type Limit struct {
	Entries   map[string]string
	Variables []string
	Max       uint64
	Window    time.Duration // from the first hit on
}

// Kuadrant is a service of the protocols envoy.service.ratelimit.v3 and
// kuadrant.service.ratelimit.v1 that counts as Limitador does: ShouldRateLimit counts nothing if there
// is no room, CheckRateLimit looks for room for one hit, Report counts always. It has room for what it
// has no limit for, and says neither how much is left nor which limits there are.
type Kuadrant struct {
	rls.UnimplementedRateLimitServiceServer
	awkward
	now    func() time.Time
	limits []Limit

	mu     sync.Mutex
	counts map[string]*window
}

type window struct {
	began time.Time
	used  uint64
}

// NewKuadrant returns a service with that time and these limits that serves until the test ends
// or stop is called.
func NewKuadrant(t testing.TB, now func() time.Time, limits ...Limit) (s *Kuadrant, at string, stop func()) {
	t.Helper()
	s = &Kuadrant{now: now, limits: limits, counts: make(map[string]*window)}
	at, stop = Serve(t, "", s.Register)
	return s, at, stop
}

// Register is for Serve.
func (s *Kuadrant) Register(server *grpc.Server) {
	rls.RegisterRateLimitServiceServer(server, s)
	method := func(name string, check, update bool) grpc.MethodDesc {
		return grpc.MethodDesc{MethodName: name, Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			req := new(rls.RateLimitRequest)
			if err := decode(req); err != nil {
				return nil, err
			}
			if !update {
				req.HitsAddend = 1
			}
			return s.answer(s.count(req, check, update))
		}}
	}
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "kuadrant.service.ratelimit.v1.RateLimitService", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{method("CheckRateLimit", true, false), method("Report", false, true)},
	}, s)
}

// Total is what it has counted.
func (s *Kuadrant) Total() (n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.counts {
		n += c.used
	}
	return n
}

// Forget forgets it.
func (s *Kuadrant) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts = make(map[string]*window)
}

// ShouldRateLimit implements rls.RateLimitServiceServer.
func (s *Kuadrant) ShouldRateLimit(_ context.Context, req *rls.RateLimitRequest) (*rls.RateLimitResponse, error) {
	return s.answer(s.count(req, true, true))
}

func (s *Kuadrant) count(req *rls.RateLimitRequest, check, update bool) *rls.RateLimitResponse {
	s.mu.Lock()
	defer s.mu.Unlock()
	hits := max(uint64(req.GetHitsAddend()), 1)
	var counters []*window
	for i, l := range s.limits {
		entries := make(map[string]string)
		for _, e := range req.GetDescriptors()[0].GetEntries() {
			entries[e.GetKey()] = e.GetValue()
		}
		if req.GetDomain() != domain || !l.holds(entries) {
			continue
		}
		key := fmt.Sprint(i)
		for _, v := range l.Variables {
			key += " " + entries[v]
		}
		c := s.counts[key]
		if c == nil || s.now().Sub(c.began) >= l.Window {
			c = &window{began: s.now()}
			s.counts[key] = c
		}
		if check && c.used+hits > l.Max {
			return &rls.RateLimitResponse{OverallCode: rls.RateLimitResponse_OVER_LIMIT}
		}
		counters = append(counters, c)
	}
	for _, c := range counters {
		if update {
			c.used += hits
		}
	}
	return &rls.RateLimitResponse{OverallCode: rls.RateLimitResponse_OK}
}

func (l *Limit) holds(entries map[string]string) bool {
	for k, v := range l.Entries {
		if entries[k] != v {
			return false
		}
	}
	return !slices.ContainsFunc(l.Variables, func(v string) bool { _, ok := entries[v]; return !ok })
}
