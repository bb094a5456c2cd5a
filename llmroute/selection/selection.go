// Package selection has the policies that pick one of a rule's backends for an attempt:
// weighted and least_requests. Others are modules in the same namespace.
//
// It imports nothing of the gateway. Begin with Policy.
package selection

import (
	"math/bits"
	"math/rand/v2"
	"net/http"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
)

func init() {
	caddy.RegisterModule(new(Weighted))
	caddy.RegisterModule(LeastRequests{})
}

// Policy is a module in the llm.selection_policies namespace. It picks
// one of a rule's backends for an attempt. It is safe for concurrent use.
type Policy interface {
	// Select returns the index of one of the candidates. There are at least
	// two: those of the lowest priority that were not tried for this request
	// and are not cooling down. The slice is valid only during the call.
	Select(r *http.Request, candidates []Candidate) int
}

// Candidate is a backend that a policy may pick.
type Candidate struct {
	// Provider is the provider's name.
	Provider string
	// Weight is the backend's weight, at least 1.
	Weight uint32
	// InFlight is the number of attempts under way at the provider, from all
	// routes.
	InFlight int64

	// Index is the backend's place in the rule, from 0. It is not for the policy, which
	// returns an index in the slice.
	Index int
}

// golden is 2^64 divided by the golden ratio. Steps of it, wrapping around,
// spread evenly over every interval however many were taken (a Weyl sequence).
const golden = 0x9E3779B97F4A7C15

// sequence is a source of evenly spread numbers. It costs one atomic addition.
type sequence struct{ n atomic.Uint64 }

// start begins the sequence anywhere, so that rules which are replaced often do
// not favour their first backend.
func (s *sequence) start() { s.n.Store(rand.Uint64()) }

// below returns the next number, evenly spread over 0 to n-1.
func (s *sequence) below(n uint64) uint64 {
	hi, _ := bits.Mul64(s.n.Add(golden), n)
	return hi
}

// Weighted picks backends in proportion to their weights. The proportion is
// exact, not just likely: any run of requests departs from it by a few at most.
// It is the default.
type Weighted struct {
	// A sequence for each number of candidates: further attempts, which have
	// fewer, must not take steps of the first attempts' sequence.
	seqs [8]sequence
}

// CaddyModule returns the Caddy module information.
func (*Weighted) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "llm.selection_policies.weighted",
		New: func() caddy.Module { return new(Weighted) },
	}
}

// Provision sets up the policy.
func (p *Weighted) Provision(caddy.Context) error {
	for i := range p.seqs {
		p.seqs[i].start()
	}
	return nil
}

// Select implements Policy.
func (p *Weighted) Select(_ *http.Request, candidates []Candidate) int {
	var total uint64
	for i := range candidates {
		total += uint64(candidates[i].Weight)
	}
	n := p.seqs[min(len(candidates), len(p.seqs)-1)].below(total)
	for i := range candidates {
		w := uint64(candidates[i].Weight)
		if n < w {
			return i
		}
		n -= w
	}
	return len(candidates) - 1
}

// LeastRequests picks the backend whose provider has the fewest attempts under
// way in relation to the backend's weight. Among equal ones it picks at random.
type LeastRequests struct{}

// CaddyModule returns the Caddy module information.
func (LeastRequests) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "llm.selection_policies.least_requests",
		New: func() caddy.Module { return new(LeastRequests) },
	}
}

// Select implements Policy.
func (LeastRequests) Select(_ *http.Request, candidates []Candidate) int {
	best, equal := 0, uint64(1)
	for i := 1; i < len(candidates); i++ {
		a, b := &candidates[best], &candidates[i]
		// (a+1)/weightA compared with (b+1)/weightB, without division
		left, right := (a.InFlight+1)*int64(b.Weight), (b.InFlight+1)*int64(a.Weight)
		switch {
		case right < left:
			best, equal = i, 1
		case right == left:
			if equal++; rand.Uint64N(equal) == 0 {
				best = i
			}
		}
	}
	return best
}

// Interface guards
var (
	_ Policy            = (*Weighted)(nil)
	_ Policy            = (*LeastRequests)(nil)
	_ caddy.Provisioner = (*Weighted)(nil)
)
