package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddy-llm/gateway/k8ssource/api/v1alpha1"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/prompt"
)

// prompt fills in what the policy adds to requests.
func (b *builder) prompt(p *v1alpha1.Prompt) {
	out := &prompt.Definition{Prepend: b.messages("spec.prompt.prepend", p.Prepend), Append: b.messages("spec.prompt.append", p.Append)}
	if len(p.Prepend) == 0 && len(p.Append) == 0 && len(p.Templates) == 0 {
		b.wrong("spec.prompt: it adds nothing; write prepend, append or templates")
	}
	if len(p.Templates) > object.MaxTemplates {
		b.wrong("spec.prompt.templates: must have at most %d entries", object.MaxTemplates)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Templates)) {
		path := "spec.prompt.templates[" + object.ShownName(name) + "]"
		if !wordForm.MatchString(name) {
			b.wrong("%s: this is not the name of a template; write letters, digits, _ and -, at most 32", path)
		}
		if len(p.Templates[name].Messages) == 0 {
			b.wrong("%s.messages: there are none; write at least one message", path)
		}
		if out.Templates == nil {
			out.Templates = make(map[string][]prompt.Message)
		}
		out.Templates[name] = b.messages(path+".messages", p.Templates[name].Messages)
	}
	b.out.Prompt = out
}

func (b *builder) messages(path string, list []v1alpha1.PromptMessage) (out []prompt.Message) {
	if len(list) > object.MaxMessages {
		b.wrong("%s: "+object.TooMany, path, object.MaxMessages)
	}
	for i := range list {
		m, path := &list[i], fmt.Sprintf("%s[%d]", path, i)
		if !slices.Contains(prompt.Roles, m.Role) {
			b.wrong("%s.role: there is no such role; write system, user or assistant", path)
		}
		switch {
		case strings.TrimSpace(m.Content) == "":
			b.wrong("%s.content: the message is empty; write its text", path)
		case len(m.Content) > object.MaxPromptText:
			b.wrong("%s.content: "+object.TooLong, path, object.MaxPromptText)
		}
		out = append(out, prompt.Message{Role: m.Role, Content: m.Content})
	}
	return out
}
