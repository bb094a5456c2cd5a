package authorization

import (
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/k8ssource/header"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/authz"
)

// dryRun is the annotation of a policy that only logs what it would do.
const dryRun = "istio.io/dry-run"

// policyBuilder turns one AuthorizationPolicy into a policy, and collects what is
// wrong with it. What is wrong never lets more requests pass: of ALLOW the rule
// matches nothing then, and of the others what cannot be understood restricts
// nothing.
type policyBuilder struct {
	object  *object.AuthorizationPolicy
	out     *authz.Policy
	faults  []object.Fault
	headers []policyHeader
}

// builtPolicy is what was made of an AuthorizationPolicy, apart from the mesh's
// configuration and listeners.
type builtPolicy struct {
	policy  *authz.Policy
	faults  []object.Fault
	headers []policyHeader
}

// policyHeader is a header that a condition of a policy is about.
type policyHeader struct {
	header.Matched
	rule, condition int
}

func buildPolicy(item *object.Item[object.AuthorizationPolicy]) *builtPolicy {
	p := &item.Object
	b := &policyBuilder{object: p, faults: slices.Clone(item.Faults)}
	b.out = &authz.Policy{Name: object.Key(p), Namespace: p.Namespace, Action: authz.Action(p.Spec.Action)}
	if b.out.Action == "" {
		b.out.Action = authz.Allow
	}
	if p.Spec.Provider != nil {
		b.out.Provider = p.Spec.Provider.Name
	}
	b.build()
	return &builtPolicy{b.out, append(b.faults, claimsWithDots(p)...), b.headers}
}

func (b *policyBuilder) build() {
	for i, rule := range b.object.Spec.Rules {
		b.out.Rules = append(b.out.Rules, b.rule(i, rule))
	}
	known := b.failClosed()
	form := b.faults
	if text, ok := b.object.Annotations[dryRun]; ok {
		dry, err := strconv.ParseBool(text)
		if err != nil {
			b.fault("metadata.annotations["+dryRun+"]", `write "true" or "false". Until then the policy is in force`)
		}
		b.out.DryRun = dry
	}
	var problems []authz.Problem
	if known {
		_, problems = authz.New(&authz.Config{Policies: []*authz.Policy{b.out}}, zap.NewNop())
	}
	for _, p := range problems {
		path := policyPath(p.Path)
		if path == "spec.provider" && b.out.Action == authz.Custom || object.IsReported(form, path) {
			continue // who is asked is looked up later
		}
		b.fault(path, "%s", strings.ReplaceAll(p.Message, "not_values", "notValues"))
		if b.out.Action == authz.Allow {
			b.leaveOut(object.EntryOf(b.faults[len(b.faults)-1], "spec.rules"))
		}
	}
	for i := range b.faults {
		b.faults[i].Used = true
	}
}

func (b *policyBuilder) fault(path, format string, args ...any) {
	b.faults = append(b.faults, *object.Faultf(object.ReasonInvalidField, path+": "+format, args...))
}

// failClosed deals with faults of the object's form: rules that cannot be read as
// they were meant, or may be missing. It reports whether any are left as they were.
func (b *policyBuilder) failClosed() (known bool) {
	policy := b.out
	all := len(b.faults) >= object.MaxFaults // of what else is wrong nothing is known
	if object.IsReported(b.faults, "spec.action") {
		policy.Action, all = authz.Deny, true
	}
	allow := policy.Action == authz.Allow
	missing := len(policy.Rules) == 0
	for i := range b.faults {
		f := &b.faults[i]
		rule := object.EntryOf(*f, "spec.rules")
		switch {
		case object.IsWithin(*f, "apiVersion"):
			f.Message += ". Until then it is taken for that"
		case rule >= 0 && allow:
			b.leaveOut(rule)
			f.Message += ". Until then the rule is left out, and lets no request pass"
		case rule >= 0:
			f.Message += ". Until then the policy " + verb(policy.Action) + " what the rest of the rule matches"
		case allow:
			all = true
			f.Message += ". Until then the policy lets no request pass"
		case missing, object.IsWithin(*f, "spec.action"), object.IsWithin(*f, "spec.rules"), !strings.HasPrefix(f.Message, "spec."): // the last may have been anything
			all = true
			f.Message += ". Until then the policy " + verb(policy.Action) + " every request"
		case object.IsWithin(*f, "spec.selector"):
			f.Message += ". Until then the policy is for all workloads"
		}
	}
	switch {
	case all && allow:
		b.leaveOut(-1)
	case all:
		policy.Rules = []*authz.Rule{{}}
		b.headers = nil // no rule is left that looks at one
	}
	return !all
}

// leaveOut leaves out a rule of an ALLOW policy, or all of them (-1). The others keep
// their numbers.
func (b *policyBuilder) leaveOut(rule int) {
	for i := range b.out.Rules {
		if i == rule || rule < 0 {
			b.out.Rules[i] = nil
		}
	}
}

// verb is what a policy does to requests, if it is not ALLOW.
func verb(action authz.Action) string {
	switch action {
	case authz.Audit:
		return "logs"
	case authz.Custom:
		return "asks about"
	}
	return "refuses" // what an unknown action does as well
}
