package guard

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmprovider"
)

// service decides about texts elsewhere.
type service interface {
	// ask returns what the service says. An error says that it failed, and has nothing of
	// the texts.
	ask(ctx context.Context, q *question) (*verdict, error)
}

// question is what a service is asked.
type question struct {
	of       direction
	messages []message
	header   http.Header // the client's
	client   string      // its name
}

// verdict is what a service says.
type verdict struct {
	denied bool
	status int // of the refusal, 0 for the guard's
	// category is what is found, empty if the service does not say.
	category string
	texts    []string // in place of the messages' contents; nil to leave them
}

// The categories of what services decide, and of their failures.
const (
	categoryWebhook    = "webhook"
	categoryModeration = "moderation"
	categoryJudge      = "judge"
)

// checkService reports what is wrong with the settings that services have in common, if
// anything.
func checkService(service string, timeout caddy.Duration, onFailure string) error {
	switch {
	case timeout < 0:
		return fmt.Errorf("%s: the timeout is below zero; write how long it may take to decide", service)
	case onFailure != "" && onFailure != FailureClosed && onFailure != FailureOpen:
		return fmt.Errorf("%s: on_failure is %q; write %s or %s", service, onFailure, FailureClosed, FailureOpen)
	}
	return nil
}

// asker bounds what a service is asked: how long it may take, and how much at a time.
type asker struct {
	timeout time.Duration
	asking  chan struct{}
}

// newAsker takes the configured timeout, 0 for the default.
func newAsker(timeout caddy.Duration) asker {
	a := asker{time.Duration(timeout), make(chan struct{}, maxAsking)}
	if a.timeout == 0 {
		a.timeout = defaultTimeout
	}
	return a
}

// begin begins to ask. end is called when the service has decided.
func (a *asker) begin(ctx context.Context) (_ context.Context, end func(), _ error) {
	select {
	case a.asking <- struct{}{}:
	default:
		return nil, nil, fmt.Errorf("%d requests are being asked about already", maxAsking)
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	return ctx, func() {
		cancel()
		<-a.asking
	}, nil
}

// askProvider asks a provider that is the service, and returns what it says with status 200.
func (a *asker) askProvider(ctx context.Context, send Ask, provider, path string, question any) ([]byte, error) {
	ctx, end, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	status, said, err := send(ctx, provider, path, encoded(question), maxAsked)
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("the provider said nothing within %v", a.timeout)
	case err != nil:
		return nil, err
	case status != http.StatusOK:
		return nil, fmt.Errorf("the provider said status %d", status)
	}
	return said, nil
}

// asks reports whether the guard asks a service.
func (g *guard) asks() bool { return g.service != nil }

// messages are the text's groups as services are asked about them.
func (t *text) messages() (out []message) {
	for _, g := range t.groups {
		out = append(out, message{g.role.name(), string(t.b[t.pieces[g.first].start:t.pieces[g.last].end])})
	}
	return out
}

// name is the role's in the formats of services, which know those of conversations.
func (r role) name() string {
	switch r {
	case roleSystem, roleOther:
		return "system"
	case roleAssistant:
		return "assistant"
	case roleTool:
		return "tool"
	}
	return "user"
}

// ask has the guard's service decide about messages, and returns what is to stand in their
// place, nil if that is what they are.
func (a *acts) ask(of direction, g *guard, messages []message) ([]string, *llmprovider.Error) {
	size := 0
	for _, m := range messages {
		size += len(m.Content)
	}
	if size == 0 {
		return nil, nil
	}
	q := &question{of: of, messages: messages, client: a.call.Client.Name}
	ctx := context.Background()
	if a.call.Request != nil {
		q.header, ctx = a.call.Request.Header, a.call.Request.Context()
	}
	var v *verdict
	err := fmt.Errorf("the texts are longer than %d MiB", maxAsked>>20)
	if size <= maxAsked {
		v, err = g.service.ask(ctx, q)
	}
	if err != nil {
		return nil, a.failed(of, g, err)
	}
	if v.category == "" {
		v.category = g.decides
	}
	switch {
	case v.denied && a.note(of, g, Denied, v.category):
		refused := g.refusal(of, v.category, "")
		if v.status >= 400 && v.status <= 599 {
			refused.Status = v.status
		}
		return nil, refused
	case v.denied, v.texts == nil:
		return nil, nil
	}
	for i, text := range v.texts {
		if text != messages[i].Content {
			if a.note(of, g, Masked, v.category) {
				return v.texts, nil
			}
			break
		}
	}
	return nil, nil
}

// failed does what the guard is to do when its service fails.
func (a *acts) failed(of direction, g *guard, err error) *llmprovider.Error {
	if ctx := a.call.Request; ctx != nil && ctx.Context().Err() != nil {
		return unavailable(g) // the client has left
	}
	open := g.open || g.Log
	a.f.logger.Warn("guard failed", zap.String("guard", g.name), zap.String("direction", string(of)), zap.Bool("passed", open), zap.Error(err))
	a.count(of, g, Failed, g.decides)
	if open {
		return nil
	}
	return unavailable(g)
}

func unavailable(g *guard) *llmprovider.Error {
	return &llmprovider.Error{
		Status: http.StatusServiceUnavailable, Type: llmprovider.TypeServer, Code: "guard_unavailable",
		Message: fmt.Sprintf("the service that the guard %s asks is not available; try again in a moment", g.name),
	}
}

// replaced returns what of the text is replaced so that its groups are these texts.
func (t *text) replaced(texts []string) (out []span) {
	for i, g := range t.groups {
		start := t.pieces[g.first].start
		was, is := string(t.b[start:t.pieces[g.last].end]), texts[i]
		if was == is {
			continue
		}
		from, to, with := 0, len(was), is
		if !t.pieces[g.first].number {
			from, to, with = difference(was, is)
		}
		out = append(out, span{start: start + from, end: start + to, word: with})
	}
	return out
}

// difference returns which part of a text is replaced by with so that it is another. It is
// not empty: what is only added takes the place of a character beside it.
func difference(was, is string) (from, to int, with string) {
	for from < len(was) && from < len(is) && was[from] == is[from] {
		from++
	}
	tail := 0
	for tail < len(was)-from && tail < len(is)-from && was[len(was)-1-tail] == is[len(is)-1-tail] {
		tail++
	}
	from = wholeRunes(was, from)
	end := len(was) - tail
	for end < len(was) && was[end]&0xc0 == 0x80 { // the rest of a character whose beginning differs
		end++
	}
	tail = len(was) - end
	if from > len(is)-tail {
		return 0, len(was), is
	}
	if with = is[from : len(is)-tail]; from < end {
		return from, end, with
	}
	if from > 0 {
		before := wholeRunes(was, from-1)
		return before, from, was[before:from] + with
	}
	for end++; end < len(was) && was[end]&0xc0 == 0x80; end++ {
	}
	end = min(end, len(was))
	return 0, end, with + was[:end]
}

// wholeRunes returns the offset at or before i where a character begins.
func wholeRunes(s string, i int) int {
	for i > 0 && i < len(s) && s[i]&0xc0 == 0x80 {
		i--
	}
	return i
}
