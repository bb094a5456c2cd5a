package main

import (
	"context"
	"fmt"
	"io"
	"time"
)

// openStreams is how many streams are open at the same time.
const openStreams = 1000

// footprint is what a process holds in memory, in bytes.
type footprint struct{ resident, inUse float64 }

// measureMemory opens streams that then stay silent, and prints what each of
// them costs a gateway.
func measureMemory(ctx context.Context, s *site, dir string, o *options, w io.Writer) error {
	lanes, err := s.startLanes(ctx, o.binary, dir)
	if err != nil {
		return err
	}
	translated := lanes[0].translated
	cost := make(map[*side]footprint)
	for _, g := range []*side{s.plain, s.route, translated} {
		progress("%s: opening %d streams", g.name, openStreams)
		one, err := g.streamCost(ctx, o.profile)
		if err != nil {
			return fmt.Errorf("%s: %w", g.name, err)
		}
		cost[g] = one
	}
	plain, route, other := cost[s.plain], cost[s.route], cost[translated]
	_, err = fmt.Fprintf(w, "Memory for each of %d open streams, connections and TLS included:\n\n"+
		"| | `llm_route` | `reverse_proxy` | ratio | `llm_route`, %s |\n|---|--:|--:|--:|--:|\n"+
		"| resident | %.1f KiB | %.1f KiB | %.2f | %.1f KiB |\n| Go heap and stacks in use | %.1f KiB | %.1f KiB | %.2f | %.1f KiB |\n", openStreams, lanes[0].name(),
		route.resident/1024, plain.resident/1024, route.resident/plain.resident, other.resident/1024,
		route.inUse/1024, plain.inUse/1024, route.inUse/plain.inUse, other.inUse/1024)
	return err
}

// streamCost is the growth of the process's memory with each open stream. Profiles are
// written to the folder, if it is not empty.
func (g *side) streamCost(ctx context.Context, profiles string) (footprint, error) {
	c := benchCase{open, openStreams}
	// The first stream brings what is made once.
	first, err := g.connect(ctx, benchCase{open, 1})
	if err != nil {
		return footprint{}, err
	}
	defer first.close()
	if err := first.clients[0].open(first.request, first.want); err != nil {
		return footprint{}, err
	}
	before, err := g.footprint(ctx)
	if err != nil {
		return footprint{}, err
	}
	l, err := g.connect(ctx, c)
	if err != nil {
		return footprint{}, err
	}
	defer l.close()
	for _, client := range l.clients {
		if err := client.open(l.request, l.want); err != nil {
			return footprint{}, err
		}
	}
	after, err := g.footprint(ctx)
	if err != nil {
		return footprint{}, err
	}
	if profiles != "" {
		if err := g.profileOpen(ctx, profiles); err != nil {
			return footprint{}, err
		}
	}
	return footprint{(after.resident - before.resident) / openStreams, (after.inUse - before.inUse) / openStreams}, nil
}

// footprint collects garbage twice, since what is pooled survives once, and
// reads what is left.
func (g *side) footprint(ctx context.Context) (footprint, error) {
	for range 2 {
		if err := g.settle(ctx); err != nil {
			return footprint{}, err
		}
	}
	time.Sleep(200 * time.Millisecond)
	c, err := g.counters(ctx)
	return footprint{c.resident, c.heap + c.stack}, err
}
