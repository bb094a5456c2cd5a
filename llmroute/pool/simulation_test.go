package pool

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// simulation is a pool of unequal servers in a time of its own. A server runs some
// requests at once and lets the others wait; one after the other it computes what of
// their prompts is not in its cache, and then generates for all of them, the slower
// server more slowly. Conversations come at random, have one of a few system prompts,
// and grow from turn to turn.
type simulation struct {
	random    *rand.Rand
	now       time.Time
	events    events
	servers   []*simServer
	choose    func(*simTurn) *simServer
	first     []float64 // times to first tokens in seconds
	hit, sent int       // tokens in the cache, and all of prompts
}

type simServer struct {
	endpoint *Endpoint
	speed    float64 // tokens of a prompt that are computed in a second
	slots    int
	waiting  []*simTurn
	running  int
	computed time.Time      // when the prompts that were taken up will be computed
	cache    map[uint64]int // tokens by conversation or system prompt
	order    []uint64       // of use, the newest last
	cached   int
}

type simTurn struct {
	conversation, system uint64
	turn, tokens         int
	came                 time.Time
}

type event struct {
	at time.Time
	do func()
}

type events []event

func (e events) Len() int           { return len(e) }
func (e events) Less(i, j int) bool { return e[i].at.Before(e[j].at) }
func (e events) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)        { *e = append(*e, x.(event)) }
func (e *events) Pop() (x any) {
	last := len(*e) - 1
	x, *e = (*e)[last], (*e)[:last]
	return x
}

const (
	systemTokens   = 2_000
	cacheTokens    = 400_000
	simTurns       = 8
	generate       = 4 * time.Second
	conversations  = 4_000
	betweenArrival = 450 * time.Millisecond
)

func (s *simulation) after(d time.Duration, do func()) {
	heap.Push(&s.events, event{s.now.Add(d), do})
}

// spread is a random time around d.
func (s *simulation) spread(d time.Duration) time.Duration {
	return time.Duration(s.random.ExpFloat64() * float64(d))
}

func (s *simulation) arrive(t *simTurn) {
	t.came = s.now
	server := s.choose(t)
	server.endpoint.inFlight.Add(1)
	server.waiting = append(server.waiting, t)
	s.work(server)
}

// work begins what waits as far as there are slots.
func (s *simulation) work(v *simServer) {
	for v.running < v.slots && len(v.waiting) > 0 {
		t := v.waiting[0]
		v.waiting = v.waiting[1:]
		v.running++
		known := max(v.cache[t.conversation], v.cache[t.system])
		s.hit += known
		s.sent += t.tokens
		begin := s.now
		if v.computed.After(begin) {
			begin = v.computed
		}
		v.computed = begin.Add(time.Duration(float64(t.tokens-known) / v.speed * float64(time.Second)))
		s.first = append(s.first, v.computed.Sub(t.came).Seconds())
		v.keep(t.system, systemTokens)
		v.keep(t.conversation, t.tokens)
		s.after(v.computed.Sub(s.now)+time.Duration(float64(s.spread(generate))*16000/v.speed), func() {
			v.running--
			v.endpoint.inFlight.Add(-1)
			if t.turn < simTurns {
				next := &simTurn{conversation: t.conversation, system: t.system, turn: t.turn + 1, tokens: t.tokens + 300 + s.random.IntN(1200)}
				s.after(s.spread(10*time.Second), func() { s.arrive(next) })
			}
			s.work(v)
		})
	}
}

func (v *simServer) keep(what uint64, tokens int) {
	v.cached += tokens - v.cache[what]
	v.cache[what] = tokens
	if i := slices.Index(v.order, what); i >= 0 {
		v.order = slices.Delete(v.order, i, i+1)
	}
	v.order = append(v.order, what)
	for v.cached > cacheTokens {
		v.cached -= v.cache[v.order[0]]
		delete(v.cache, v.order[0])
		v.order = v.order[1:]
	}
}

