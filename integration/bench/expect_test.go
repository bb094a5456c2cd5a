package main

import (
	"strings"
	"testing"
)

const exampleStream = `data: {"id":"chatcmpl-0123456789abcdef","created":1700000000,"model":"m","usage":null}` + "\n\n" +
	`data: {"id":"chatcmpl-0123456789abcdef","created":1700000000,"choices":[],"usage":{"total_tokens":96}}` + "\n\n" +
	"data: [DONE]\n\n"

func TestCheckerTellsWhatDiffers(t *testing.T) {
	want, err := newAnswer("text/event-stream", []byte(exampleStream))
	if err != nil {
		t.Fatal(err)
	}
	change := func(old, new string, n int) string { return strings.Replace(exampleStream, old, new, n) }
	for _, tc := range []struct{ name, body, says string }{
		{"the same response", exampleStream, ""},
		{"another id and time", change("0123456789abcdef", "fedcba9876543210", -1), ""},
		{"another time in one event", change("1700000000", "1700000001", 1), ""},
		{"two ids in one stream", change("0123456789abcdef", "fedcba9876543210", 1), "differs"},
		{"an id that is none", change("0123456789abcdef", "0123456789abcdeg", -1), "differs"},
		{"a time that is none", change("1700000000", "170000000x", 1), "differs"},
		{"a changed byte", change(`"m"`, `"n"`, 1), "differs"},
		{"a changed last byte", strings.TrimSuffix(exampleStream, "\n") + "\r", "differs"},
		{"one byte less", strings.TrimSuffix(exampleStream, "\n"), "ended after"},
		{"nothing", "", "ended after 0"},
		{"an event too many", exampleStream + "data: x\n\n", "goes on"},
	} {
		for size := 1; size <= len(exampleStream); size = size*3 + 1 { // bytes a piece
			c := checker{want: want}
			err := error(nil)
			for rest := tc.body; rest != "" && err == nil; {
				n := min(size, len(rest))
				err = c.take([]byte(rest[:n]))
				rest = rest[n:]
			}
			if err == nil {
				err = c.end()
			}
			if tc.says == "" && err != nil || tc.says != "" && (err == nil || !strings.Contains(err.Error(), tc.says)) {
				t.Errorf("%s in pieces of %d: error %v, want one with %q", tc.name, size, err, tc.says)
			}
		}
	}
}

func TestAnAnswerWithoutIDIsNoTemplate(t *testing.T) {
	if _, err := newAnswer("application/json", []byte(`{"error":{}}`)); err == nil {
		t.Error("an error is taken as the response to expect")
	}
}

func TestWithoutUsage(t *testing.T) {
	out, err := withoutUsage([]byte(exampleStream))
	if err != nil || strings.Contains(string(out), "usage") || strings.Count(string(out), "\n\n") != 2 {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := withoutUsage(out); err == nil {
		t.Error("a stream without usage is taken as one that had it")
	}
}
