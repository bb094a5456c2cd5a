package caddyfile

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-llm/gateway/internal/options"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// ruleBlock is a rule while it is read.
type ruleBlock struct {
	spec.Rule
	helper    httpcaddyfile.Helper
	providers *providerNames
}

func newRule(r *routeBlock) *ruleBlock {
	return &ruleBlock{helper: r.helper, providers: r.providers}
}

// options are those of a rule:
//
//	match    <matcher> ...
//	to       <provider> [model <name>] [weight <number>] [priority <number>]
//	policy   <module> ...
//	attempts <number>
//	retry_on <status...>
//	translation strict
//	guards   <names...>
//	prompt   <names...>
//	cache    { ... }
//
// One match line, or block of them, is a set of matchers that must all match;
// of several sets one must. Each provider has a to line of its own. All options
// set the fields of spec.Rule and spec.Backend.
func (r *ruleBlock) options() []options.Option {
	return []options.Option{
		{Name: "match", Block: true, Parse: r.parseMatch},
		{Name: "to", Parse: r.parseTo},
		{Name: "policy", Block: true, Parse: r.parsePolicy},
		{Name: "attempts", Parse: options.Value(&r.Attempts, "a number of backends, 1 or more", options.Number(1, math.MaxInt32))},
		{Name: "retry_on", Parse: r.parseRetryOn},
		{Name: "translation", Parse: options.Value(&r.Translation, spec.TranslationStrict, parseTranslation)},
		{Name: "guards", Parse: texts(&r.Guards)},
		{Name: "prompt", Parse: texts(&r.Prompts)},
		{Name: "cache", Block: true, Parse: func(d *caddyfile.Dispenser) error { return parseRuleCache(d, &r.Rule) }},
	}
}

func parseTranslation(s string) (string, error) {
	if s != spec.TranslationStrict {
		return "", options.ErrUnexpected
	}
	return s, nil
}

// check reports what is wrong with the rule as a whole.
func (r *ruleBlock) check(at *caddyfile.Dispenser) error {
	if len(r.Backends) == 0 {
		return at.Errf("%s has nowhere to go; write at least one line: to PROVIDER", r.label())
	}
	if err := spec.CheckWeights(r.Backends); err != nil {
		return at.Errf("%s: %w", r.label(), err)
	}
	return nil
}

func (r *ruleBlock) label() string {
	if r.Name == "" {
		return "the rule"
	}
	return "rule " + r.Name
}

// parseTo reads: to <provider> [model <name>] [weight <number>] [priority <number>]
func (r *ruleBlock) parseTo(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.Errf("to takes the name of a provider; expected: to NAME [model M] [weight N] [priority N]")
	}
	b := &spec.Backend{Provider: d.Val()}
	if err := r.providers.check(b.Provider); err != nil {
		return d.WrapErr(err)
	}
	prioritySet := false
	for d.NextArg() {
		switch word := d.Val(); {
		case word == "model" && b.Model == "":
			model, err := modelOf(d, b.Provider)
			if err != nil {
				return err
			}
			b.Model = model
		case word == "weight" && b.Weight == nil:
			n, err := number(d, "weight", 1<<30)
			if err != nil {
				return err
			}
			b.Weight = &n
		case word == "priority" && !prioritySet:
			n, err := number(d, "priority", math.MaxInt32)
			if err != nil {
				return err
			}
			b.Priority, prioritySet = n, true
		case word == "weight" || word == "priority" || word == "model":
			return d.Errf("%s is given twice for %s; keep one", word, b.Provider)
		default:
			return d.Errf("unexpected %s after to %s; expected model M, weight N or priority N, and another to line for another provider", options.Quoted(word), b.Provider)
		}
	}
	r.Backends = append(r.Backends, b)
	return nil
}

// modelOf reads the name after the word model, on which d stands.
func modelOf(d *caddyfile.Dispenser, provider string) (string, error) {
	if !d.NextArg() {
		return "", d.Errf("model needs the name of the model to request from %s", options.Unquoted(provider))
	}
	model, err := options.Text(d.Val())
	if err != nil {
		return "", d.Errf("the model of to %s is empty; write its name, or leave model out for the provider's own", options.Unquoted(provider))
	}
	return model, nil
}

// number reads the argument after the word on which d stands.
func number(d *caddyfile.Dispenser, name string, most int) (int, error) {
	if !d.NextArg() {
		return 0, d.Errf("%s needs a whole number, 0 or more", name)
	}
	n, err := strconv.Atoi(d.Val())
	if err != nil || n < 0 || n > most {
		return 0, d.Errf("%s is %s; expected a whole number from 0 to %d", name, options.Quoted(d.Val()), most)
	}
	return n, nil
}

// parsePolicy reads: policy <module> ...
func (r *ruleBlock) parsePolicy(d *caddyfile.Dispenser) error {
	const namespace = "llm.selection_policies"
	if r.PolicyRaw != nil {
		return d.Errf("policy is given twice; keep one")
	}
	if !d.NextArg() {
		return d.Errf("policy needs the name of a selection policy; this build has: %s", options.ModuleNames(namespace))
	}
	name := d.Val()
	info, err := caddy.GetModule(namespace + "." + name)
	if err != nil {
		return d.Errf("unknown policy %s; this build has: %s", options.Quoted(name), options.ModuleNames(namespace))
	}
	module := info.New()
	segment := d.NextSegment()
	if u, ok := module.(caddyfile.Unmarshaler); ok {
		if err := u.UnmarshalCaddyfile(caddyfile.NewDispenser(segment)); err != nil {
			return options.Located(d, err)
		}
	} else if len(segment) > 1 {
		return d.Errf("policy %s takes no arguments and no block", name)
	}
	r.PolicyRaw = caddyconfig.JSONModuleObject(module, "policy", name, nil)
	return nil
}

// parseRetryOn reads: retry_on <status...>
func (r *ruleBlock) parseRetryOn(d *caddyfile.Dispenser) error {
	if r.RetryOn != nil {
		return d.Errf("retry_on is given twice; write all statuses on one line")
	}
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.Errf("retry_on takes the statuses, from 400 to 599, after which another backend is tried")
	}
	for _, arg := range args {
		status, err := strconv.Atoi(arg)
		if err != nil || status < 400 || status > 599 {
			return d.Errf("retry_on has %s; expected statuses from 400 to 599", options.Quoted(arg))
		}
		r.RetryOn = append(r.RetryOn, status)
	}
	return nil
}

// providerNames are the providers that a rule may name.
type providerNames struct {
	names  []string
	source bool // a source may supply more
}

const defineProvider = "define a provider in the global options: { llm { provider NAME { ... } } }"

// newProviderNames takes them from the value of the global option llm.
func newProviderNames(option any) (*providerNames, error) {
	app, err := configuredApp(option)
	if err != nil {
		return nil, err
	}
	return &providerNames{names: slices.Sorted(maps.Keys(app.ProvidersRaw)), source: app.SourceRaw != nil}, nil
}

func (p *providerNames) none() bool { return len(p.names) == 0 && !p.source }

func (p *providerNames) check(name string) error {
	switch {
	case name == "":
		return errors.New("to takes the name of a provider; it is empty")
	case p.source || slices.Contains(p.names, name):
		return nil
	case p.none():
		return fmt.Errorf("there is no provider %s; %s", options.Quoted(name), defineProvider)
	}
	return fmt.Errorf("there is no provider %s; the global option llm defines: %s", options.Quoted(name), strings.Join(p.names, ", "))
}
