// Package countup is what stores have in common that share limits in a service which only
// counts up: how many gateways use it, and what it cannot do.
//
// It imports the neighbours limit and grant, whose interfaces Store it implements in part, and
// internal/options. Begin with Store.
package countup

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/sync/errgroup"

	"github.com/caddy-llm/gateway/internal/options"
	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/limit/grant"
)

const (
	// MaxCalls bounds how many calls of a service are under way at once.
	MaxCalls = 64
	// maxGateways bounds Store.GatewayCount.
	maxGateways = 100_000
)

// Store is the part of a store that does not depend on its service's protocol.
type Store struct {
	// How many gateways use the service, which does not count them: for
	// `on_store_failure share`, and so that no gateway leases too much. Default: 1.
	GatewayCount int `json:"gateways,omitempty"`
}

// Provision sets the default.
func (s *Store) Provision() {
	if s.GatewayCount == 0 {
		s.GatewayCount = 1
	}
}

// Check reports what is wrong with the configuration, if anything.
func (s *Store) Check() error {
	if s.GatewayCount < 0 || s.GatewayCount > maxGateways {
		return fmt.Errorf("gateways is %d; write a number from 1 to %d", s.GatewayCount, maxGateways)
	}
	return nil
}

// Option reads: gateways <number>
func (s *Store) Option() options.Option {
	return options.Option{Name: "gateways", Parse: options.Value(&s.GatewayCount, "a number of gateways, from 1 to 100000", options.Number(1, maxGateways))}
}

// Storage implements limit.Store: there is none; all is in the service.
func (*Store) Storage(caddy.Context) limit.Storage { return nil }

// Traits implements grant.Store.
func (s *Store) Traits() grant.Traits {
	return grant.Traits{CountsUp: true, Gateways: s.GatewayCount}
}

// Gateways implements grant.Store. It is not called.
func (s *Store) Gateways(context.Context, string, bool) (int, error) { return s.GatewayCount, nil }

var errChange = errors.New("the service only counts up; change the counter there, or use store redis")

// Keys implements grant.Store: the service does not say which it has.
func (*Store) Keys(context.Context, string) ([]string, error) { return nil, errChange }

// Raise makes the calls with raise, which is given one that raises the counter of a window, many
// at once. Other calls are rejected.
func Raise(calls []grant.Call, raise func(*grant.Call) grant.Reply) []grant.Reply {
	replies := make([]grant.Reply, len(calls))
	var group errgroup.Group
	group.SetLimit(MaxCalls)
	for i := range calls {
		if calls[i].Op != grant.OpRaise || calls[i].Sort != grant.SortWindow {
			replies[i].Err = errChange
			continue
		}
		group.Go(func() error {
			replies[i] = raise(&calls[i])
			return nil
		})
	}
	_ = group.Wait() // each reply has its own error
	return replies
}
