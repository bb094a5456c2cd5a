package main

import (
	"context"
	"fmt"
	"time"
)

// sample is one measurement of one side.
type sample struct {
	Requests   int     `json:"requests"`
	Seconds    float64 `json:"seconds"`
	CPU        float64 `json:"cpu_us_per_request"`
	Allocs     float64 `json:"allocations_per_request"`
	Bytes      float64 `json:"allocated_bytes_per_request"`
	Throughput float64 `json:"requests_per_second"`
	Chunks     float64 `json:"chunks_per_answer"` // how often a stream was flushed, and one
	P50        float64 `json:"p50_ms"`
	P99        float64 `json:"p99_ms"`
}

// round is one measurement of both sides, one right after the other.
type round struct {
	Plain sample `json:"reverse_proxy"`
	Route sample `json:"llm_route"`
}

// measureAll measures all cases in each round, so that a disturbance of the
// machine spoils one round of some cases and not all rounds of one.
func measureAll(ctx context.Context, s *site, cases []benchCase, o *options) (*report, error) {
	r := newReport(o)
	for _, c := range cases {
		r.Cases = append(r.Cases, &caseReport{Name: c.name(), FirstEvent: c.shape.interval > 0})
	}
	began, then := time.Now(), s.busy()
	for n := range o.rounds {
		for i, c := range cases {
			var m round
			order := []func() error{
				func() (err error) { m.Plain, err = s.plain.measure(ctx, c, o); return err },
				func() (err error) { m.Route, err = s.route.measure(ctx, c, o); return err },
			}
			if n%2 == 1 { // so that neither side always comes second
				order[0], order[1] = order[1], order[0]
			}
			for _, one := range order {
				if err := one(); err != nil {
					return nil, fmt.Errorf("%s: %w", c.name(), err)
				}
			}
			r.Cases[i].Rounds = append(r.Cases[i].Rounds, m)
			progress("round %d of %d  %-36s  CPU %6.0f / %6.0f µs  allocations %5.0f / %5.0f  requests/s %6.0f / %6.0f", n+1, o.rounds, c.name(),
				m.Route.CPU, m.Plain.CPU, m.Route.Allocs, m.Plain.Allocs, m.Route.Throughput, m.Plain.Throughput)
		}
	}
	r.Others = s.busy().others(then, r.CPUs, time.Since(began).Seconds())
	return r, nil
}

// measure puts the case's load on the side.
func (g *side) measure(ctx context.Context, c benchCase, o *options) (sample, error) {
	m, err := g.measureLoad(ctx, c, o)
	if err != nil {
		err = fmt.Errorf("%s: %w", g.name, err)
		if log := g.lastLog(); len(log) > 0 {
			err = fmt.Errorf("%w; the end of its log:\n%s", err, log)
		}
	}
	return m, err
}

func (g *side) measureLoad(ctx context.Context, c benchCase, o *options) (m sample, err error) {
	if err := g.settle(ctx); err != nil {
		return m, err
	}
	l, err := g.connect(ctx, c)
	if err != nil {
		return m, err
	}
	defer l.close()
	idle, err := g.counters(ctx)
	if err != nil {
		return m, err
	}
	warm, err := l.run(ctx, o.warmUp())
	if err != nil {
		return m, err
	}
	// What lies between these two is what reading the counters costs.
	once, err := g.counters(ctx)
	if err != nil {
		return m, err
	}
	before, err := g.counters(ctx)
	if err != nil {
		return m, err
	}
	cpuBefore, err := g.cpuSeconds(ctx)
	if err != nil {
		return m, err
	}
	res, err := l.run(ctx, o.duration)
	if err != nil {
		return m, err
	}
	cpuAfter, err := g.cpuSeconds(ctx)
	if err != nil {
		return m, err
	}
	after, err := g.counters(ctx)
	if err != nil {
		return m, err
	}
	if err := g.checkUsage(ctx, idle.tokens, warm.requests+res.requests); err != nil {
		return m, err
	}
	n := float64(res.requests)
	return sample{
		Requests: res.requests, Seconds: res.seconds,
		CPU:        (cpuAfter - cpuBefore) * 1e6 / n,
		Allocs:     (after.mallocs - before.mallocs - (before.mallocs - once.mallocs)) / n,
		Bytes:      (after.bytes - before.bytes - (before.bytes - once.bytes)) / n,
		Throughput: n / res.seconds, Chunks: float64(res.chunks) / n, P50: res.quantile(.5), P99: res.quantile(.99),
	}, nil
}

// checkUsage checks that llm_route has counted the tokens of every response. It
// does so after the response's last byte, so the count may come a moment later.
func (g *side) checkUsage(ctx context.Context, before float64, requests int) error {
	if !g.counts {
		return nil
	}
	want := before + float64(requests)*completionTokens
	for try := 0; ; try++ {
		c, err := g.counters(ctx)
		if err != nil || c.tokens == want {
			return err
		}
		if try == 20 {
			return fmt.Errorf("%d answers reported %d completion tokens, but %.0f were counted",
				requests, requests*completionTokens, c.tokens-before)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
