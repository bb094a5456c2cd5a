package guard

import (
	"bytes"
	"context"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/filter"
	"github.com/caddy-llm/gateway/llmroute/guard/detect"
)

// maxHeld bounds what is held of a response while guards look at it, in bytes, and the memory
// that is held beside these. A longer one is denied.
const maxHeld = 16 << 20

// step is what the guards have to do with the response to one request.
type step struct {
	*acts
	guards   []*guard // that look at it
	kept     *kept    // what is put back into it, nil for nothing
	endpoint llmprovider.Endpoint

	open    []question         // about the request, that are asked while a provider is
	cancel  context.CancelFunc // ends them
	decided chan struct{}      // closed when they are, nil if none was asked
	aside   *aside             // those of guards that only log, nil for none
}

// Reader implements filter.Step.
func (s *step) Reader(next llmprovider.Reader) llmprovider.Reader {
	if len(s.guards) == 0 && s.kept.empty() {
		return next
	}
	r := &response{Reader: next, step: s}
	r.taken = r.take
	return r
}

// End implements filter.Step.
func (s *step) End(*filter.Outcome) {
	if s.decided != nil {
		s.cancel()
		<-s.decided
	}
	if s.aside != nil {
		s.aside.endWith(s.acts)
	}
	s.end()
}

// find has guards look at a text, each but for what those before have masked, and returns
// what is replaced. skipDeny and skipMask report whether what was found to deny and to mask
// is of no account; nil for never. kept is what is put back, nil for nothing.
func (s *step) find(guards []*guard, kept *kept, t *text, skipDeny, skipMask func(start, end int) bool) (all []span, refused *llmprovider.Error) {
	hidden := func(skip func(int, int) bool) func(int, int) bool {
		return func(start, end int) bool {
			return overlaps(all, start, end) || skip != nil && skip(start, end)
		}
	}
	for _, g := range guards {
		if category := g.denies(t, hidden(skipDeny)); category != "" && s.note(onResponse, g, Denied, category) {
			return nil, g.refusal(onResponse, category, "")
		}
		found, categories := g.spans(t, hidden(skipMask))
		masked := false
		for _, category := range categories {
			masked = s.note(onResponse, g, Masked, category) || masked
		}
		if !masked {
			continue
		}
		for i := range found {
			found[i].word = mask(found[i].category)
		}
		all = inOrder(append(all, found...))
	}
	if !kept.empty() {
		var back []span
		skip := hidden(skipMask)
		if bytes.IndexByte(t.b, '[') >= 0 {
			t.each(&detect.Detector{Each: kept.each}, func(start, end int) bool {
				if !skip(start, end) {
					back = append(back, span{start: start, end: end, word: kept.values[string(t.b[start:end])]})
				}
				return true
			})
		}
		all = inOrder(append(all, back...))
	}
	return all, nil
}

// tooLong has the guards refuse what is longer than they look at.
func (s *step) tooLong(guards []*guard) *llmprovider.Error {
	for _, g := range guards {
		if s.note(onResponse, g, Denied, categoryTooLong) {
			return g.refusal(onResponse, categoryTooLong, "")
		}
	}
	return nil
}

// response is the reader of a response that guards look at before the client gets it.
type response struct {
	llmprovider.Reader
	*step
	head   *llmprovider.Head
	guards []*guard
	how    func(p []byte) error // takes what the client would get; nil to pass it on
	pass   func([]byte) error
	taken  func([]byte) error
	buf    []byte    // of a response that is held whole
	stream []*stream // by stages
}

// stage is one of those in which guards look at a response: first all look at it by
// themselves, then services are asked one after the other, with masks in place of what was
// found, and at last what was masked in the request is put back.
type stage struct {
	guards []*guard
	asks   bool // the guard's service
	kept   *kept
}

func (s *step) stages(guards []*guard) []stage {
	stages := []stage{{guards: guards}}
	for _, g := range guards {
		if g.asks() {
			stages = append(stages, stage{guards: []*guard{g}, asks: true})
		}
	}
	if len(stages) > 1 && !s.kept.empty() {
		return append(stages, stage{kept: s.kept})
	}
	stages[0].kept = s.kept
	return stages
}

// Head implements llmprovider.Reader.
func (r *response) Head(h *llmprovider.Head) {
	r.Reader.Head(h)
	r.head = h
	media := llmprovider.MediaType(h.Header)
	isText := media == "" || strings.HasPrefix(media, "text/") || strings.HasSuffix(media, "json")
	r.guards = r.step.guards
	if h.Stream {
		r.guards = streamGuards(r.guards)
	}
	switch {
	case len(r.guards) == 0 && r.kept.empty():
	case !isText || llmprovider.Compressed(h.Header):
		r.how = r.unread
	case h.Stream && (media == "" || media == "text/event-stream"):
		pass := func(p []byte) error { return r.pass(p) }
		stages := r.stages(r.guards)
		r.stream = make([]*stream, len(stages))
		for i := len(stages) - 1; i >= 0; i-- {
			r.stream[i] = newStream(r.step, &stages[i], pass)
			pass = r.stream[i].take
		}
		r.how = pass
	default:
		r.how = r.hold
	}
}

// streamGuards returns the guards that look at streams.
func streamGuards(guards []*guard) []*guard {
	var out []*guard
	for _, g := range guards {
		if g.OnResponse.Stream != StreamOff {
			out = append(out, g)
		}
	}
	return out
}

