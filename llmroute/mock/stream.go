package mock

import (
	"context"
	"net/http"
	"strings"
	"time"
)

// stream writes server-sent events, each flushed on its own. Whatever
// keeps a stream from its regular end (the client has left, abort_after) leaves
// its methods as http.ErrAbortHandler, so that nobody takes what was sent for
// the whole response.
type stream struct {
	ctx      context.Context
	w        http.ResponseWriter
	flusher  *http.ResponseController
	interval time.Duration
	left     int // events until the stream is cut; negative: never

	buf  *[]byte // the pooled buffer that events are built in
	head int     // how much of it every event begins with
	tail string  // what every event ends with
}

// openStream sends the header of a stream.
func (m *Handler) openStream(w http.ResponseWriter, r *http.Request) *stream {
	s := &stream{
		ctx:      r.Context(),
		w:        w,
		flusher:  http.NewResponseController(w),
		interval: time.Duration(m.ChunkInterval),
		left:     -1,
		buf:      getBuffer(&m.outs),
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache")
	if m.AbortAfter != nil {
		s.left = *m.AbortAfter
		if s.left == 0 {
			w.WriteHeader(http.StatusOK)
			s.flush()
			panic(http.ErrAbortHandler)
		}
	}
	return s
}

// closeStream takes the buffer back. An aborted stream does not get here: its
// connection may still be reading the buffer.
func (m *Handler) closeStream(s *stream) { putBuffer(&m.outs, s.buf) }

// event sends the head, the three parts and the tail as one event.
func (s *stream) event(before string, text []byte, after string) {
	b := append((*s.buf)[:s.head], before...)
	b = append(b, text...)
	b = append(b, after...)
	b = append(b, s.tail...)
	*s.buf = append(b, "\n\n"...)
	s.send(*s.buf)
}

// send writes and flushes one event.
func (s *stream) send(event []byte) {
	if _, err := s.w.Write(event); err != nil {
		panic(http.ErrAbortHandler)
	}
	s.flush()
	if s.left--; s.left == 0 {
		panic(http.ErrAbortHandler)
	}
}

func (s *stream) flush() {
	if err := s.flusher.Flush(); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// pause waits for the interval between two chunks.
func (s *stream) pause() {
	if s.interval <= 0 && s.ctx.Err() == nil {
		return
	}
	if err := pauseFor(s.ctx, s.interval); err != nil || s.ctx.Err() != nil {
		panic(http.ErrAbortHandler)
	}
}

// streamCompletion sends a chat completion or completion as chunks.
func (m *Handler) streamCompletion(w http.ResponseWriter, r *http.Request, req *request, id uint64, shape shape) {
	s := m.openStream(w, r)
	b := append(*s.buf, `data: {`...)
	b = appendHead(b, shape.id, id, shape.chunk, "created", req.model)
	b = append(b, ',')
	b = append(b, shape.origin...)
	b = append(b, `,"choices":[`...)
	*s.buf, s.head = b, len(b)
	s.tail = `]}`
	if req.wantUsage {
		s.tail = `],"usage":null}`
	}

	if req.tool != "" {
		call := string(appendToolCall(nil, id, req.tool, `""`))
		s.event(`{"index":0,"delta":{"role":"assistant","content":null,"tool_calls":[{"index":0,`+strings.TrimPrefix(call, "{"),
			nil, `],"refusal":null},"logprobs":null,"finish_reason":null}`)
		s.pause()
		s.event(`{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]},"logprobs":null,"finish_reason":null}`, nil, "")
		s.event(`{"index":0,"delta":{},"logprobs":null,"finish_reason":"tool_calls"}`, nil, "")
	} else {
		if shape.first != "" {
			s.event(shape.first, nil, "")
		}
		for i, text := range m.chunkTexts {
			if i > 0 {
				s.pause()
			}
			s.event(shape.beforeDelta, text, shape.afterDelta)
		}
		s.event(shape.last, nil, "")
	}
	if req.wantUsage {
		s.tail = ""
		s.event(`],`, m.appendUsage(nil, req), `}`)
	}
	s.send([]byte("data: [DONE]\n\n"))
	m.closeStream(s)
}
