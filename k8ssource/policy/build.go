package policy

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/k8ssource/api/v1alpha1"
	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/guard"
	"github.com/caddy-llm/gateway/llmroute/prompt"
)

// wordForm is what names of guards and templates, and categories, may look like.
var wordForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

// Input is what an LLMPolicy is built from, beside the object itself.
type Input struct {
	Secrets object.Secrets
	// Provider is what is known of the LLMProvider of a namespace and name.
	Provider func(key string) Provider
	// AllowAnyHost lets webhooks be at addresses that are refused otherwise.
	AllowAnyHost bool
}

// Provider is what policies depend on of an LLMProvider.
type Provider struct {
	// Unusable is why it is not used, empty if it is.
	Unusable string
	// NamesModel tells that its default settings name a model.
	NamesModel bool
}

// Built is what was made of an LLMPolicy, wherever it is attached. It is complete only if no
// fault refuses it.
type Built struct {
	Attached Attached
	Guards   map[string]*guard.Definition // by their names in Attached
	Prompt   *prompt.Definition           // nil without one
	Faults   []object.Fault
	// Secrets are the Secrets that were looked for, nil where there was none, and Providers
	// what was known of the LLMProviders that were.
	Secrets   map[string]*object.Item[object.Secret]
	Providers map[string]Provider
}

// Build makes what an LLMPolicy describes.
func Build(p *v1alpha1.LLMPolicy, in *Input) *Built {
	b := &builder{in: in, object: p, out: &Built{
		Guards: make(map[string]*guard.Definition), Secrets: make(map[string]*object.Item[object.Secret]), Providers: make(map[string]Provider),
	}}
	b.build()
	return b.out
}

// builder turns one LLMPolicy into guards, a prompt and a cache, and collects what is wrong
// with it.
type builder struct {
	in     *Input
	object *v1alpha1.LLMPolicy
	out    *Built
}

func (b *builder) fault(reason, format string, args ...any) {
	b.out.Faults = append(b.out.Faults, *object.Faultf(reason, format, args...))
}

func (b *builder) wrong(format string, args ...any) {
	b.fault(object.ReasonInvalidField, format, args...)
}

// build checks the object and fills in what it says.
func (b *builder) build() {
	spec := &b.object.Spec
	b.out.Faults = CheckTargets(spec.TargetRefs)
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
		case b.out.Guards[name] != nil:
			b.wrong("spec.guards: two guards have the same name; give each one of its own")
		}
		b.out.Guards[name] = b.guard(path, g)
		b.out.Attached.Guards = append(b.out.Attached.Guards, name)
	}
	if spec.Prompt != nil {
		b.prompt(spec.Prompt)
		b.out.Attached.Prompts = []string{key}
	}
	if spec.Cache != nil {
		b.cache(spec.Cache)
	}
}

// word is Closed or Open as a configuration has it.
func (b *builder) word(path, word string) string {
	switch word {
	case "", "Closed", "Open":
	default:
		b.wrong("%s: this is unknown; write Closed or Open", path)
	}
	return strings.ToLower(word)
}

func (b *builder) timeout(path string, text v1beta1.Duration) caddy.Duration {
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(string(text))
	if err != nil || d <= 0 || d > object.MaxTimeout {
		b.wrong("%s.timeout: this is not a duration above zero and up to 24h; write one such as 2s", path)
	}
	return caddy.Duration(d)
}

func (b *builder) model(path, model string) {
	if len(model) > object.MaxModel {
		b.wrong("%s.model: "+object.TooLong, path, object.MaxModel)
	}
}
