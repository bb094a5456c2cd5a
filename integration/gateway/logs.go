package gateway

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"time"
)

// LogLine is one line the gateway wrote to standard error or standard output.
type LogLine struct {
	// Raw is the line without its line end.
	Raw string
	// Level, Logger and Message come from a JSON line, else they are empty.
	Level, Logger, Message string
	// Fields are all members of a JSON line, nil for any other. Numbers are
	// json.Number, so that none loses digits.
	Fields map[string]any
	// Arrived is when the line was read.
	Arrived time.Time
}

// logBook collects the lines of one process.
type logBook struct {
	mu      sync.Mutex
	lines   []LogLine
	changed chan struct{}
}

// writer splits what it is given into lines; each pipe has its own.
type writer struct {
	book *logBook
	rest []byte
}

func (w *writer) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for {
		line, rest, found := bytes.Cut(w.rest, []byte("\n"))
		if !found {
			return len(p), nil
		}
		w.book.add(string(line))
		w.rest = bytes.Clone(rest)
	}
}

func (b *logBook) add(raw string) {
	line := LogLine{Raw: raw, Arrived: time.Now()}
	if strings.HasPrefix(raw, "{") {
		d := json.NewDecoder(strings.NewReader(raw))
		d.UseNumber()
		if d.Decode(&line.Fields) == nil {
			line.Level, _ = line.Fields["level"].(string)
			line.Logger, _ = line.Fields["logger"].(string)
			line.Message, _ = line.Fields["msg"].(string)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, line)
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *logBook) since(mark int) ([]LogLine, chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lines[min(mark, len(b.lines)):len(b.lines):len(b.lines)], b.changed
}

func (b *logBook) tail(n int) string {
	lines, _ := b.since(0)
	var out strings.Builder
	for _, l := range lines[max(0, len(lines)-n):] {
		out.WriteString("\n\t" + l.Raw)
	}
	return out.String()
}

// Logs returns every line so far.
func (g *Gateway) Logs() []LogLine {
	lines, _ := g.book.since(0)
	return lines
}

// LogMark is a position to give to LogsSince or WaitLogSince.
func (g *Gateway) LogMark() int { return len(g.Logs()) }

// LogsSince returns the lines written after the mark was taken.
func (g *Gateway) LogsSince(mark int) []LogLine {
	lines, _ := g.book.since(mark)
	return lines
}

// FindLogs returns the lines so far that contain the text.
func (g *Gateway) FindLogs(substr string) []LogLine {
	var found []LogLine
	for _, l := range g.Logs() {
		if strings.Contains(l.Raw, substr) {
			found = append(found, l)
		}
	}
	return found
}

// WaitLog returns the first line that contains the text, waiting for it up to
// ten seconds, or the time given; after that the test fails. Lines already
// written count.
func (g *Gateway) WaitLog(substr string, timeout ...time.Duration) LogLine {
	g.t.Helper()
	return g.WaitLogSince(0, substr, timeout...)
}

// WaitLogSince is WaitLog for the lines after a mark.
func (g *Gateway) WaitLogSince(mark int, substr string, timeout ...time.Duration) LogLine {
	g.t.Helper()
	limit := 10 * time.Second
	if len(timeout) > 0 {
		limit = timeout[0]
	}
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	for {
		lines, changed := g.book.since(mark)
		for _, l := range lines {
			if strings.Contains(l.Raw, substr) {
				return l
			}
		}
		mark += len(lines) // each line is looked at once
		select {
		case <-changed:
		case <-deadline.C:
			g.t.Fatalf("no log line contains %q after %v; the last ones are:%s", substr, limit, g.book.tail(20))
		}
	}
}

// complaints are lines no run may produce, whatever the test looks at.
func (b *logBook) complaints() []string {
	var found []string
	lines, _ := b.since(0)
	for _, l := range lines {
		text := l.Raw
		if l.Fields != nil {
			text = l.Message
		}
		for _, bad := range []string{"WARNING: DATA RACE", "panic: ", "fatal error: ", "http: panic serving"} {
			if strings.HasPrefix(text, bad) {
				found = append(found, l.Raw)
			}
		}
	}
	return found
}
