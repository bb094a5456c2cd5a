package fakeprovider

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"
)

// serve records the request, asks the script and plays its reply.
func (s *Server) serve(w http.ResponseWriter, req *http.Request) {
	rec, script, i := s.record(req)
	c, _ := req.Context().Value(connKey{}).(conn)
	rec.Connection = c.number

	ctx, cancel := context.WithCancelCause(req.Context())
	defer cancel(nil)
	stop := context.AfterFunc(s.ctx, func() { cancel(errClosing) })
	defer stop()

	p := &player{server: s, rec: rec, cancel: cancel, conn: c.Conn}
	// Runs after a panic too: that is how net/http wants a reply cut short.
	defer func() {
		if ctx.Err() != nil {
			s.noteCancelled(ctx, rec) // before the watcher gets to it
		}
		rec.markFinished()
		s.settle(rec, p)
	}()

	rec.Body, rec.BodyError = io.ReadAll(io.LimitReader(req.Body, s.settings.bodyLimit))
	if int64(len(rec.Body)) == s.settings.bodyLimit {
		// Without this net/http waits for the rest before it lets a response out.
		_ = http.NewResponseController(w).EnableFullDuplex()
	}
	rec.readBody()
	s.publish(rec)
	// From here on: a cancelled request is always on the list too.
	unwatch := context.AfterFunc(ctx, func() { s.noteCancelled(ctx, rec) })
	defer unwatch()
	if rec.BodyError != nil {
		s.noteGone(rec)
		panic(http.ErrAbortHandler)
	}
	p.play(ctx, w, req, script(i, rec))
}

var errClosing = errors.New("the fake provider is closing")

// record takes what can be known before the body is read.
func (s *Server) record(req *http.Request) (*Recorded, func(int, *Recorded) Reply, int) {
	rec := &Recorded{
		Time:          time.Now(),
		Method:        req.Method,
		Path:          req.URL.EscapedPath(),
		RawQuery:      req.URL.RawQuery,
		Target:        req.RequestURI,
		Host:          req.Host,
		Proto:         req.Proto,
		Header:        req.Header.Clone(),
		ContentLength: req.ContentLength,
		done:          make(chan struct{}),
	}
	if req.TLS != nil {
		rec.SNI = req.TLS.ServerName
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.next
	s.next++
	s.inFlight++
	return rec, s.script, i
}

// publish puts the request on the list, complete with its body.
func (s *Server) publish(rec *Recorded) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec.Index = s.count
	s.count++
	s.requests = append(s.requests, rec)
	if keep := s.settings.keep; keep > 0 && len(s.requests) > keep {
		s.requests = slices.Delete(s.requests, 0, len(s.requests)-keep)
	}
	s.signal()
}

func (s *Server) noteCancelled(ctx context.Context, rec *Recorded) {
	if !errors.Is(context.Cause(ctx), errClosing) {
		s.noteGone(rec)
	}
}

func (s *Server) noteGone(rec *Recorded) {
	if s.ctx.Err() != nil || !rec.markCancelled() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancelled++
	select {
	case s.cancellations <- rec:
	default: // nobody reads; the count is kept
	}
	s.signal()
}

// settle writes the ledger and ends the request.
func (s *Server) settle(rec *Recorded, p *player) {
	u := p.reported()
	rec.mu.Lock()
	rec.usage = u
	rec.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if u != nil {
		model := u.Model
		if model == "" {
			model = rec.Model
		}
		s.byReported[model] = s.byReported[model].plus(*u)
		s.byRequested[rec.Model] = s.byRequested[rec.Model].plus(*u)
	}
	s.inFlight--
	close(rec.done)
	s.signal()
}
