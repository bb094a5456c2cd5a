package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-llm/gateway/k8ssource/api/v1alpha1"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/guard"
	"github.com/caddy-llm/gateway/llmroute/guard/decide"
	"github.com/caddy-llm/gateway/llmroute/guard/detect"
)

func (b *builder) guard(path string, g *v1alpha1.Guard) *guard.Definition {
	before := len(b.out.Faults)
	out := &guard.Definition{
		Deny: b.patterns(path+".deny", g.Deny), Mask: b.patterns(path+".mask", g.Mask),
		Roles: g.Roles, Log: g.Log, OnRequest: g.OnRequest, Restore: g.Restore, Status: int(g.Status), Parallel: g.Parallel,
		Unreadable: b.word(path+".unreadable", g.Unreadable),
	}
	services := 0
	if w := g.Webhook; w != nil {
		services++
		out.Webhook = b.webhook(path+".webhook", w)
	}
	if m := g.Moderation; m != nil {
		services++
		path := path + ".moderation"
		out.Moderation = &decide.Moderation{Provider: b.provider(path, m.Provider, true), Model: m.Model, Timeout: b.timeout(path, m.Timeout), OnFailure: b.word(path+".onFailure", string(m.OnFailure))}
		b.model(path, m.Model)
		if m.Model == "" {
			b.wrong("%s.model: a model is required; write the one that decides", path)
		}
	}
	if j := g.Judge; j != nil {
		services++
		out.Judge = b.judge(path+".judge", j)
	}
	if o := g.OnResponse; o != nil {
		out.OnResponse = b.onResponse(path+".onResponse", o, services > 0)
	}
	switch {
	case len(g.Deny) == 0 && len(g.Mask) == 0 && services == 0 && g.Unreadable == "":
		b.wrong("%s: the guard looks for nothing; write deny, mask, webhook, moderation or judge, or unreadable: Closed to deny only what cannot be read", path)
	case services > 1:
		b.wrong("%s: a guard can ask only one service; write a guard for each of webhook, moderation and judge", path)
	}
	for i := range g.Mask {
		if g.Mask[i].Regex != "" && g.Mask[i].As == "" {
			b.wrong("%s.mask: a regular expression needs a word to put in place of what it finds; write one such as key under as", path)
			break
		}
	}
	for i, role := range g.Roles {
		if !slices.Contains(guard.Roles, role) {
			b.wrong("%s.roles[%d]: there is no such role; write system, user, assistant, tool or other", path, i)
		}
	}
	if g.Restore && (len(g.Mask) == 0 || g.Log || !g.OnRequest && g.OnResponse != nil) {
		b.wrong("%s.restore: the guard masks nothing in requests that could be put back; write mask and onRequest: true without log, or leave it out", path)
	}
	if g.Parallel {
		b.parallel(path+".parallel", g, services > 0)
	}
	if g.Status != 0 && (g.Status < 400 || g.Status > 499) {
		b.wrong("%s.status: this is not the status of a client's error; write a number from 400 to 499", path)
	}
	if len(b.out.Faults) == before {
		if err := out.Check(); err != nil { // what is known to be wrong is reported above
			b.wrong("%s: %s", path, err)
		}
	}
	return out
}

// parallel checks a guard that decides while a provider is asked.
func (b *builder) parallel(path string, g *v1alpha1.Guard, service bool) {
	if !service {
		b.wrong("%s: the guard asks no service that could decide while a provider is asked; write webhook, moderation or judge, or leave it out", path)
	}
	if len(g.Mask) > 0 {
		b.wrong("%s: the request is sent before the guard has decided, so it cannot mask; move mask to a guard of its own, or leave it out", path)
	}
	if g.OnResponse != nil && !g.OnRequest {
		b.wrong("%s: the guard does not look at requests; write onRequest: true, or leave it out", path)
	}
}

func (b *builder) patterns(path string, list []v1alpha1.GuardPattern) (out []guard.Pattern) {
	if len(list) > object.MaxPatterns {
		b.wrong("%s: "+object.TooMany, path, object.MaxPatterns)
	}
	for i := range list {
		p, path := &list[i], fmt.Sprintf("%s[%d]", path, i)
		switch {
		case p.Builtin == "" && p.Regex == "":
			b.wrong("%s: there is no pattern; write builtin or regex", path)
		case p.Builtin != "" && (p.Regex != "" || p.As != ""):
			b.wrong("%s: a built-in pattern takes no regular expression and no word of its own; keep builtin, or regex and as", path)
		case p.Builtin != "" && detect.Builtin(p.Builtin) == nil:
			b.wrong("%s.builtin: there is no such pattern; write email, phone, card, iban or ssn", path)
		case p.As != "" && !wordForm.MatchString(p.As):
			b.wrong("%s.as: this is not a category; write letters, digits, _ and -, at most 32", path)
		case len(p.Regex) > object.MaxRegex:
			b.wrong("%s.regex: "+object.TooLong, path, object.MaxRegex)
		case p.Regex != "":
			if _, err := detect.Regex(p.Regex, p.As); err != nil {
				b.wrong("%s.regex: %s", path, err)
			}
		}
		out = append(out, guard.Pattern{Builtin: p.Builtin, Regex: p.Regex, As: p.As})
	}
	return out
}

func (b *builder) onResponse(path string, o *v1alpha1.GuardOnResponse, service bool) *guard.OnResponse {
	ways := 0
	out := new(guard.OnResponse)
	if o.Window != nil {
		ways++
		out.Stream, out.Window = guard.StreamWindow, int(*o.Window)
		if *o.Window < guard.MinWindow || *o.Window > guard.MaxWindow {
			b.wrong("%s.window: this is out of range; write a number from 16 to 65536", path)
		}
		if service {
			b.wrong("%s: a service is asked about a response once, when all of it has come; write whole: true or off: true", path)
		}
	}
	if o.Whole {
		ways++
		out.Stream = guard.StreamWhole
	}
	if o.Off {
		ways++
		out.Stream = guard.StreamOff
	}
	if ways != 1 {
		b.wrong("%s: it must say how streams are checked; write one of window: BYTES, whole: true and off: true", path)
	}
	return out
}

func (b *builder) judge(path string, j *v1alpha1.GuardJudge) *decide.Judge {
	b.model(path, j.Model)
	switch {
	case strings.TrimSpace(j.Prompt) == "":
		b.wrong("%s.prompt: a prompt is required; write what the model is to deny", path)
	case len(j.Prompt) > object.MaxPromptText:
		b.wrong("%s.prompt: "+object.TooLong, path, object.MaxPromptText)
	}
	return &decide.Judge{
		Provider: b.provider(path, j.Provider, j.Model != ""), Model: j.Model, Prompt: j.Prompt,
		Timeout: b.timeout(path, j.Timeout), OnFailure: b.word(path+".onFailure", string(j.OnFailure)),
	}
}
