// Package inbound holds the bodies of clients' requests: the bound on all that are held at once,
// what is done about one that is refused, and the matcher llm_model, which reads a body before the
// request has a route, and leaves it to those who come after.
//
// Of the gateway it imports llmprovider, authz and virtualkey, by which clients are known, matcher
// for names with a wildcard, and meter, which counts what is refused. Begin with Budget, then
// ModelMatcher.
package inbound

import (
	"math"
	"runtime/debug"
	"sync/atomic"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/meter"
)

const (
	// bodiesShare is the part of the memory limit that request bodies may take by
	// default: 1/bodiesShare.
	bodiesShare = 4
	// strangersShare is the part of that for bodies that a matcher reads before
	// anything has told who sends them.
	strangersShare = 4
	// assumedMemory is what is taken for the machine's memory if it cannot be found
	// out, in bytes.
	assumedMemory = 2 << 30
)

// budgets holds the one bound for request bodies of the process: requests outlive
// the configuration that they began with.
var budgets = caddy.NewUsagePool()

// Budget bounds the request bodies that are held.
type Budget struct {
	// All is for all of them.
	All llmprovider.Budget
	// Strangers is for what a matcher reads of the unknown, within All.
	Strangers llmprovider.Budget
	// Metrics are to count refusals by, nil without an llm app.
	Metrics atomic.Pointer[meter.Metrics]
}

// AcquireBudget returns the process's budget. Each call is paired with one of ReleaseBudget.
func AcquireBudget() *Budget {
	value, _, _ := budgets.LoadOrNew("", func() (caddy.Destructor, error) {
		b := new(Budget)
		b.Strangers.Within = &b.All
		b.Set(0)
		return b, nil
	})
	return value.(*Budget)
}

// ReleaseBudget gives back what AcquireBudget returned.
func ReleaseBudget() error {
	_, err := budgets.Delete("")
	return err
}

// Destruct implements caddy.Destructor. Bodies that are held go on.
func (b *Budget) Destruct() error { return nil }

// Set sets the bound in bytes, 0 for the default.
func (b *Budget) Set(n int64) {
	if n == 0 {
		n = memoryLimit() / bodiesShare
	}
	b.All.SetLimit(n)
	b.Strangers.SetLimit(n / strangersShare)
}

// memoryLimit is how much memory the process may use: GOMEMLIMIT, which Caddy's
// command sets by itself, the container's limit, or the machine's memory.
func memoryLimit() int64 {
	if n := debug.SetMemoryLimit(-1); n < math.MaxInt64 {
		return n
	}
	if n, err := memlimit.ApplyFallback(memlimit.FromCgroup, memlimit.FromSystem)(); err == nil && n > 0 && n < math.MaxInt64 {
		return int64(n)
	}
	return assumedMemory
}

// Interface guards
var _ caddy.Destructor = (*Budget)(nil)
