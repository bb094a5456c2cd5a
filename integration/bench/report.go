package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report is everything that was measured.
type report struct {
	CPUs     int           `json:"cpus"`
	Platform string        `json:"platform"`
	Go       string        `json:"go"`
	Provider string        `json:"provider"`                     // the protocol it speaks
	Others   float64       `json:"cpu_share_of_other_processes"` // of all CPUs, 0 to 1
	Rounds   int           `json:"rounds"`
	Duration string        `json:"duration"`
	Cases    []*caseReport `json:"cases"`

	quick bool
}

type caseReport struct {
	Name       string           `json:"name"`
	FirstEvent bool             `json:"latency_is_to_first_event"`
	Rounds     []round          `json:"rounds"`
	Ratios     map[string]ratio `json:"ratios"`
}

// ratio is llm_route's value divided by reverse_proxy's: the median of all
// rounds, the lowest and the highest.
type ratio struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

func (r ratio) String() string { return fmt.Sprintf("%.2f (%.2f–%.2f)", r.Median, r.Min, r.Max) }

func newReport(o *options) *report {
	return &report{
		Provider: string(o.wire()), CPUs: runtime.NumCPU(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(),
		Rounds: o.rounds, Duration: o.duration.String(), quick: o.duration < time.Second || o.rounds < 3,
	}
}

// The columns of ratios.
var columns = []struct {
	key, title string
	value      func(*sample) float64
}{
	{"cpu", "CPU per request", func(s *sample) float64 { return s.CPU }},
	{"allocations", "Allocations", func(s *sample) float64 { return s.Allocs }},
	{"throughput", "Throughput", func(s *sample) float64 { return s.Throughput }},
	{"p50", "p50", func(s *sample) float64 { return s.P50 }},
	{"p99", "p99", func(s *sample) float64 { return s.P99 }},
}

// compare works out the ratios.
func (c *caseReport) compare() {
	c.Ratios = make(map[string]ratio)
	for _, col := range columns {
		values := make([]float64, 0, len(c.Rounds))
		for i := range c.Rounds {
			values = append(values, col.value(&c.Rounds[i].Route)/col.value(&c.Rounds[i].Plain))
		}
		c.Ratios[col.key] = ratio{median(values), slices.Min(values), slices.Max(values)}
	}
}

// median sorts the values and returns the middle one.
func median(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// plain is the median of reverse_proxy's own values.
func (c *caseReport) plain(value func(*sample) float64) float64 {
	values := make([]float64, 0, len(c.Rounds))
	for i := range c.Rounds {
		values = append(values, value(&c.Rounds[i].Plain))
	}
	return median(values)
}

// writeMarkdown prints the table.
func (r *report) writeMarkdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "`llm_route` divided by `reverse_proxy`: median of %d rounds of %s (lowest–highest). The provider speaks %s. %d CPUs shared by client, gateway and provider; %s, %s.\n\n",
		r.Rounds, r.Duration, r.Provider, r.CPUs, r.Go, r.Platform)
	b.WriteString("| Case | CPU per request | of | Allocations | of | Throughput | p50 | p99 |\n|---|--:|--:|--:|--:|--:|--:|--:|\n")
	footnote := false
	for _, c := range r.Cases {
		c.compare()
		name := c.Name
		if c.FirstEvent {
			name, footnote = name+" ¹", true
		}
		fmt.Fprintf(&b, "| %s | **%.2f** (%.2f–%.2f) | %.0f µs | %s | %.0f | %s | %s | %s |\n", name,
			c.Ratios["cpu"].Median, c.Ratios["cpu"].Min, c.Ratios["cpu"].Max, c.plain(columns[0].value),
			c.Ratios["allocations"], c.plain(columns[1].value), c.Ratios["throughput"], c.Ratios["p50"], c.Ratios["p99"])
	}
	b.WriteString("\n\"c16\" is 16 connections with one request at a time each; \"of\" is `reverse_proxy`'s own value; lower is better, except for throughput.\n")
	if footnote {
		b.WriteString("¹ p50 and p99 are those of the first event: the whole takes as long as the provider takes.\n")
	}
	if r.Others > .1 {
		fmt.Fprintf(&b, "\nOther processes had %.0f %% of the machine's CPU time: CPU times and latencies are less certain than on an idle one.\n", r.Others*100)
	}
	if r.quick {
		b.WriteString("\nToo few and too short rounds for a judgement: this run shows that everything works.\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeJSON writes all measurements.
func (r *report) writeJSON(w io.Writer) error {
	for _, c := range r.Cases {
		c.compare()
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}
