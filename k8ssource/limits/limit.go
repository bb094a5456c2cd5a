package limits

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/k8ssource/api/v1alpha1"
	"github.com/caddy-llm/gateway/k8ssource/header"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/k8ssource/workload"
	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// Translation adds limits to a state that has its providers and routes.
type Translation struct {
	Objects  *object.Set
	Workload *workload.Workload
	State    *spec.State
	Findings *object.Findings // which is added to
	// Configured is what limits need to know of the configuration; nil if it is not known.
	Configured *spec.LimitsConfig
	// HasTarget reports whether there is an object that a reference may be to.
	HasTarget func(kind, key string) bool

	// Before are the last good limits of a translation before this one, by kind, namespace
	// and name, and Good those that a later one can take over.
	Before, Good map[string][]*limit.Definition
}

// limitBuilder turns one LLMLimit into a definition, and collects what is wrong with it.
type limitBuilder struct {
	t      *Translation
	object *v1alpha1.LLMLimit
	out    *limit.Definition
	faults []object.Fault
}

// Name is the name of an object's limit, by which it is known to clients and in
// metrics. A namespace has no dot.
func Name(namespace, name string) string { return namespace + "." + name }

// Add adds the limits of the LLMLimits to the state.
func (t *Translation) Add(items []*object.Item[v1alpha1.LLMLimit]) {
	for _, item := range slices.SortedFunc(slices.Values(items), func(a, b *object.Item[v1alpha1.LLMLimit]) int {
		return strings.Compare(object.Key(&a.Object), object.Key(&b.Object))
	}) {
		b := &limitBuilder{t: t, object: &item.Object}
		b.build()
		faults := item.Faults
		if len(faults) == 0 {
			// What does not fit its type is missing, and not wrong again.
			faults = b.faults
		}
		t.useLimits(object.OriginOf(object.KindLLMLimit, item), object.KindLLMLimit+" "+object.Key(&item.Object), faults, []*limit.Definition{b.out})
	}
}

// useLimits adds the limits of an object to the state, or those that it had before if it
// is refused.
func (t *Translation) useLimits(o object.Origin, key string, faults []object.Fault, made []*limit.Definition) {
	if object.Refusal(faults) == "" {
		faults = append(faults, t.unheld(made)...)
	}
	if object.Refusal(faults) != "" {
		made = t.Before[key]
		faults = stillLimited(faults, made)
	}
	t.Findings.Report(o, faults)
	if len(made) == 0 {
		return
	}
	if t.Good == nil {
		t.Good = make(map[string][]*limit.Definition)
	}
	t.Good[key] = made
	t.State.Limits = append(t.State.Limits, made...)
}

// unheld are the faults of limits that cannot hold beside those there are, or not in the
// configured store.
func (t *Translation) unheld(made []*limit.Definition) (faults []object.Fault) {
	for _, d := range made {
		if slices.ContainsFunc(t.State.Limits, func(other *limit.Definition) bool { return other.Name == d.Name }) {
			faults = append(faults, *object.Faultf(object.ReasonConflict, "metadata.name: another object has a limit of the name %s, which holds; rename one of them", d.Name))
		}
	}
	if c := t.Configured; c != nil && c.Holds != nil {
		if err := c.Holds(made); err != nil {
			faults = append(faults, *object.Faultf(object.ReasonInvalidField, "spec: %s", err))
		}
	}
	return faults
}

// stillLimited says what becomes of requests while the object cannot be used: an invalid
// change must not set free what was limited.
func stillLimited(faults []object.Fault, used []*limit.Definition) []object.Fault {
	out := slices.Clone(faults)
	for i := range out {
		if len(used) > 0 && !out[i].Used {
			out[i].Message += "; the limit holds as it was before until then"
		}
	}
	return out
}

// build checks the object and fills in the definition. It is complete only if no fault
// refuses it.
func (b *limitBuilder) build() {
	spec := &b.object.Spec
	b.out = &limit.Definition{
		Name: Name(b.object.Namespace, b.object.Name), Require: spec.Require, Rules: spec.Rules, Models: spec.Models,
		Estimate: spec.Estimate, OnExceeded: spec.OnExceeded, OnStoreFailure: spec.OnStoreFailure, Shadow: spec.Shadow, Tier: spec.Tier,
	}
	if len(b.object.Name) > object.MaxLimitName {
		b.fault("metadata.name: "+object.TooLong, object.MaxLimitName)
	}
	b.targets()
	b.key()
	b.amounts()
	b.concurrent()
	b.names("spec.rules", spec.Rules)
	b.names("spec.models", spec.Models)
	b.providers()
	b.matches()
	b.word("spec.estimate", spec.Estimate, limit.EstimateTypical, limit.EstimateStrict)
	b.word("spec.onExceeded", spec.OnExceeded, limit.OnExceededFinish, limit.OnExceededCut)
	b.word("spec.onStoreFailure", spec.OnStoreFailure, limit.OnFailureDeny, limit.OnFailureAllow, limit.OnFailureShare)
	if object.Refusal(b.faults) != "" {
		return
	}
	if err := b.out.Check(); err != nil { // what is known to be wrong is reported above
		b.fault("spec: %s", err)
		return
	}
	b.reportUnmet()
}

