package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// observing is how much of what can be switched on is on: the access log, with
// the fields of llm_route, their prices and the status page, and traces.
type observing int

const (
	observesLittle observing = iota // what cannot be switched off: metrics
	observesLog
	observesTraces // and the log; every request is traced
)

// apply switches on in a configuration what is to be on.
func (o observing) apply(config object) {
	if o == observesLittle {
		return
	}
	logs := config["logging"].(object)["logs"].(object)
	logs["access"] = object{"writer": object{"output": "stdout"}, "include": array{"http.log.access"}}
	for _, one := range config["apps"].(object)["http"].(object)["servers"].(object) {
		server := one.(object)
		server["logs"] = object{}
		if o == observesTraces {
			route := server["routes"].(array)[0].(object)
			route["handle"] = append(array{object{"handler": "tracing", "span": "bench"}}, route["handle"].(array)...)
		}
	}
}

// prices is a file of prices that has the model that llm_route asks for.
func prices(dir string) (string, error) {
	name := filepath.Join(dir, "prices.yaml")
	return name, os.WriteFile(name, []byte("currency: USD\nprices:\n- {model: "+routeModel+", input: 2.50, cached: 1.25, output: 10}\n"), 0o600)
}

// observed are a gateway of each kind and what it observes.
type observed struct{ plain, route *side }

// startObserved starts the gateways.
func (s *site) startObserved(ctx context.Context, level observing, binary, dir string) (g observed, err error) {
	free, err := freePorts(2)
	if err != nil {
		return g, err
	}
	file, err := prices(dir)
	if err != nil {
		return g, err
	}
	plain, route := plainConfig(free[0], s.provider.ports, s.ca, s.wire), routeConfig(free[1], s.provider.ports, s.ca, s.wire)
	if level > observesLittle {
		llm := route["apps"].(object)["llm"].(object)
		llm["prices"], llm["status_listen"] = file, fmt.Sprintf("unix/%s/status-%d", dir, level)
	}
	level.apply(plain)
	level.apply(route)
	if g.plain, err = s.startSide(ctx, fmt.Sprintf("reverse_proxy-%d", level), binary, dir, free[0], plain); err != nil {
		return g, err
	}
	if g.route, err = s.startSide(ctx, fmt.Sprintf("llm_route-%d", level), binary, dir, free[1], route); err != nil {
		return g, err
	}
	g.route.counts = true
	return g, s.prepare(ctx, g.plain, g.route)
}

// measureObserving prints what it costs to switch on the access log, and traces,
// for llm_route and for reverse_proxy: the difference is what llm_route's own
// part of it costs.
func measureObserving(ctx context.Context, s *site, cases []benchCase, dir string, o *options, w io.Writer) error {
	levels := make([]observed, 3)
	levels[observesLittle] = observed{s.plain, s.route}
	for _, level := range []observing{observesLog, observesTraces} {
		var err error
		if levels[level], err = s.startObserved(ctx, level, o.binary, dir); err != nil {
			return err
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "CPU time of a request: median of %d rounds of %s (the middle half of them). %d CPUs shared by client, gateway and provider; %s, %s/%s.\n\n",
		o.rounds, o.duration, runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	b.WriteString("| Case | `llm_route`, all off | the access log adds | of it `llm_route`'s own | allocations | log and traces add | of it `llm_route`'s own | allocations |\n|---|--:|--:|--:|--:|--:|--:|--:|\n")
	type round [3]struct{ plain, route sample }
	all := make([][]round, len(cases))
	for n := range o.rounds {
		for i, c := range cases {
			var m round
			type measurement struct {
				side *side
				into *sample
			}
			var order []measurement
			for level := range levels {
				order = append(order, measurement{levels[level].plain, &m[level].plain}, measurement{levels[level].route, &m[level].route})
			}
			if n%2 == 1 {
				slices.Reverse(order)
			}
			for _, one := range order {
				var err error
				if *one.into, err = one.side.measure(ctx, c, o); err != nil {
					return fmt.Errorf("%s: %w", c.name(), err)
				}
			}
			all[i] = append(all[i], m)
			progress("round %d of %d  %-36s  CPU of llm_route %.0f, %.0f, %.0f, of reverse_proxy %.0f, %.0f, %.0f µs", n+1, o.rounds, c.name(),
				m[0].route.CPU, m[1].route.CPU, m[2].route.CPU, m[0].plain.CPU, m[1].plain.CPU, m[2].plain.CPU)
		}
	}
	for i, c := range cases {
		of := func(value func(*round) float64) []float64 {
			var values []float64
			for j := range all[i] {
				values = append(values, value(&all[i][j]))
			}
			slices.Sort(values)
			return values
		}
		fmt.Fprintf(&b, "| %s | %.0f µs", c.name(), median(of(func(r *round) float64 { return r[0].route.CPU })))
		for _, level := range []observing{observesLog, observesTraces} {
			adds := of(func(r *round) float64 { return r[level].route.CPU - r[0].route.CPU })
			own := of(func(r *round) float64 {
				return r[level].route.CPU - r[0].route.CPU - (r[level].plain.CPU - r[0].plain.CPU)
			})
			allocs := of(func(r *round) float64 {
				return r[level].route.Allocs - r[0].route.Allocs - (r[level].plain.Allocs - r[0].plain.Allocs)
			})
			fmt.Fprintf(&b, " | %s µs | **%s** µs | %+.0f", middle(adds), middle(own), median(allocs))
		}
		b.WriteString(" |\n")
	}
	b.WriteString("\nMetrics are always on. What is not `llm_route`'s own is what the same costs with `reverse_proxy`: Caddy's line in the log, and its span.\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// middle is the median of sorted values, and the middle half of them.
func middle(sorted []float64) string {
	n := len(sorted)
	return fmt.Sprintf("%.1f (%.1f to %.1f)", median(sorted), sorted[n/4], sorted[n-1-n/4])
}
