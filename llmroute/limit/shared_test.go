package limit

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmroute/limit/grant"
)

// network is the way to a shared store: it loses calls and replies, delays calls until
// after later ones, and makes them twice.
type network struct {
	*StoreModel
	rng  *rand.Rand
	bad  bool         // it does all that
	cut  bool         // nothing passes
	late []grant.Call // calls whose replies nobody waits for any more

	before  func() // a round of calls, if not nil
	foreign string // the end of a key that is unusable, and that of the gateways then is too
}

func (n *network) Do(_ context.Context, calls []grant.Call) []grant.Reply {
	if n.before != nil {
		n.before()
	}
	replies := make([]grant.Reply, len(calls))
	for i := range calls {
		switch {
		case n.foreign != "" && strings.HasSuffix(calls[i].Key, n.foreign):
			replies[i].Err = fmt.Errorf("a key: %w", grant.ErrCounter)
			continue
		case n.cut || n.bad && n.rng.IntN(6) == 0: // the call is lost, for now
			n.late = append(n.late, calls[i])
			replies[i].Err = errLost
			continue
		}
		for n.bad && len(n.late) > 0 && n.rng.IntN(3) == 0 {
			n.deliver()
		}
		replies[i] = n.One(&calls[i])
		if n.bad && n.rng.IntN(6) == 0 { // the reply is lost
			replies[i] = grant.Reply{Err: errLost}
		}
		if n.bad && n.rng.IntN(6) == 0 { // and the call comes again
			n.late = append(n.late, calls[i])
		}
	}
	return replies
}

// deliver makes one of the late calls.
func (n *network) deliver() {
	i := n.rng.IntN(len(n.late))
	n.One(&n.late[i])
	if n.rng.IntN(2) == 0 {
		n.late = append(n.late[:i], n.late[i+1:]...)
	}
}

func (n *network) Gateways(ctx context.Context, id string, gone bool) (int, error) {
	switch {
	case n.cut:
		return 0, errLost
	case n.foreign != "":
		return 0, grant.ErrCounter
	}
	return n.StoreModel.Gateways(ctx, id, gone)
}

func (n *network) Keys(ctx context.Context, prefix string) ([]string, error) {
	if n.cut {
		return nil, errLost
	}
	return n.StoreModel.Keys(ctx, prefix)
}

// fleet are gateways that share limits. Nothing runs by itself: requests and rounds of
// calls happen when the test has them happen.
type fleet struct {
	clock *clock
	net   *network
	defs  []*Definition
	each  []*replica
}

type replica struct {
	e    *Engine
	s    *Set
	open []*Reservation
	part int64 // of the limit that it may have used without the store
}

func newFleet(t testing.TB, gateways int, seed uint64, defs ...*Definition) *fleet {
	t.Helper()
	f := &fleet{clock: &clock{t: time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)}, defs: defs}
	f.net = &network{StoreModel: NewStoreModel(f.clock.now), rng: rand.New(rand.NewPCG(seed, 3))}
	for range gateways {
		f.each = append(f.each, f.begin(t))
	}
	for _, r := range f.each {
		r.s.sharing.tick()
	}
	return f
}

func (f *fleet) begin(t testing.TB) *replica {
	t.Helper()
	e := newEngine(f.clock.now)
	c := &Config{Limits: f.defs}
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	s := e.Compile(c, f.net)
	s.sharing.logger = zap.NewNop()
	s.sharing.stop = make(chan struct{}) // nothing runs
	s.sharing.tick()
	return &replica{e: e, s: s}
}

// reserve makes the rounds of calls that the request waits for.
func (r *replica) reserve(t testing.TB, req *Request) (*Reservation, *Refusal) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done, ended := make(chan struct{}), make(chan struct{})
	go func() { // as sharing.run does
		defer close(ended)
		for {
			select {
			case <-r.s.sharing.wake:
				r.s.sharing.flush()
			case <-done:
				select { // what was asked for, and not waited for
				case <-r.s.sharing.wake:
					r.s.sharing.flush()
				default:
				}
				return
			}
		}
	}()
	got, refused := r.s.Reserve(ctx, req)
	close(done)
	<-ended
	return got, refused
}

