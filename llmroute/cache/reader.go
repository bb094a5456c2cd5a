package cache

import (
	"net/http"
	"time"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/tap"
)

// reader keeps a copy of the response that passes through it. It is nearer to the provider
// than guards are: what they mask, and what they put back, is the matter of each request.
type reader struct {
	llmprovider.Reader
	s     *step
	head  *llmprovider.Head
	begun bool        // the head is final
	kept  http.Header // what is kept of it, before handlers of the site change it
	stop  bool        // nothing is kept any more
	body  []byte
	entry *Entry // what is to be stored
	pass  func([]byte) error
	taken func([]byte) error
}

func newReader(s *step, next llmprovider.Reader) *reader {
	r := &reader{Reader: next, s: s}
	r.taken = r.take
	return r
}

// Head implements llmprovider.Reader.
func (r *reader) Head(h *llmprovider.Head) {
	r.Reader.Head(h)
	r.head = h
	if h.Stream { // it is final
		r.begin()
	}
}

// begin looks at the final head.
func (r *reader) begin() {
	if r.begun {
		return
	}
	r.begun = true
	h := r.head
	r.kept = storedHeader(h.Header)
	media := llmprovider.MediaType(h.Header)
	if h.Status != http.StatusOK || llmprovider.Compressed(h.Header) || media != "application/json" && media != "text/event-stream" || forbidsStore(h.Header) {
		r.drop()
	}
}

// drop keeps nothing of the response. Those who wait for it ask for themselves.
func (r *reader) drop() {
	r.stop, r.body = true, nil
	r.s.land(failed, nil)
}

// broken keeps nothing of a response that broke off. The end of the step says who is to ask
// in its place: it knows whether the client has left.
func (r *reader) broken() { r.stop, r.body = true, nil }

// Write implements llmprovider.Reader.
func (r *reader) Write(p []byte, pass func([]byte) error) error {
	r.pass = pass
	err := r.Reader.Write(p, r.taken)
	if err != nil {
		r.broken()
	}
	return err
}

func (r *reader) take(p []byte) error {
	r.begin()
	if !r.stop {
		if len(r.body)+len(p) > maxBody || !r.s.take(len(p)) {
			r.drop()
		} else {
			r.body = append(r.body, p...)
		}
	}
	if fl := r.s.flight; fl != nil {
		began := time.Now()
		fl.blocked.Store(began.UnixNano())
		defer func() {
			fl.slow.Add(int64(time.Since(began)))
			fl.blocked.Store(0)
		}()
	}
	return r.pass(p)
}

// Finish implements llmprovider.Reader.
func (r *reader) Finish(pass func([]byte) error) error {
	r.pass = pass
	if err := r.Reader.Finish(r.taken); err != nil {
		r.broken()
		return err
	}
	r.end()
	return nil
}

// end makes an entry of the response, if it is whole, and gives it to those who wait.
func (r *reader) end() {
	if r.stop {
		return
	}
	r.begin()
	if r.stop || !r.whole() {
		r.drop()
		return
	}
	r.stop = true
	now, c := time.Now(), r.s.call
	r.entry = &Entry{
		Stored: now, Expires: now.Add(r.s.f.ttl), Header: r.kept, Stream: r.head.Stream, Body: r.body, Usage: *r.Usage(),
		Provider: r.s.to.Provider, Tags: Tags{Client: clientName(c), Model: r.s.to.Model, Rule: c.Rule},
	}
	r.s.land(arrived, r.entry)
}

// whole reports whether the response is complete and good: it says so itself, and reports
// no error.
func (r *reader) whole() bool {
	if !r.Ended() || r.Failed() || r.Unfinished() || badEndings[r.Usage().FinishReason] {
		return false
	}
	judge := tap.Judge(&http.Response{StatusCode: r.head.Status, Header: r.head.Header}, r.s.call.Inbound.Endpoint)
	if judge == nil {
		return false
	}
	if verdict, _ := judge(r.body, true); verdict != "" {
		return false
	}
	return r.head.Stream || llmprovider.IsEvents(r.head.Header) || jsonscan.Valid(r.body)
}

// badEndings are the finish reasons and statuses of responses that another try might do
// better, or that are not finished.
var badEndings = map[string]bool{
	"error": true, "failed": true, "cancelled": true, "in_progress": true, "queued": true, "abort": true, "pause_turn": true,
	"MALFORMED_FUNCTION_CALL": true, "UNEXPECTED_TOOL_CALL": true, "OTHER": true, "malformed_function_call": true, "unexpected_tool_call": true,
}

// Interface guards
var _ llmprovider.Reader = (*reader)(nil)
