package fakeprovider

import (
	"bytes"
	"compress/gzip"
	"strings"
	"time"
)

type op int

const (
	opSend op = iota
	opPause
	opHang
	opClose
	opReset
	opForever
)

// Step is one act within a Reply.
type Step struct {
	op    op
	data  []byte
	pause time.Duration
}

// Send writes the bytes and flushes them.
func Send[T ~string | ~[]byte](data T) Step { return Step{op: opSend, data: []byte(data)} }

// Pause waits; it ends early when the client leaves.
func Pause(d time.Duration) Step { return Step{op: opPause, pause: d} }

// Hang keeps the connection open and silent until the client leaves or the
// server is closed.
func Hang() Step { return Step{op: opHang} }

// Close ends the reply without its proper end: HTTP/1.1 closes the connection
// (no last chunk), HTTP/2 resets the stream.
func Close() Step { return Step{op: opClose} }

// Reset sends a TCP reset: bytes still under way are lost, and on HTTP/2 every
// stream of the connection dies.
func Reset() Step { return Step{op: opReset} }

// Forever repeats the bytes until the client leaves or the server is closed.
func Forever[T ~string | ~[]byte](data T, pause time.Duration) Step {
	return Step{op: opForever, data: []byte(data), pause: pause}
}

// HangBeforeHead never answers.
func (r Reply) HangBeforeHead() Reply { return r.before(Hang()) }

// CloseBeforeHead closes the connection instead of answering.
func (r Reply) CloseBeforeHead() Reply { return r.before(Close()) }

// ResetBeforeHead resets the connection instead of answering.
func (r Reply) ResetBeforeHead() Reply { return r.before(Reset()) }

func (r Reply) before(s Step) Reply {
	r = r.clone()
	r.Before = append(r.Before, s)
	return r
}

// HangAfter falls silent after n flushes of the body; 0 is right after the head.
func (r Reply) HangAfter(n int) Reply { return r.cut(n, false, Hang()) }

// CloseAfter ends the body after n flushes without its proper end.
func (r Reply) CloseAfter(n int) Reply { return r.cut(n, false, Close()) }

// ResetAfter resets the connection after n flushes.
func (r Reply) ResetAfter(n int) Reply { return r.cut(n, false, Reset()) }

// CloseMidEvent sends n whole flushes and half of the next, then ends the body
// without its proper end.
func (r Reply) CloseMidEvent(n int) Reply { return r.cut(n, true, Close()) }

// ResetMidEvent is CloseMidEvent with a TCP reset.
func (r Reply) ResetMidEvent(n int) Reply { return r.cut(n, true, Reset()) }

func (r Reply) cut(n int, half bool, end Step) Reply {
	r = r.stepped()
	var steps []Step
	sent := 0
	for _, s := range r.Steps {
		if s.op == opSend && sent == n {
			if half {
				steps = append(steps, Send(s.data[:len(s.data)/2]))
			}
			break
		}
		if s.op == opSend {
			sent++
		}
		steps = append(steps, s)
	}
	r.Steps = append(steps, end)
	return r
}

// Gzipped compresses the body and says so, asked for or not. Each Send stays
// one flush; steps added later are not compressed.
func (r Reply) Gzipped() Reply {
	r = r.clone()
	r.Header.Set("Content-Encoding", "gzip")
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	take := func() []byte {
		b := bytes.Clone(buf.Bytes())
		buf.Reset()
		return b
	}
	// Writing to a bytes.Buffer cannot fail.
	if r.Steps == nil {
		_, _ = z.Write(r.Body)
		_ = z.Close()
		r.Body = take()
		return r
	}
	last := -1
	for i, s := range r.Steps {
		if s.op != opSend {
			continue
		}
		_, _ = z.Write(s.data)
		_ = z.Flush()
		r.Steps[i].data = take()
		last = i
	}
	_ = z.Close()
	if last >= 0 {
		r.Steps[last].data = append(r.Steps[last].data, take()...)
	}
	return r
}

// GzipBomb is a small gzip body that unfolds to n bytes of one JSON string.
func GzipBomb(n int) Reply {
	var buf bytes.Buffer
	z, _ := gzip.NewWriterLevel(&buf, gzip.BestSpeed)
	block := bytes.Repeat([]byte("a"), 1<<20)
	_, _ = z.Write([]byte(`{"x":"`))
	for left := n; left > 0; left -= len(block) {
		_, _ = z.Write(block[:min(left, len(block))])
	}
	_, _ = z.Write([]byte(`"}`))
	_ = z.Close()
	r := Bytes(200, "application/json", buf.Bytes())
	r.Header.Set("Content-Encoding", "gzip")
	return r
}

// EndlessLine is a stream whose first line never ends.
func EndlessLine() Reply {
	return SSE(`data: {"choices":[{"delta":{"content":"`).
		Then(Forever(strings.Repeat("a", 16<<10), 0))
}

// EndlessEvents repeats one event forever, with a pause before each.
func EndlessEvents(event string, pause time.Duration) Reply {
	return SSE().Then(Forever(event, pause))
}

// EndlessHeaders sends header fields forever. HTTP/1.1 only.
func EndlessHeaders() Reply {
	r := Reply{Framing: FramingRaw, RawHead: []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")}
	return r.Then(Forever("X-Fill: "+strings.Repeat("a", 1000)+"\r\n", 0))
}