// prefix is that of the turn: after the system prompt, and after each turn.
func (t *simTurn) prefix() (p Prefix) {
	for i := range t.turn + 1 {
		h, size := t.system, systemTokens
		if i > 0 {
			h, size = mix(t.conversation<<8+uint64(i)), systemTokens+i*900
		}
		p.hashes[i], p.sizes[i] = mix(h), uint32(4*size)
	}
	p.n = t.turn + 1
	return p
}

// simulate returns the times to the first token at p50 and p99 in seconds, and which
// part of the prompts' tokens was in a cache.
func simulate(tb testing.TB, policy string) (p50, p99, hits float64) {
	p, endpoints := testPool(tb, 8)
	s := &simulation{random: rand.New(rand.NewPCG(1, 2)), now: time.Now()}
	byEndpoint := make(map[*Endpoint]*simServer)
	for i, e := range endpoints {
		v := &simServer{endpoint: e, speed: []float64{16000, 16000, 12000, 12000, 8000, 8000, 5000, 5000}[i], slots: 32, cache: make(map[uint64]int)}
		s.servers, byEndpoint[e] = append(s.servers, v), v
	}
	turn := 0
	s.choose = map[string]func(*simTurn) *simServer{
		"round robin": func(*simTurn) *simServer { turn++; return s.servers[turn%len(s.servers)] },
		"random":      func(*simTurn) *simServer { return s.servers[s.random.IntN(len(s.servers))] },
		"load": func(*simTurn) *simServer {
			e, _ := p.current.Load().choose(new(Key), nil, nil, s.now)
			return byEndpoint[e]
		},
		"prefix": func(t *simTurn) *simServer {
			e, _ := p.current.Load().choose(&Key{Prefix: t.prefix()}, p.registry.affinityTable(), nil, s.now)
			return byEndpoint[e]
		},
	}[policy]
	at := time.Duration(0)
	for i := range conversations {
		at += s.spread(betweenArrival)
		system := uint64(1 + s.random.IntN(4))
		s.after(at, func() {
			s.arrive(&simTurn{conversation: uint64(1000 + i), system: system, turn: 1, tokens: systemTokens + 300 + s.random.IntN(1200)})
		})
	}
	left := at + time.Minute
	for d := time.Duration(0); d < left; d += time.Second {
		s.after(d, func() {
			for _, v := range s.servers {
				v.endpoint.load.set(&values{waiting: int64(len(v.waiting)), running: int64(v.running), cache: int64(1e6 * v.cached / cacheTokens)}, ticks(s.now))
			}
		})
	}
	for len(s.events) > 0 {
		e := heap.Pop(&s.events).(event)
		s.now = e.at
		e.do()
	}
	slices.Sort(s.first)
	return s.first[len(s.first)/2], s.first[len(s.first)*99/100], float64(s.hit) / float64(s.sent)
}

// TestSimulation holds that the pool's own choice is worth it.
func TestSimulation(t *testing.T) {
	ownP50, ownP99, ownHits := simulate(t, "prefix")
	for _, policy := range []string{"round robin", "random"} {
		p50, p99, hits := simulate(t, policy)
		if ownP50*1.5 > p50 || ownP99*2 > p99 || ownHits < hits*1.5 {
			t.Errorf("own choice: p50 %.2f s, p99 %.2f s, hits %.2f; %s: p50 %.2f s, p99 %.2f s, hits %.2f", ownP50, ownP99, ownHits, policy, p50, p99, hits)
		}
	}
}

// BenchmarkSimulation shows the figures of each policy.
func BenchmarkSimulation(b *testing.B) {
	for _, policy := range []string{"round robin", "random", "load", "prefix"} {
		b.Run(policy, func(b *testing.B) {
			for b.Loop() {
				p50, p99, hits := simulate(b, policy)
				b.ReportMetric(p50, "p50-s")
				b.ReportMetric(p99, "p99-s")
				b.ReportMetric(hits, "hits")
			}
		})
	}
}
