package rlsstore

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	descriptor "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"

	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/limit/grant"
)

func init() {
	caddy.RegisterModule(new(Kuadrant))
}

// The calls of the protocol kuadrant.service.ratelimit.v1, with Envoy's messages: Check reports
// whether there is room for one hit, whatever the message says, and counts nothing; Report
// counts whether there is room or not.
const (
	methodCheck  = "/kuadrant.service.ratelimit.v1.RateLimitService/CheckRateLimit"
	methodReport = "/kuadrant.service.ratelimit.v1.RateLimitService/Report"
)

// knownFor is how long it is believed that the service has a limit.
const knownFor = time.Minute

// Kuadrant keeps what was used in Limitador, the service of Kuadrant's rate limits, with Envoy's call
// `ShouldRateLimit`, which counts nothing there if there is no room, and with `CheckRateLimit` and
// `Report` of `kuadrant.service.ratelimit.v1`. The service must have a limit with the same number
// for each amount; what a gateway may use is leased for many requests.
//
// It holds requests, tokens and money for all windows, of which a duration begins at its multiples.
// It has no bursts and no open requests, and leases are not given back before the window ends. It is as exact as
// the service's storage.
type Kuadrant struct {
	Service

	knownMu sync.Mutex
	known   map[grant.Counted]time.Time // which limits the service has, and since when that is known
}

// CaddyModule returns the Caddy module information.
func (*Kuadrant) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: limit.StoreNamespace + ".kuadrant", New: func() caddy.Module { return new(Kuadrant) }}
}

// Holds implements limit.Restricted.
func (s *Kuadrant) Holds(limits []*limit.Definition) error {
	for _, d := range limits {
		if err := counted("kuadrant", d); err != nil {
			return err
		}
		for i := range d.Amounts {
			if a := &d.Amounts[i]; a.Terms().Length%time.Second != 0 {
				return fmt.Errorf("limit %s: %s: store kuadrant knows windows of whole seconds; write another one in place of %s, or use store redis", d.Name, a.Unit, a.Window)
			}
		}
	}
	return nil
}

// Shared implements limit.Store.
func (s *Kuadrant) Shared() grant.Store { return s }

// ID implements grant.Store.
func (s *Kuadrant) ID() string { return "kuadrant " + s.URL + " " + s.Domain }

// Do implements grant.Store.
func (s *Kuadrant) Do(ctx context.Context, calls []grant.Call) []grant.Reply {
	return s.each(ctx, calls, s.raise)
}

// raise reports what was used beyond what is granted, and takes what is granted in addition. The
// service does not say how much is left: if there is no room for all, less is tried.
func (s *Kuadrant) raise(ctx context.Context, conn *grpc.ClientConn, c *grant.Call) grant.Reply {
	if err := s.knows(ctx, conn, c); err != nil {
		return grant.Reply{Err: err}
	}
	more := min(c.Target, c.Amount) - c.Claim // no holder has more than the limit, whatever others have
	if debt := c.Claim - c.Base; debt > 0 || more <= 0 {
		room, err := s.hit(ctx, conn, methodCheck, c, 1) // a service that fails is not to count the same overruns again and again
		if err == nil && debt > 0 {
			_, err = s.hit(ctx, conn, methodReport, c, debt)
		}
		switch {
		case err != nil:
			return grant.Reply{Err: err}
		case !room || more <= 0:
			return s.reply(c, 0, room)
		}
	}
	least := max(c.Least-c.Claim, 1)
	for last := int64(0); ; {
		if more < least {
			r := s.reply(c, 0, true)
			r.Total = max(r.Total, c.Amount-least+1)
			return r
		}
		fits, err := s.hit(ctx, conn, methodShouldRateLimit, c, more)
		switch {
		case err != nil:
			return grant.Reply{Err: err}
		case fits:
			r := s.reply(c, more, true)
			if last > 0 {
				r.Total = max(r.Total, c.Amount-(last-1)+more)
			}
			return r
		case more == least:
			more = 0
		default:
			last, more = more, max(more/4, least)
		}
	}
}

// reply is the reply if so much was granted. Others have what was known before, but for what
// there was room for.
func (*Kuadrant) reply(c *grant.Call, more int64, room bool) grant.Reply {
	r := grant.Reply{Granted: c.Claim + more, Total: min(c.Known+more, c.Amount), Gen: c.Gen}
	if !room {
		r.Total = c.Amount
	}
	return r
}

// hit makes a call of the service, and returns whether there was room.
func (s *Kuadrant) hit(ctx context.Context, conn *grpc.ClientConn, method string, c *grant.Call, hits int64) (room bool, err error) {
	req := s.request(c, hits)
	d := req.GetDescriptors()[0]
	d.Entries = append(d.Entries, &descriptor.RateLimitDescriptor_Entry{Key: "start", Value: strconv.FormatInt(c.Of.Start, 10)})
	res, err := s.invoke(ctx, conn, method, req)
	if err != nil {
		return false, err
	}
	switch res.GetOverallCode() {
	case rls.RateLimitResponse_OK:
		return true, nil
	case rls.RateLimitResponse_OVER_LIMIT:
		return false, nil
	}
	return false, fmt.Errorf("the service at %s answers with the code %s", s.URL, res.GetOverallCode())
}

// knows returns an error if the service has no such limit, or one with a higher number: it would say
// then that there is room. It is asked for more than the limit under a key that nobody uses.
func (s *Kuadrant) knows(ctx context.Context, conn *grpc.ClientConn, c *grant.Call) error {
	which := grant.Counted{Limit: c.Of.Limit, Unit: c.Of.Unit, Window: c.Of.Window}
	s.knownMu.Lock()
	since, known := s.known[which]
	s.knownMu.Unlock()
	if known && time.Since(since) < knownFor {
		return nil
	}
	probe := *c
	probe.Of.Hash, probe.Of.Start = "probe-"+rand.Text(), 0
	room, err := s.hit(ctx, conn, methodShouldRateLimit, &probe, c.Amount+1)
	switch {
	case err != nil:
		return err
	case room:
		return fmt.Errorf("%w: the service has no limit of at most %d in the namespace %q for limit %q, unit %q and window %q; add it there", grant.ErrCounter, c.Amount, s.Domain, c.Of.Limit, c.Of.Unit, c.Of.Window)
	}
	s.knownMu.Lock()
	defer s.knownMu.Unlock()
	if s.known == nil {
		s.known = make(map[grant.Counted]time.Time)
	}
	s.known[which] = time.Now()
	return nil
}

// Interface guards
var (
	_ limit.Restricted  = (*Kuadrant)(nil)
	_ grant.Store       = (*Kuadrant)(nil)
	_ caddy.Provisioner = (*Kuadrant)(nil)
)
