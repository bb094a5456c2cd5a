package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// counters are what a process says of itself on Caddy's metrics endpoint.
type counters struct {
	mallocs, bytes float64 // allocations so far
	cpu            float64 // seconds, to 10 ms
	resident       float64 // bytes
	heap, stack    float64 // bytes in use
	tokens         float64 // completion tokens that llm_route counted
}

func (p *process) counters(ctx context.Context) (counters, error) {
	text, err := p.admin(ctx, "/metrics")
	if err != nil {
		return counters{}, err
	}
	var c counters
	for _, m := range []struct {
		into *float64
		name string
	}{
		{&c.mallocs, "go_memstats_mallocs_total"}, {&c.bytes, "go_memstats_alloc_bytes_total"}, {&c.cpu, "process_cpu_seconds_total"},
		{&c.resident, "process_resident_memory_bytes"}, {&c.heap, "go_memstats_heap_inuse_bytes"}, {&c.stack, "go_memstats_stack_inuse_bytes"},
		{&c.tokens, "asm_llm_proxy_completion_tokens"},
	} {
		if *m.into, err = sum(text, m.name); err != nil {
			return c, err
		}
	}
	if c.mallocs == 0 || c.cpu == 0 {
		return c, fmt.Errorf("%s: its metrics lack what Go and the process use", p.name)
	}
	return c, nil
}

// sum adds up all series of a metric in Prometheus's text format.
func sum(text []byte, name string) (total float64, err error) {
	for line := range bytes.Lines(text) {
		rest, ok := bytes.CutPrefix(line, []byte(name))
		if !ok || len(rest) == 0 || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		value := rest[bytes.LastIndexByte(rest, ' ')+1:]
		n, err := strconv.ParseFloat(string(bytes.TrimSpace(value)), 64)
		if err != nil {
			return 0, fmt.Errorf("metric %s: %w", name, err)
		}
		total += n
	}
	return total, nil
}

// cpuSeconds is the CPU time of the process so far: on Linux the sum of what
// the scheduler counted for its threads, in nanoseconds (the threads of a Go
// program do not end). Elsewhere it is what the process's metrics say.
func (p *process) cpuSeconds(ctx context.Context) (float64, error) {
	if total, err := schedSeconds(p.cmd.Process.Pid); err != nil || total > 0 {
		return total, err
	}
	c, err := p.counters(ctx)
	return c.cpu, err
}

// schedSeconds is the CPU time of a process as Linux's scheduler counts it, 0
// on other systems.
func schedSeconds(pid int) (total float64, err error) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, name := range tasks {
		data, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		first, _, _ := bytes.Cut(data, []byte(" "))
		ns, err := strconv.ParseFloat(string(first), 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		total += ns / 1e9
	}
	return total, nil
}

// busy is CPU time since some moment in the past, in seconds.
type busy struct{ ours, all float64 }

// busy reads how much CPU time the benchmark's processes and all processes of
// the machine have had. Both are 0 where that is not known.
func (s *site) busy() busy {
	var b busy
	pids := []int{os.Getpid(), s.provider.cmd.Process.Pid}
	for _, g := range s.sides {
		pids = append(pids, g.cmd.Process.Pid)
	}
	for _, pid := range pids {
		one, _ := schedSeconds(pid)
		b.ours += one
	}
	stat, _ := os.ReadFile("/proc/stat")
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	for i, field := range bytes.Fields(line) {
		// user nice system idle iowait irq softirq steal, in hundredths of a
		// second; time that the host took away counts as another's.
		if i == 0 || i == 4 || i == 5 || i > 8 {
			continue
		}
		ticks, _ := strconv.ParseFloat(string(field), 64)
		b.all += ticks / 100
	}
	if b.ours == 0 || b.all == 0 {
		return busy{}
	}
	return b
}

// others is the share of all CPUs that other processes have had since then.
func (b busy) others(then busy, cpus int, seconds float64) float64 {
	return max(0, (b.all-then.all)-(b.ours-then.ours)) / seconds / float64(cpus)
}
