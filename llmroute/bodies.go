package llmroute

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

// budget bounds the request bodies that are held.
type budget struct {
	all       llmprovider.Budget
	strangers llmprovider.Budget            // for what a matcher reads of the unknown, within all
	metrics   atomic.Pointer[meter.Metrics] // to count refusals by, nil without an llm app
}

func acquireBudget() *budget {
	value, _, _ := budgets.LoadOrNew("", func() (caddy.Destructor, error) {
		b := new(budget)
		b.strangers.Within = &b.all
		b.set(0)
		return b, nil
	})
	return value.(*budget)
}

func releaseBudget() error {
	_, err := budgets.Delete("")
	return err
}

// Destruct implements caddy.Destructor. Bodies that are held go on.
func (b *budget) Destruct() error { return nil }

// set sets the bound in bytes, 0 for the default.
func (b *budget) set(n int64) {
	if n == 0 {
		n = memoryLimit() / bodiesShare
	}
	b.all.SetLimit(n)
	b.strangers.SetLimit(n / strangersShare)
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
var _ caddy.Destructor = (*budget)(nil)
