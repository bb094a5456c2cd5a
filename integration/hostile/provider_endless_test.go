package hostile_test

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	fp "github.com/caddy-llm/gateway/integration/fakeprovider"
)

// Answers without an end pass through in bounded memory, and end when the
// client has had enough.
func TestEndlessStreams(t *testing.T) {
	endlessAnswers(t, plainProvider(t), func(_ string, stream bool) bool { return stream })
}

func TestEndlessDocuments(t *testing.T) {
	endlessAnswers(t, plainProvider(t), func(_ string, stream bool) bool { return !stream })
}

func TestEndlessAnswersOverHTTP2(t *testing.T) {
	endlessAnswers(t, fp.New(t, fp.HTTP2Only(), fp.Keep(64)), func(name string, _ bool) bool {
		return slices.Contains([]string{"line", "events, usage hidden", "JSON string", "error"}, name)
	})
}

// endlessAnswers plays those that are wanted.
func endlessAnswers(t *testing.T, up *fp.Server, wanted func(name string, stream bool) bool) {
	const enough, limit = 10 << 20, 8 << 20
	s := start(t, up)
	stream := `{"stream":true,"messages":[]}`
	asking := `{"stream":true,"stream_options":{"include_usage":true},"messages":[]}`
	event := `data: {"choices":[{"delta":{"content":"` + strings.Repeat("a", 1000) + `"}}],"usage":null}` + "\n\n"
	block := strings.Repeat("a", 16<<10)
	for _, tc := range []struct {
		name, body string
		reply      fp.Reply
	}{
		{"line", asking, fp.EndlessLine()},
		{"line, usage hidden", stream, fp.EndlessLine()},
		{"line that names usage", stream, fp.SSE(`data: {"choices":[],"usage":{"prompt_tokens":1,"x":"`).Then(fp.Forever(block, 0))},
		{"line without a field", stream, fp.SSE().Then(fp.Forever(block, 0))},
		{"usage in a usage", stream, fp.SSE(`data: `).Then(fp.Forever(strings.Repeat(`{"usage":`, 1000), 0))},
		{"events", asking, fp.EndlessEvents(event, 0)},
		{"events, usage hidden", stream, fp.EndlessEvents(event, 0)},
		{"events with usage", asking, fp.EndlessEvents(strings.Repeat(`data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}`+"\n\n", 100), 0)},
		{"event of short lines", stream, fp.EndlessEvents(strings.Repeat("data: a\n", 2000), 0)},
		{"event of colons", stream, fp.EndlessEvents(strings.Repeat(":\n", 8000), 0)},
		{"blank lines", stream, fp.EndlessEvents(strings.Repeat("\r\n", 8000), 0)},
		{"end after end", stream, fp.EndlessEvents(strings.Repeat("data: [DONE]\n\n", 1000), 0)},
		{"JSON string", hello, fp.Bytes(200, "application/json", []byte(`{"x":"`)).Then(fp.Forever(block, 0))},
		{"JSON usage", hello, fp.Bytes(200, "application/json", []byte(`{"usage":{"x":"`)).Then(fp.Forever(block, 0))},
		{"JSON member name", hello, fp.Bytes(200, "application/json", []byte(`{"`)).Then(fp.Forever(block, 0))},
		{"JSON nesting", hello, fp.Bytes(200, "application/json", []byte(`{"choices":`)).Then(fp.Forever(strings.Repeat(`[{"usage":`, 1000), 0))},
		{"error", hello, fp.Bytes(500, "application/json", []byte(`{"error":{"message":"`)).Then(fp.Forever(block, 0))},
		{"bytes of no type", hello, fp.Bytes(200, "application/octet-stream", nil).Then(fp.Forever(block, 0))},
	} {
		if !wanted(tc.name, tc.body != hello) {
			continue
		}
		t.Run(tc.name, func(t *testing.T) {
			up.Reset()
			act(up, tc.reply)
			s.grows(t, limit, func() {
				res, leave, err := s.open(t, tc.body, actHeader, "1")
				if err != nil {
					t.Fatal(err)
				}
				defer leave()
				if n, err := io.CopyN(io.Discard, res.Body, enough); err != nil {
					t.Fatalf("after %d bytes: %v", n, err)
				}
			})
			up.WaitCancelled(1, patience)
			s.serves(t)
		})
	}
}

