package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// load is a number of open connections to one side.
type load struct {
	clients []*client
	request []byte
	want    *answer
	pace    time.Duration // between the response's events, 0 if it comes at once
}

func (g *side) connect(ctx context.Context, c benchCase) (*load, error) {
	l := &load{request: g.requests[c.shape], want: g.answers[c.shape], pace: c.shape.interval}
	for range c.conns {
		client, err := dial(ctx, g.ports.address(c.shape))
		if err != nil {
			l.close()
			return nil, fmt.Errorf("connecting to %s: %w", g.name, err)
		}
		l.clients = append(l.clients, client)
	}
	return l, nil
}

func (l *load) close() {
	for _, c := range l.clients {
		c.close()
	}
}

// maxLatencies bounds what one connection remembers. The requests beyond it
// count in everything but the latencies.
const maxLatencies = 1 << 20

// result is what a run of load gave.
type result struct {
	requests  int
	chunks    int // of all responses
	seconds   float64
	latencies []time.Duration // sorted
}

// run keeps every connection busy with one request after the other for d, and
// waits for the responses that are then under way. The latency of a paced stream
// is that of its first event.
func (l *load) run(ctx context.Context, d time.Duration) (result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		res result
		mu  sync.Mutex
		all sync.WaitGroup
	)
	began := time.Now()
	deadline := began.Add(d)
	for i, c := range l.clients {
		all.Go(func() {
			// Spread paced streams over the pause between two events, or the
			// events of all of them would come in bursts.
			time.Sleep(l.pace * time.Duration(i) / time.Duration(len(l.clients)))
			mine := make([]time.Duration, 0, 4096)
			n, before := 0, c.chunks
			for first := true; ctx.Err() == nil && (first || time.Now().Before(deadline)); first = false {
				t, err := c.do(l.request, l.want)
				if err != nil {
					cancel(err) // the first error is the one that is told
					return
				}
				n++
				if len(mine) == maxLatencies {
					continue
				}
				if l.pace > 0 {
					mine = append(mine, t.first)
				} else {
					mine = append(mine, t.whole)
				}
			}
			mu.Lock()
			res.requests += n
			res.chunks += c.chunks - before
			res.latencies = append(res.latencies, mine...)
			mu.Unlock()
		})
	}
	// A request that hangs must not outlive the benchmark.
	release := context.AfterFunc(ctx, l.close)
	all.Wait()
	release()
	res.seconds = time.Since(began).Seconds()
	slices.Sort(res.latencies)
	return res, context.Cause(ctx)
}

// quantile is the latency that the share q of the requests stayed within, in
// milliseconds.
func (r *result) quantile(q float64) float64 {
	i := min(int(q*float64(len(r.latencies))), len(r.latencies)-1)
	return float64(r.latencies[i]) / 1e6
}
