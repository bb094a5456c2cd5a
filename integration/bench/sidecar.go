package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"
)

// podCase is a kind of call from an application in a pod.
type podCase struct {
	passed bool // to a host without a route
	shape  *shape
	kept   bool
	conns  int
}

func (c podCase) name() string {
	what, how := "provider", "new connections"
	if c.passed {
		what = "other host"
	}
	if c.kept {
		how = fmt.Sprintf("c%d", c.conns)
	}
	return fmt.Sprintf("%s, %s, %s", what, c.shape.name, how)
}

func podCases() []podCase {
	return []podCase{
		{false, small, true, 1}, {false, small, true, 16}, {false, small, false, 1}, {false, medium, true, 1}, {false, events, true, 1},
		{true, small, true, 1}, {true, small, true, 16}, {true, small, false, 1}, {true, medium, true, 1}, {true, large, true, 1}, {true, events, true, 1},
	}
}

// podRound is one measurement without and one with the sidecar.
type podRound struct{ without, with callsMade }

// measureSidecar compares calls from a pod through its sidecar with the
// application's own, and prints the ratios.
func measureSidecar(ctx context.Context, o *options, dir string, w io.Writer) error {
	var cases []podCase
	for _, c := range podCases() {
		if o.pattern.MatchString(c.name()) {
			cases = append(cases, c)
		}
	}
	if len(cases) == 0 {
		return fmt.Errorf("-cases %q matches none of the sidecar's cases, such as %q", o.cases, podCases()[0].name())
	}
	p, err := startPod(ctx, o.binary, dir, o.wire())
	if err != nil {
		return err
	}
	defer p.stop()
	all := make([][]podRound, len(cases))
	for n := range o.rounds {
		for i, c := range cases {
			var m podRound
			order := []func() error{
				func() (err error) { m.without, err = p.call(ctx, c, false, o); return err },
				func() (err error) { m.with, err = p.call(ctx, c, true, o); return err },
			}
			if n%2 == 1 {
				slices.Reverse(order)
			}
			for _, one := range order {
				if err := one(); err != nil {
					return fmt.Errorf("%s: %w; the end of the sidecar's log:\n%s", c.name(), err, p.gateway.lastLog())
				}
			}
			if err := sameAnswer(m.without.Answer, m.with.Answer); err != nil {
				return fmt.Errorf("%s: the response through the sidecar is another one: %w", c.name(), err)
			}
			all[i] = append(all[i], m)
			progress("round %d of %d  %-44s  p50 %.3f / %.3f ms  p99 %.3f / %.3f ms  CPU %.0f + %.0f / %.0f µs", n+1, o.rounds, c.name(),
				m.with.P50, m.without.P50, m.with.P99, m.without.P99, m.with.CPU, m.with.Gateway, m.without.CPU)
		}
	}
	return writePod(w, cases, all, o)
}

// call has the application call, with or without the sidecar.
func (p *pod) call(ctx context.Context, c podCase, sidecar bool, o *options) (m callsMade, err error) {
	if err := p.capture(ctx, sidecar); err != nil {
		return m, err
	}
	i := slices.Index(podShapes, c.shape)
	spec := calls{Shape: i, Kept: c.kept, Conns: c.conns, WarmUp: o.warmUp(), Duration: o.duration}
	switch {
	case c.passed:
		spec.URL, spec.Model = "http://"+otherHost(i)+"/v1/chat/completions", clientModel
	case sidecar:
		spec.URL, spec.Model = "http://"+providerHost(i)+"/", clientModel
	default:
		spec.URL, spec.Model, spec.Key = "https://"+providerHost(i)+"/v1/chat/completions", routeModel, providerKey
	}
	if sidecar {
		spec.Gateway = p.gateway.cmd.Process.Pid
	}
	text, err := json.Marshal(&spec)
	if err != nil {
		return m, err
	}
	cmd := p.command(ctx, p.Pod, appUID, p.application)
	cmd.Env = append(cmd.Env, appVariable+"="+string(text))
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return m, fmt.Errorf("the application: %w: %s", err, said.Bytes())
	}
	return m, json.Unmarshal(out.Bytes(), &m)
}

// sameAnswer compares two responses, but for their ids and times.
func sameAnswer(a, b []byte) error {
	want, err := newAnswer("", a)
	if err != nil {
		return err
	}
	check := checker{want: want}
	if err := check.take(b); err != nil {
		return err
	}
	return check.end()
}

// writePod prints the table.
func writePod(w io.Writer, cases []podCase, all [][]podRound, o *options) error {
	var b strings.Builder
	fmt.Fprintf(&b, "With a sidecar divided by without one: median of %d rounds of %s (lowest–highest). %d CPUs shared by application, sidecar and provider; %s, %s/%s.\n\n",
		o.rounds, o.duration, runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	b.WriteString("| Case | p50 | of | p99 | of | CPU of application and sidecar | of | of it the sidecar's |\n|---|--:|--:|--:|--:|--:|--:|--:|\n")
	for i, c := range cases {
		ratios := func(value func(*callsMade) float64) (r ratio, of float64) {
			var divided, without []float64
			for j := range all[i] {
				divided = append(divided, value(&all[i][j].with)/value(&all[i][j].without))
				without = append(without, value(&all[i][j].without))
			}
			return ratio{median(divided), slices.Min(divided), slices.Max(divided)}, median(without)
		}
		p50, of50 := ratios(func(m *callsMade) float64 { return m.P50 })
		p99, of99 := ratios(func(m *callsMade) float64 { return m.P99 })
		cpu, ofCPU := ratios(func(m *callsMade) float64 { return m.CPU + m.Gateway })
		var gateway []float64
		for j := range all[i] {
			gateway = append(gateway, all[i][j].with.Gateway)
		}
		fmt.Fprintf(&b, "| %s | **%.2f** (%.2f–%.2f) | %.2f ms | %s | %.2f ms | **%.2f** (%.2f–%.2f) | %.0f µs | %.0f µs |\n", c.name(),
			p50.Median, p50.Min, p50.Max, of50, p99, of99, cpu.Median, cpu.Min, cpu.Max, ofCPU, median(gateway))
	}
	b.WriteString("\n\"provider\" compares an intercepted plain HTTP call with the application's own call over TLS; \"other host\" compares a call that is passed on with one that no sidecar sees. " +
		"\"c16\" is 16 persistent connections with one call at a time each; \"of\" is the value without a sidecar.\n")
	if o.duration < time.Second || o.rounds < 3 {
		b.WriteString("\nToo few and too short rounds for a judgement: this run shows that everything works.\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
