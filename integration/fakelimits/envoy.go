package fakelimits

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
)

// Envoy is a service of the protocol envoy.service.ratelimit.v3 that counts as
// envoyproxy/ratelimit is documented to: in windows that begin at multiples of their length, and
// what it refuses as well. Hits of a descriptor that are 0 count nothing, those of the message
// alone at least 1. It has no limits of its own, and applies those of descriptors in its domain.
type Envoy struct {
	rls.UnimplementedRateLimitServiceServer
	awkward
	now func() time.Time

	mu     sync.Mutex
	counts map[string]uint64
}

// domain is the one that the services know.
const domain = "llm"

// NewEnvoy returns a service with that time that serves until the test ends or stop is called.
func NewEnvoy(t testing.TB, now func() time.Time) (s *Envoy, at string, stop func()) {
	t.Helper()
	s = &Envoy{now: now, counts: make(map[string]uint64)}
	at, stop = Serve(t, "", s.Register)
	return s, at, stop
}

// Register is for Serve.
func (s *Envoy) Register(server *grpc.Server) { rls.RegisterRateLimitServiceServer(server, s) }

// Total is what it has counted.
func (s *Envoy) Total() (n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.counts {
		n += c
	}
	return n
}

// Forget forgets it.
func (s *Envoy) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts = make(map[string]uint64)
}

// ShouldRateLimit implements rls.RateLimitServiceServer.
func (s *Envoy) ShouldRateLimit(_ context.Context, req *rls.RateLimitRequest) (*rls.RateLimitResponse, error) {
	return s.answer(s.count(req))
}

var unitSeconds = map[rls.RateLimitResponse_RateLimit_Unit]int64{
	rls.RateLimitResponse_RateLimit_SECOND: 1, rls.RateLimitResponse_RateLimit_MINUTE: 60, rls.RateLimitResponse_RateLimit_HOUR: 3600, rls.RateLimitResponse_RateLimit_DAY: 86400,
}

func (s *Envoy) count(req *rls.RateLimitRequest) *rls.RateLimitResponse {
	s.mu.Lock()
	defer s.mu.Unlock()
	res := &rls.RateLimitResponse{OverallCode: rls.RateLimitResponse_OK}
	for _, d := range req.GetDescriptors() {
		status := &rls.RateLimitResponse_DescriptorStatus{Code: rls.RateLimitResponse_OK}
		res.Statuses = append(res.Statuses, status)
		unit := rls.RateLimitResponse_RateLimit_Unit(d.GetLimit().GetUnit())
		seconds := unitSeconds[unit]
		if req.GetDomain() != domain || seconds == 0 {
			continue
		}
		hits := max(uint64(req.GetHitsAddend()), 1)
		if d.GetHitsAddend() != nil {
			hits = d.GetHitsAddend().GetValue()
		}
		key := fmt.Sprint(d.GetEntries(), s.now().Unix()/seconds)
		s.counts[key] += hits
		limit := d.GetLimit().GetRequestsPerUnit()
		status.CurrentLimit = &rls.RateLimitResponse_RateLimit{RequestsPerUnit: limit, Unit: unit}
		if used := s.counts[key]; used > uint64(limit) {
			status.Code, res.OverallCode = rls.RateLimitResponse_OVER_LIMIT, rls.RateLimitResponse_OVER_LIMIT
		} else {
			status.LimitRemaining = uint32(uint64(limit) - used)
		}
	}
	return res
}
