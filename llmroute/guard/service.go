package guard

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/guard/decide"
)

// The categories of what services decide, and of their failures.
const (
	categoryWebhook    = "webhook"
	categoryModeration = "moderation"
	categoryJudge      = "judge"
)

// asks reports whether the guard asks a service.
func (g *guard) asks() bool { return g.service != nil }

// messages are the text's groups as services are asked about them: in the order of the body,
// as a conversation goes. It was not read in that order.
func (t *text) messages() (out []decide.Message) {
	slices.SortStableFunc(t.groups, func(a, b group) int { return cmp.Compare(t.pieces[a.first].src, t.pieces[b.first].src) })
	for _, g := range t.groups {
		out = append(out, decide.Message{Role: g.role.name(), Content: string(t.b[t.pieces[g.first].start:t.pieces[g.last].end])})
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
func (a *acts) ask(of direction, g *guard, messages []decide.Message) ([]string, *llmprovider.Error) {
	size := 0
	for _, m := range messages {
		size += len(m.Content)
	}
	if size == 0 {
		return nil, nil
	}
	q := &decide.Question{Of: of, Messages: messages, Client: a.call.Client.Name, Header: a.header}
	var v *decide.Verdict
	err := fmt.Errorf("the texts are longer than %d MiB", decide.MaxAsked>>20)
	if size <= decide.MaxAsked {
		v, err = g.service.Ask(a.ctx, q)
	}
	if err != nil {
		return nil, a.failed(of, g, err)
	}
	if v.Category == "" {
		v.Category = g.decides
	}
	changed := !v.Denied && changes(v.Texts, messages)
	if changed && g.Parallel && of == onRequest {
		if !g.Log {
			a.f.logger.Warn("guard with parallel denied a request that its service changed", zap.String("guard", g.name))
		}
		v.Denied = true
	}
	switch {
	case v.Denied && a.note(of, g, Denied, v.Category):
		refused := g.refusal(of, v.Category, "")
		if v.Status >= 400 && v.Status <= 599 {
			refused.Status = v.Status
		}
		return nil, refused
	case changed && !v.Denied && a.note(of, g, Masked, v.Category):
		return v.Texts, nil
	}
	return nil, nil
}

// changes reports whether a service has put other texts in the place of messages; none is none.
func changes(texts []string, messages []decide.Message) bool {
	for i, text := range texts {
		if text != messages[i].Content {
			return true
		}
	}
	return false
}

// failed does what the guard is to do when its service fails.
func (a *acts) failed(of direction, g *guard, err error) *llmprovider.Error {
	if a.ctx.Err() != nil {
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