// Write implements llmprovider.Reader.
func (r *response) Write(p []byte, pass func([]byte) error) error {
	r.pass = pass
	return r.Reader.Write(p, r.taken)
}

func (r *response) take(p []byte) error {
	if r.how == nil {
		return r.pass(p)
	}
	return r.how(p)
}

// Finish implements llmprovider.Reader.
func (r *response) Finish(pass func([]byte) error) error {
	r.pass = pass
	if err := r.Reader.Finish(r.taken); err != nil {
		return err
	}
	for _, s := range r.stream {
		if err := s.finish(); err != nil {
			return err
		}
	}
	if len(r.buf) > 0 {
		return r.whole()
	}
	return nil
}

// ErrorEvent implements llmprovider.Reader.
func (r *response) ErrorEvent(err *llmprovider.Error) []byte {
	if r.stream == nil && len(r.buf) > 0 { // of an array of events, of which the client has nothing
		shaped := *err
		shaped.API = r.endpoint.API
		return append(append([]byte{'['}, shaped.JSON()...), ']')
	}
	if r.stream != nil { // the reader may repeat what was held back
		return err.EventOf(r.endpoint.Operation, r.endpoint.API, r.stream[len(r.stream)-1].events)
	}
	return r.Reader.ErrorEvent(err)
}

// unread has the guards decide about a body that is no text.
func (r *response) unread(p []byte) error {
	for _, g := range r.guards {
		if refused := r.unreadable(onResponse, g, []string{"a body that is no text"}); refused != nil {
			return refused
		}
	}
	r.how = nil
	return r.pass(p)
}

// hold keeps what has come of a body that is looked at as a whole.
func (r *response) hold(p []byte) error {
	r.buf = append(r.buf, p...)
	if len(r.buf) <= maxHeld {
		return nil
	}
	if refused := r.tooLong(r.guards); refused != nil {
		return refused
	}
	held := r.buf
	r.buf, r.how = nil, nil
	return r.pass(held)
}

var byteOrderMark = []byte("\ufeff")

// whole has the guards look at a body that has come whole, and passes it on.
func (r *response) whole() error {
	body, changed := r.buf, false
	for _, stage := range r.stages(r.guards) {
		next, err := r.look(&stage, body)
		if err != nil {
			return err
		}
		if next != nil {
			body, changed = next, true
		}
	}
	if changed {
		for _, name := range []string{"Etag", "Digest", "Content-Digest", "Content-Md5"} {
			r.head.Header.Del(name) // of the body as it was
		}
		r.head.Header.Set("Content-Length", strconv.Itoa(len(body)))
	}
	return r.pass(body)
}

// look has the guards of a stage look at a body, and returns what is to stand in its place,
// nil if that is what it is.
func (r *response) look(stage *stage, body []byte) ([]byte, error) {
	doc := bytes.TrimSpace(bytes.TrimPrefix(body, byteOrderMark))
	t := texts.Get().(*text)
	defer t.release()
	switch {
	case len(doc) == 0:
		return nil, nil
	case !jsonscan.Valid(doc):
		doc = body
		t.readPlain(doc)
	case doc[0] == '[':
		var out []byte
		err := newStream(r.step, stage, func(p []byte) error { out = append(out, p...); return nil }).array(doc)
		if err != nil || bytes.Equal(out, doc) {
			return nil, err
		}
		return out, nil
	default:
		t.readResponse(doc)
	}
	var found []span
	if stage.asks {
		texts, refused := r.ask(onResponse, stage.guards[0], t.messages())
		switch {
		case refused != nil:
			return nil, refused
		case texts != nil:
			found = t.replaced(texts)
		}
	} else {
		for _, g := range stage.guards {
			if refused := r.unreadable(onResponse, g, t.unreadable); refused != nil {
				return nil, refused
			}
		}
		var refused *llmprovider.Error
		if found, refused = r.find(stage.guards, stage.kept, t, nil, nil); refused != nil {
			return nil, refused
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	return spliced(nil, doc, t.cuts(doc, found)), nil
}

// cuts returns what of the body is replaced for spans of the text.
func (t *text) cuts(body []byte, spans []span) (cuts []cut) {
	t.locator = locator{body: body}
	for _, s := range spans {
		cuts = t.cutsOf(cuts, s.start, s.end, s.word)
	}
	return merged(cuts)
}

// readPlain reads a text that is no JSON: as it stands, and with what may be escapes
// undone, since there are clients that read JSON that is not quite valid.
func (t *text) readPlain(body []byte) {
	t.reset()
	if !utf8.Valid(body) || bytes.IndexByte(body, 0) >= 0 {
		t.cannotRead("a body that is no text")
	}
	t.b = append(t.b, body...)
	t.add(piece{srcEnd: len(body), raw: true})
	t.endGroup(0)
	if bytes.IndexByte(body, '\\') >= 0 {
		p := piece{start: len(t.b), srcEnd: len(body)}
		t.b = jsonscan.AppendUnescaped(t.b, body)
		t.add(p)
		t.endGroup(1)
	}
}

// Interface guards
var (
	_ filter.Step        = (*step)(nil)
	_ llmprovider.Reader = (*response)(nil)
)
