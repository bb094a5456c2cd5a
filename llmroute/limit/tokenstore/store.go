package tokenstore

import (
	"context"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/internal/service"
	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/limit/countup"
	"github.com/caddy-llm/gateway/llmroute/limit/grant"
)

func init() {
	caddy.RegisterModule(new(Store))
}

// Store keeps what was used in a token service: an HTTP service of your own that says
// whether a key may use tokens, and is told how many it used. What a gateway may use is leased to it for many
// requests, and told to the service when it is leased.
//
// It holds one limit of tokens, with one value as its key, in windows that begin at multiples of a
// duration, or of the calendar. The service's own rules hold, and for each gateway the limit's number. The
// service gets the value of the key as it is: text of clients.
type Store struct {
	// The service's address, such as `http://tokens.example.com:8080`. Requests go to
	// `/ratelimit` and `/update_ratelimit_record` below it.
	URL string `json:"url"`

	countup.Store

	client *service.Client
}

// CaddyModule returns the Caddy module information.
func (*Store) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: limit.StoreNamespace + ".token_service", New: func() caddy.Module { return new(Store) }}
}

// Provision sets up the store. It connects to nothing: the service may come later.
func (s *Store) Provision(caddy.Context) error {
	s.Store.Provision()
	s.client = service.New("token service", s.URL, maxResponse, countup.MaxCalls)
	return s.Check()
}

// Check reports what is wrong with the configuration, if anything.
func (s *Store) Check() error {
	if err := service.CheckURL(s.URL, "http://tokens.example.com:8080"); err != nil {
		return err
	}
	return s.Store.Check()
}

// Holds implements limit.Restricted.
func (*Store) Holds(limits []*limit.Definition) error {
	if len(limits) > 1 {
		return fmt.Errorf("limit %s: store token_service holds one limit, since its keys do not say whose they are; leave out the others, or use store redis", limits[1].Name)
	}
	for _, d := range limits {
		switch {
		case d.Concurrent > 0:
			return fmt.Errorf("limit %s: store token_service cannot count open requests; leave concurrent out, or use store redis", d.Name)
		case len(d.Amounts) > 1:
			return fmt.Errorf("limit %s: store token_service holds one amount; leave out the others, or use store redis", d.Name)
		case len(d.Key) > 1:
			return fmt.Errorf("limit %s: store token_service counts by one value; keep one key, or use store redis", d.Name)
		}
		a := &d.Amounts[0]
		switch t := a.Terms(); {
		case a.Unit != limit.UnitTokens && a.Unit != limit.UnitInput && a.Unit != limit.UnitOutput:
			return fmt.Errorf("limit %s: %s: store token_service counts tokens, input_tokens or output_tokens; write one of them, or use store redis", d.Name, a.Unit)
		case t.Burst:
			return fmt.Errorf("limit %s: %s: store token_service has no burst; leave it out, or use store redis", d.Name, a.Unit)
		case t.Length%time.Second != 0:
			return fmt.Errorf("limit %s: %s: store token_service knows windows of whole seconds; write another one instead of %s, or use store redis", d.Name, a.Unit, a.Window)
		}
	}
	return nil
}

// Shared implements limit.Store.
func (s *Store) Shared() grant.Store { return s }

// ID implements grant.Store.
func (s *Store) ID() string { return "token_service " + s.URL }

// Close implements grant.Store.
func (s *Store) Close() { s.client.Close() }

// Do implements grant.Store.
func (s *Store) Do(ctx context.Context, calls []grant.Call) []grant.Reply {
	return countup.Raise(calls, func(c *grant.Call) grant.Reply { return s.raise(ctx, c) })
}

// raise asks whether the key may go on, and records what was used beyond what is granted and, if
// it may, what is granted in addition. A service that fails is not told the same twice: it is asked first.
func (s *Store) raise(ctx context.Context, c *grant.Call) grant.Reply {
	key := c.Of.Limit
	if values := c.Of.Values(); len(values) > 0 {
		key = values[0]
	}
	allow, err := s.allow(ctx, key)
	if err != nil {
		return grant.Reply{Err: err}
	}
	more := min(c.Target, c.Amount) - c.Claim // no holder has more than the limit, whatever others have
	if !allow || more <= 0 || c.Claim+more < c.Least {
		more = 0
	}
	if used := max(c.Claim-c.Base, 0) + more; used > 0 {
		if err := s.record(ctx, key, c.Of.Unit, used); err != nil {
			return grant.Reply{Err: err}
		}
	}
	r := grant.Reply{Granted: c.Claim + more, Total: min(c.Known+more, c.Amount), Gen: c.Gen}
	if !allow {
		r.Total = c.Amount
	}
	return r
}

// Interface guards
var (
	_ limit.Restricted  = (*Store)(nil)
	_ grant.Store       = (*Store)(nil)
	_ caddy.Provisioner = (*Store)(nil)
)
