package gateway

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Memory is the process's resident memory in bytes.
func (g *Gateway) Memory() int64 {
	g.t.Helper()
	fields := strings.Fields(g.proc("statm"))
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		g.t.Fatalf("reading statm: %v", err)
	}
	return pages * int64(os.Getpagesize())
}

// CPU is the processor time the process has used.
func (g *Gateway) CPU() time.Duration {
	g.t.Helper()
	stat := g.proc("stat")
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	var ticks int64
	for _, f := range fields[11:13] { // utime and stime
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			g.t.Fatalf("reading stat: %v", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100 // USER_HZ is 100 everywhere
}

// OpenFiles counts the process's open files and sockets.
func (g *Gateway) OpenFiles() int {
	g.t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", g.PID()))
	if err != nil {
		g.t.Fatalf("listing open files: %v", err)
	}
	return len(entries)
}

func (g *Gateway) proc(name string) string {
	g.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", g.PID(), name))
	if err != nil {
		g.t.Fatalf("reading the process's %s: %v", name, err)
	}
	return string(b)
}
