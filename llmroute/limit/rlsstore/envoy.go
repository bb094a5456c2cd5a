package rlsstore

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/caddyserver/caddy/v2"
	descriptor "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	units "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/limit/grant"
)

func init() {
	caddy.RegisterModule(new(Envoy))
}

// Envoy keeps what was used in a service that speaks Envoy's rate limit protocol,
// `envoy.service.ratelimit.v3`, as envoyproxy/ratelimit does. The service must know the domain;
// it is told each limit's number and window with every call, and what a gateway may use is leased
// for many requests.
//
// It holds requests, tokens and money for windows of a second, a minute, an hour and a day in UTC, which
// begin when the service's do. It has no bursts, no longer windows and no open requests, and
// leases are not given back before the window ends.
type Envoy struct {
	Service
}

// CaddyModule returns the Caddy module information.
func (*Envoy) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: limit.StoreNamespace + ".envoy", New: func() caddy.Module { return new(Envoy) }}
}

// windowUnits are the windows that the protocol knows and all services count alike.
var windowUnits = map[time.Duration]units.RateLimitUnit{
	time.Second: units.RateLimitUnit_SECOND, time.Minute: units.RateLimitUnit_MINUTE, time.Hour: units.RateLimitUnit_HOUR, 24 * time.Hour: units.RateLimitUnit_DAY,
}

// Holds implements limit.Restricted.
func (s *Envoy) Holds(limits []*limit.Definition) error {
	for _, d := range limits {
		if err := counted("envoy", d); err != nil {
			return err
		}
		for i := range d.Amounts {
			a := &d.Amounts[i]
			if _, ok := windowUnits[a.Terms().Length]; !ok {
				return fmt.Errorf("limit %s: %s: store envoy knows windows of 1s, 1m, 1h, 24h, hour and day, in UTC; write one of them in place of %s, or use store redis", d.Name, a.Unit, windowOf(a))
			}
		}
	}
	return nil
}

func windowOf(a *limit.Amount) string {
	if a.Timezone != "" {
		return a.Window + " timezone " + a.Timezone
	}
	return a.Window
}

// Shared implements limit.Store.
func (s *Envoy) Shared() grant.Store { return s }

// ID implements grant.Store.
func (s *Envoy) ID() string { return "envoy " + s.URL + " " + s.Domain }

// Do implements grant.Store.
func (s *Envoy) Do(ctx context.Context, calls []grant.Call) []grant.Reply {
	return s.each(ctx, calls, s.raise)
}

// raise looks first, and then counts at once what was used beyond what is granted and what is
// granted in addition. The service counts also what it refuses, which nobody may use then; and a
// service that fails is not to count the same overruns again and again.
func (s *Envoy) raise(ctx context.Context, conn *grpc.ClientConn, c *grant.Call) grant.Reply {
	left, _, err := s.count(ctx, conn, c, 0)
	if err != nil {
		return grant.Reply{Err: err}
	}
	debt := max(c.Claim-c.Base, 0)
	more := min(c.Target-c.Claim, left-debt)
	if more <= 0 || c.Claim+more < c.Least {
		more = 0
	}
	if debt+more > 0 {
		var fits bool
		if left, fits, err = s.count(ctx, conn, c, debt+more); err != nil {
			return grant.Reply{Err: err}
		}
		if !fits { // others were faster
			more = 0
		}
	}
	return grant.Reply{Granted: c.Claim + more, Total: c.Amount - left, Gen: c.Gen}
}

// count has the service count hits, 0 for none, and returns how many more there is room
// for, and whether there was room for these.
func (s *Envoy) count(ctx context.Context, conn *grpc.ClientConn, c *grant.Call, hits int64) (left int64, fits bool, err error) {
	req := s.request(c, hits)
	d := req.GetDescriptors()[0]
	d.HitsAddend = wrapperspb.UInt64(uint64(max(hits, 0))) // only here 0 means none; in the message it is 1
	unit := windowUnits[c.Of.Length]
	d.Limit = &descriptor.RateLimitDescriptor_RateLimitOverride{RequestsPerUnit: uint32(min(c.Amount, math.MaxUint32)), Unit: unit}
	res, err := s.invoke(ctx, conn, methodShouldRateLimit, req)
	if err != nil {
		return 0, false, err
	}
	statuses := res.GetStatuses()
	if len(statuses) != 1 {
		return 0, false, fmt.Errorf("the service at %s says nothing of what is left: its response has %d statuses for 1 descriptor; for Limitador, use store kuadrant", s.URL, len(statuses))
	}
	status := statuses[0]
	current := status.GetCurrentLimit()
	remaining := int64(status.GetLimitRemaining())
	switch fits = status.GetCode() == rls.RateLimitResponse_OK; {
	case !fits && status.GetCode() != rls.RateLimitResponse_OVER_LIMIT:
		return 0, false, fmt.Errorf("the service at %s answers with the code %s", s.URL, status.GetCode())
	case current == nil:
		return 0, false, fmt.Errorf("%w: the service has no limit for %s in its domain %q; add the domain to its configuration", grant.ErrCounter, c.Of.Limit, s.Domain)
	case int32(current.GetUnit()) != int32(unit):
		return 0, false, fmt.Errorf("%w: the service counts %s by %s, the limit by %s; write the same window in both", grant.ErrCounter, c.Of.Limit, current.GetUnit(), unit)
	case remaining > int64(current.GetRequestsPerUnit()):
		return 0, false, fmt.Errorf("the service at %s says that %d of %d are left", s.URL, remaining, current.GetRequestsPerUnit())
	}
	used := int64(current.GetRequestsPerUnit()) - remaining // the lower number holds, if it has another than the limit
	return max(min(remaining, c.Amount-used), 0), fits, nil
}

// Interface guards
var (
	_ limit.Restricted  = (*Envoy)(nil)
	_ grant.Store       = (*Envoy)(nil)
	_ caddy.Provisioner = (*Envoy)(nil)
)
