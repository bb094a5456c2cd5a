package main

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestReport(t *testing.T) {
	r := newReport(&options{rounds: 3, duration: time.Second})
	c := &caseReport{Name: "300 B, c16"}
	for _, cpu := range []float64{90, 50, 80} {
		c.Rounds = append(c.Rounds, round{
			Plain: sample{CPU: 100, Allocs: 200, Throughput: 1000, P50: 1, P99: 2},
			Route: sample{CPU: cpu, Allocs: 100, Throughput: 1500, P50: 1, P99: 3},
		})
	}
	r.Cases = append(r.Cases, c)
	var table, doc strings.Builder
	if err := r.writeMarkdown(&table); err != nil {
		t.Fatal(err)
	}
	const want = "| 300 B, c16 | **0.80** (0.50–0.90) | 100 µs | 0.50 (0.50–0.50) | 200 | 1.50 (1.50–1.50) | 1.00 (1.00–1.00) | 1.50 (1.50–1.50) |\n"
	if !strings.Contains(table.String(), want) {
		t.Errorf("no line\n%s in\n%s", want, table.String())
	}
	if err := r.writeJSON(&doc); err != nil {
		t.Fatal(err)
	}
	var back report
	if err := json.Unmarshal([]byte(doc.String()), &back); err != nil || back.Cases[0].Ratios["cpu"] != (ratio{.8, .5, .9}) || len(back.Cases[0].Rounds) != 3 {
		t.Errorf("%v: %s", err, doc.String())
	}
}

func TestMedian(t *testing.T) {
	for _, tc := range []struct {
		values []float64
		want   float64
	}{{[]float64{3}, 3}, {[]float64{4, 1}, 2.5}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 9, 2}, 3}} {
		if got := median(tc.values); got != tc.want {
			t.Errorf("median of %v is %v, want %v", tc.values, got, tc.want)
		}
	}
}

func TestSumAddsUpTheSeriesOfOneMetric(t *testing.T) {
	text := []byte("# HELP a_total help\n# TYPE a_total counter\na_total{x=\"a b\"} 1.5e+06\na_total{x=\"2\"} 5\na_total_more 7\nb 3\n")
	for name, want := range map[string]float64{"a_total": 1500005, "b": 3, "absent": 0} {
		if got, err := sum(text, name); err != nil || got != want {
			t.Errorf("%s is %v, %v, want %v", name, got, err, want)
		}
	}
}

func TestBodiesHaveTheirSize(t *testing.T) {
	for _, s := range shapes {
		body := s.body(clientModel, s.stream, s.askUsage)
		if len(body) != s.request || !json.Valid(body) {
			t.Errorf("%s: %d bytes, want %d; valid: %v", s.name, len(body), s.request, json.Valid(body))
		}
	}
}

func TestChoose(t *testing.T) {
	for pattern, want := range map[string]int{"": len(allCases()), "^300 B": 3, "c16$": 5, "no such": 0} {
		if got := len(choose(allCases(), regexp.MustCompile(pattern))); got != want {
			t.Errorf("%q: %d cases, want %d", pattern, got, want)
		}
	}
}
