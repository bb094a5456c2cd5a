package k8ssource

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/k8ssource/api/v1alpha1"
	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmprovider/kind"
	"github.com/caddy-llm/gateway/llmroute/guard"
	"github.com/caddy-llm/gateway/llmroute/guard/decide"
	"github.com/caddy-llm/gateway/llmroute/guard/detect"
)

// wordForm is what names of guards and templates, and categories, may look like.
var wordForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

// llmPolicyBuilder turns one LLMPolicy into guards and a prompt, and collects what is wrong
// with it.
type llmPolicyBuilder struct {
	t      *translation
	object *v1alpha1.LLMPolicy
	out    *builtLLMPolicy
}

func (b *llmPolicyBuilder) fault(reason, format string, args ...any) {
	b.out.faults = append(b.out.faults, *object.Faultf(reason, format, args...))
}

func (b *llmPolicyBuilder) wrong(format string, args ...any) {
	b.fault(object.ReasonInvalidField, format, args...)
}

// build checks the object and fills in what it says. It is complete only if no fault
// refuses it.
func (b *llmPolicyBuilder) build() {
	spec := &b.object.Spec
	b.out.faults = checkTargets(spec.TargetRefs)
	if len(spec.Guards) == 0 && spec.Prompt == nil && spec.Cache == nil {
		b.wrong("spec.guards: there is nothing to do; write at least one guard, spec.prompt or spec.cache")
	}
	if len(spec.Guards) > object.MaxGuards {
		b.wrong("spec.guards: "+object.TooMany, object.MaxGuards)
	}
	key := object.Key(b.object)
	for i := range spec.Guards {
		g, path := &spec.Guards[i], fmt.Sprintf("spec.guards[%d]", i)
		name := key + "/" + g.Name
		switch {
		case !wordForm.MatchString(g.Name):
			b.wrong("%s.name: this is not the name of a guard; write letters, digits, _ and -, at most 32", path)
		case b.out.guards[name] != nil:
			b.wrong("spec.guards: a name is there twice; give each guard one of its own")
		}
		b.out.guards[name] = b.guard(path, g)
		b.out.names.guards = append(b.out.names.guards, name)
	}
	if spec.Prompt != nil {
		b.prompt(spec.Prompt)
		b.out.names.prompts = []string{key}
	}
	if spec.Cache != nil {
		b.cache(spec.Cache)
	}
}

func (b *llmPolicyBuilder) guard(path string, g *v1alpha1.Guard) *guard.Definition {
	before := len(b.out.faults)
	out := &guard.Definition{
		Deny: b.patterns(path+".deny", g.Deny), Mask: b.patterns(path+".mask", g.Mask),
		Roles: g.Roles, Log: g.Log, OnRequest: g.OnRequest, Restore: g.Restore, Status: int(g.Status),
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
		b.wrong("%s: a guard asks one service; give webhook, moderation and judge a guard each", path)
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
	if g.Status != 0 && (g.Status < 400 || g.Status > 499) {
		b.wrong("%s.status: this is not the status of a client's error; write a number from 400 to 499", path)
	}
	if len(b.out.faults) == before {
		if err := out.Check(); err != nil { // what is known to be wrong is reported above
			b.wrong("%s: %s", path, err)
		}
	}
	return out
}

func (b *llmPolicyBuilder) patterns(path string, list []v1alpha1.GuardPattern) (out []guard.Pattern) {
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
			b.wrong("%s.as: this is no category; write letters, digits, _ and -, at most 32", path)
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

// word is Closed or Open as a configuration has it.
func (b *llmPolicyBuilder) word(path, word string) string {
	switch word {
	case "", "Closed", "Open":
	default:
		b.wrong("%s: this is unknown; write Closed or Open", path)
	}
	return strings.ToLower(word)
}

func (b *llmPolicyBuilder) timeout(path string, text v1beta1.Duration) caddy.Duration {
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(string(text))
	if err != nil || d <= 0 || d > object.MaxTimeout {
		b.wrong("%s.timeout: this is not a duration above zero and up to 24h; write one such as 2s", path)
	}
	return caddy.Duration(d)
}

func (b *llmPolicyBuilder) model(path, model string) {
	if len(model) > object.MaxModel {
		b.wrong("%s.model: "+object.TooLong, path, object.MaxModel)
	}
}

func (b *llmPolicyBuilder) onResponse(path string, o *v1alpha1.GuardOnResponse, service bool) *guard.OnResponse {
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
		b.wrong("%s: it must say how streams are looked at; write one of window: BYTES, whole: true and off: true", path)
	}
	return out
}

// provider is the name of an LLMProvider of the policy's namespace. Requests that it is sent
// are paid with its credentials, so those of other namespaces cannot be named.
func (b *llmPolicyBuilder) provider(path, name string, needed bool) string {
	key := b.object.Namespace + "/" + name
	if !object.IsName(name) {
		b.wrong("%s.provider: a provider is required; write the name of an LLMProvider of the object's namespace", path)
		return key
	}
	state := b.t.providerState(key)
	b.out.providers[key] = b.t.providerSays(key)
	switch {
	case state == object.ReasonProviderNotFound:
		b.fault(object.ReasonProviderNotFound, "%s.provider: there is no LLMProvider of this name in namespace %s for this workload; create it, or correct the name", path, b.object.Namespace)
	case state != "":
		b.fault(object.ReasonProviderRefused, "%s.provider: the LLMProvider is not used (%s); correct it", path, state)
	case !needed && !b.t.namesModel(key):
		b.wrong("%s.model: neither this nor the LLMProvider names a model; write the one that decides", path)
	}
	return key
}

// providerSays is what policies depend on of an LLMProvider.
func (t *translation) providerSays(key string) string {
	return fmt.Sprintf("%s %v", t.providerState(key), t.namesModel(key))
}

// namesModel reports whether the default settings of an LLMProvider name a model.
func (t *translation) namesModel(key string) bool {
	for _, spec := range t.state.Providers {
		if spec.Name == key {
			base, ok := kind.BaseOf(spec.Provider)
			return !ok || base.Config.Model != nil && *base.Config.Model != ""
		}
	}
	return true // one of a pool, which is added later
}

func (b *llmPolicyBuilder) judge(path string, j *v1alpha1.GuardJudge) *decide.Judge {
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