// Events that are all hidden from the client must not pile up.
func TestEndlessHiddenEvents(t *testing.T) {
	up := plainProvider(t)
	s := start(t, up)
	act(up, fp.EndlessEvents(strings.Repeat(`data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}`+"\n\n", 200), 0))
	s.grows(t, 12<<20, func() {
		_, leave, err := s.open(t, `{"stream":true}`, actHeader, "1")
		if err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the provider to send much", func() bool {
			return up.Last().Header.Get(actHeader) != "" && up.Last().Sent() > 12<<20
		})
		leave()
	})
	up.WaitCancelled(1, patience)
	s.serves(t)
}

// A bomb is the client's to defuse: the gateway does not unpack it.
func TestGzipBomb(t *testing.T) {
	up := plainProvider(t)
	s := start(t, up)
	bomb := fp.GzipBomb(256 << 20)
	stream := fp.SSE("data: {}\n\n", "data: [DONE]\n\n").Gzipped()
	for _, tc := range []struct {
		name  string
		reply fp.Reply
		want  []byte
	}{
		{"JSON", bomb, bomb.Body},
		{"error", bomb.WithStatus(500), bomb.Body},
		{"said to be a stream", bomb.WithHeader("Content-Type", "text/event-stream"), bomb.Body},
		{"unknown encoding", bomb.WithHeader("Content-Encoding", "gzip, br"), bomb.Body},
		{"a real stream", stream, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			act(up, tc.reply)
			s.grows(t, 24<<20, func() {
				a := s.post(t, hello, actHeader, "1")
				if a.err != nil || a.status != max(tc.reply.Status, 200) || tc.want != nil && !bytes.Equal(a.body, tc.want) || a.header.Get("Content-Encoding") != tc.reply.Header.Get("Content-Encoding") {
					t.Errorf("got %d, %d bytes, %v, %v", a.status, len(a.body), a.header, a.err)
				}
			})
			if got := up.Last().Header.Get("Accept-Encoding"); strings.Contains(got, "gzip") {
				t.Errorf("the provider was asked for %q", got)
			}
			s.serves(t)
		})
	}
}

// 100 MB pass through at the client's pace in flat memory, and their usage is
// read on the way.
func TestHugeJSON(t *testing.T) {
	up := plainProvider(t)
	s := start(t, up)
	piece := []byte(`"` + strings.Repeat(`a\"usage\":{`, 87_380) + `",`) // 1 MB
	reply := fp.Bytes(200, "application/json", []byte(`{"model":"m","choices":[{"index":0,"finish_reason":"length","message":{"parts":[`))
	want := len(reply.Body)
	for range 100 {
		reply = reply.Then(fp.Send(piece))
		want += len(piece)
	}
	end := `0]}}],"usage":{"prompt_tokens":123,"completion_tokens":456}}`
	act(up, reply.Then(fp.Send(end)))
	want += len(end)

	mark := s.LogMark()
	s.grows(t, 24<<20, func() {
		res, leave, err := s.open(t, hello, actHeader, "1")
		if err != nil {
			t.Fatal(err)
		}
		defer leave()
		time.Sleep(500 * time.Millisecond) // a client that does not read at first
		if sent := up.Last().Sent(); sent > 32<<20 {
			t.Errorf("the gateway took %d MiB that nobody reads", sent>>20)
		}
		n, err := io.Copy(io.Discard, res.Body)
		if err != nil || n != int64(want) {
			t.Errorf("%d bytes of %d, %v", n, want, err)
		}
	})
	line := s.WaitLogSince(mark, actHeader) // the access log's: others hold no headers
	if fmt.Sprintf("%v %v %v", line.Fields["request_prompt_tokens"], line.Fields["request_completion_tokens"], line.Fields["finish_reason"]) != "123 456 length" {
		t.Errorf("the log says %s", line.Raw)
	}
	s.serves(t)
}
