package gateway

import (
	"slices"
	"testing"
	"time"
)

func TestLinesAreSplitWhereTheyEnd(t *testing.T) {
	b := &logBook{changed: make(chan struct{})}
	w := &writer{book: b}
	for _, part := range []string{"plain\n{\"level\":\"in", "fo\",\"logger\":\"a.b\",\"msg\":\"hi\",\"n\":12345678901234567890}\n", "\nunfinished"} {
		if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatal(n, err)
		}
	}
	lines, _ := b.since(0)
	if len(lines) != 3 || lines[0].Raw != "plain" || lines[0].Fields != nil || lines[2].Raw != "" {
		t.Fatalf("%+v", lines)
	}
	l := lines[1]
	if l.Level != "info" || l.Logger != "a.b" || l.Message != "hi" || l.Fields["n"].(interface{ String() string }).String() != "12345678901234567890" {
		t.Errorf("%+v", l)
	}
}

func TestComplaints(t *testing.T) {
	b := &logBook{changed: make(chan struct{})}
	for _, l := range []string{
		"WARNING: DATA RACE",
		"panic: runtime error",
		`{"level":"info","msg":"http: panic serving 127.0.0.1:1: boom"}`,
		`{"level":"info","msg":"no panic: here"}`,
		`{"level":"info","msg":"x","stacktrace":"panic: "}`,
	} {
		b.add(l)
	}
	got := b.complaints()
	if len(got) != 3 {
		t.Errorf("got %q", got)
	}
}

func TestWaitLogSeesOldAndNewLines(t *testing.T) {
	g := &Gateway{t: t, book: &logBook{changed: make(chan struct{})}}
	g.book.add("first one")
	if l := g.WaitLog("first"); l.Raw != "first one" {
		t.Errorf("%+v", l)
	}
	mark := g.LogMark()
	go func() {
		time.Sleep(20 * time.Millisecond)
		g.book.add("other")
		g.book.add("first two")
	}()
	if l := g.WaitLogSince(mark, "first"); l.Raw != "first two" {
		t.Errorf("%+v", l)
	}
	var raw []string
	for _, l := range g.FindLogs("first") {
		raw = append(raw, l.Raw)
	}
	if !slices.Equal(raw, []string{"first one", "first two"}) || len(g.LogsSince(mark)) != 2 {
		t.Errorf("%q", raw)
	}
}