// TestSharedHolds lets several gateways spend from one limit over a bad network, with
// crashes, resumptions and partitions. What all of them charge in a window is at most the
// limit and the overruns that were recorded, and in the end nothing is reserved.
func TestSharedHolds(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 11))
		limit := int64(300 + rng.IntN(6000))
		failure := []string{OnFailureDeny, OnFailureDeny, OnFailureShare}[rng.IntN(3)]
		unit := []Unit{UnitTokens, UnitCost}[rng.IntN(2)]
		amount := Number(fmt.Sprint(limit))
		if unit == UnitCost {
			amount = Number(fmt.Sprintf("0.%09d", limit*1000)) // microunits
		}
		f := newFleet(t, 1+rng.IntN(4), seed, &Definition{Name: "a", Amounts: one(unit, string(amount), "month"), OnStoreFailure: failure, Concurrent: 1000})
		f.net.bad = true
		charged, overrun, shared := int64(0), int64(0), int64(0)
		price := &Price{Input: 1_000_000, Output: 1_000_000} // a micro for a token
		end := func(r *replica, i int, used int64) {
			got := r.open[i]
			r.open = append(r.open[:i], r.open[i+1:]...)
			got.Charge(Metered, Usage{Output: used, Cost: -1})
			charged += used
			overrun += max(used-got.req.Output, 0)
			got.End()
		}
		for range 1500 {
			r := f.each[rng.IntN(len(f.each))]
			switch what := rng.IntN(40); {
			case what < 18:
				req := request(subject{}, 0, 1+rng.Int64N(60))
				req.Price = price
				if got, refused := r.reserve(t, req); refused == nil {
					if got.holds[0].failed { // this process may spend its part
						if failure == OnFailureDeny {
							t.Fatalf("seed %d: admitted without the store", seed)
						}
						part := limit / max(r.s.sharing.gateways.Load(), 1)
						shared, r.part = shared+max(part-r.part, 0), max(part, r.part)
					}
					r.open = append(r.open, got)
				} else {
					got.End()
				}
			case what < 32 && len(r.open) > 0:
				i := rng.IntN(len(r.open))
				used := rng.Int64N(r.open[i].req.Output + 1)
				if rng.IntN(20) == 0 {
					used += rng.Int64N(50) // more than was reserved
				}
				end(r, i, used)
			case what < 36:
				r.s.sharing.tick()
				r.s.sharing.flush()
			case what == 36:
				f.clock.add(time.Duration(rng.IntN(3000)) * time.Millisecond)
			case what == 37 && len(f.net.late) > 0:
				f.net.deliver()
			case what == 38 && rng.IntN(3) == 0:
				f.net.cut = !f.net.cut
			case what == 39 && rng.IntN(6) == 0: // a crash: open requests use what they have reserved
				for len(r.open) > 0 {
					charged += r.open[0].req.Output
					r.open = r.open[1:]
				}
				*r = *f.begin(t)
			}
			if charged > limit+overrun+shared {
				t.Fatalf("seed %d: %d charged of %d, %d are overruns", seed, charged, limit, overrun)
			}
		}
		f.net.cut, f.net.bad = false, false
		for _, r := range f.each {
			for len(r.open) > 0 {
				end(r, 0, 0)
			}
			f.clock.add(5 * time.Second)
			r.s.sharing.tick()
			r.s.sharing.flush()
			for _, a := range r.s.View()[0].Amounts {
				if a.Reserved != "0" {
					t.Fatalf("seed %d: %+v stays reserved", seed, a)
				}
			}
		}
		if charged > limit+overrun+shared {
			t.Fatalf("seed %d: in the end %d charged of %d, %d are overruns", seed, charged, limit, overrun)
		}
	}
}