func (b *limitBuilder) fault(format string, args ...any) {
	b.faults = append(b.faults, *object.Faultf(object.ReasonInvalidField, format, args...))
}

// warn adds a fault that does not keep the object from being used.
func (b *limitBuilder) warn(reason, format string, args ...any) {
	b.faults = append(b.faults, *object.Warningf(reason, format, args...))
}

// bound reports a list that is too long.
func (b *limitBuilder) bound(path string, length, most int) {
	if length > most {
		b.fault("%s: "+object.TooMany, path, most)
	}
}

// targets fills in which requests the limit is about.
func (b *limitBuilder) targets() {
	refs := b.object.Spec.TargetRefs
	b.bound("spec.targetRefs", len(refs), object.MaxTargetRefs)
	b.out.Scope = new(limit.Scope)
	if len(refs) == 0 {
		if b.object.Namespace == b.t.Workload.RootNamespace {
			b.out.Scope.Everything = true
		} else {
			b.out.Scope.Namespace = b.object.Namespace
		}
		return
	}
	for i := range refs {
		ref := &refs[i]
		if faults := object.CheckTarget(i, ref); len(faults) > 0 {
			b.faults = append(b.faults, faults...)
			continue
		}
		switch ref.Kind {
		case object.KindLLMRoute:
			b.out.Scope.Routes = append(b.out.Scope.Routes, limit.Object{Kind: object.KindLLMRoute, Namespace: b.object.Namespace, Name: ref.Name})
		case object.KindLLMProvider:
			b.out.Scope.Providers = append(b.out.Scope.Providers, b.object.Namespace+"/"+ref.Name)
		case object.KindGateway:
			b.out.Scope.Gateways = append(b.out.Scope.Gateways, b.object.Namespace+"/"+ref.Name)
		}
	}
}

func (b *limitBuilder) key() {
	spec := &b.object.Spec
	b.bound("spec.key", len(spec.Key), object.MaxLimitKeys)
	twice := false
	for i, text := range spec.Key {
		k, err := limit.ParseKey(text)
		if err != nil || len(text) > object.MaxLimitKey {
			b.fault("spec.key[%d]: there is no such key; write client, workload, namespace, provider, model, rule, ip, header NAME or claim NAME", i)
			continue
		}
		if name, ok := k.Header(); ok {
			b.faults = append(b.faults, (&header.Matched{Path: fmt.Sprintf("spec.key[%d]", i), Name: name}).UnlessExpected()...)
		}
		twice = twice || slices.Contains(b.out.Key, k)
		b.out.Key = append(b.out.Key, k)
	}
	if twice {
		b.fault("spec.key: a key is listed twice; keep one of them")
	}
	if spec.Require && len(spec.Key) == 0 {
		b.fault("spec.require: there is no key whose value could be required; write one such as client under spec.key")
	}
	if spec.Tier && !slices.Contains(spec.Key, string(limit.KeyClient)) {
		b.fault("spec.tier: a tier is for clients; add client to spec.key")
	}
}

func (b *limitBuilder) names(path string, list []string) {
	b.bound(path, len(list), object.MaxLimitNames)
	for i, name := range list {
		if name == "" {
			b.fault("%s[%d]: this is empty; write a name, or leave it out", path, i)
		}
		if len(name) > object.MaxModel {
			b.fault("%s[%d]: "+object.TooLong, path, i, object.MaxModel)
		}
	}
}

func (b *limitBuilder) providers() {
	list := b.object.Spec.Providers
	b.bound("spec.providers", len(list), object.MaxLimitNames)
	for i, name := range list {
		namespace, short, ok := strings.Cut(name, "/")
		if !ok {
			namespace, short = b.object.Namespace, name
		}
		if !object.IsNamespace(namespace) || !object.IsName(short) {
			b.fault("spec.providers[%d]: this is not the name of an %s; write namespace/name, or name for one in the object's own namespace", i, object.KindLLMProvider)
			continue
		}
		b.out.Providers = append(b.out.Providers, namespace+"/"+short)
	}
}

// matches fills in the matchers, which are those of an LLMRoute's headers.
func (b *limitBuilder) matches() {
	list := b.object.Spec.Matches
	b.bound("spec.matches", len(list), object.MaxMatches)
	everything := false
	var sets []caddy.ModuleMap
	var matched []header.Matched
	before := len(b.faults)
	for i, m := range list {
		made := header.New(fmt.Sprintf("spec.matches[%d].headers", i), m.Headers)
		everything = everything || made.Matcher == nil
		sets = append(sets, made.Matcher)
		matched = append(matched, made.Matched...)
		b.faults = append(b.faults, made.Faults...)
	}
	if !everything {
		b.out.MatcherSetsRaw = sets
	}
	if object.Refusal(b.faults[before:]) == "" {
		for _, h := range matched {
			b.faults = append(b.faults, h.UnlessExpected()...)
		}
	}
}

func (b *limitBuilder) word(path, value string, known ...string) {
	if value == "" || slices.Contains(known, value) {
		return
	}
	last := len(known) - 1
	b.fault("%s: this is unknown; write %s or %s", path, strings.Join(known[:last], ", "), known[last])
}
