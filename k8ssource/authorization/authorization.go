package authorization

import (
	"maps"
	"reflect"
	"slices"

	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/k8ssource/workload"
	"github.com/caddy-llm/gateway/llmroute/authz"
)

// Applied is what requests are held to, while it is worked out.
type Applied struct {
	in            *Input
	before, Built *Built

	policies        []*appliedPolicy
	authentications []*appliedAuthentication
	mesh            *mesh
}

// Input is what requests' authorization is worked out from.
type Input struct {
	Policies        []*object.Item[object.AuthorizationPolicy]   // one of each name
	Authentications []*object.Item[object.RequestAuthentication] // one of each name
	ConfigMaps      []*object.Item[object.ConfigMap]
	Namespaces      map[string]bool // that objects are in
	Workload        *workload.Workload
	Findings        *object.Findings // which is added to

	// Gateways returns those of Gateway API that a target of a policy in a namespace names and
	// that are served here, by namespace and name. missing reports that the target should be
	// one of them, and is none.
	Gateways Gateways

	AllowAnyHost bool // token rules may name any address
	Unused       bool // no requests are held to policies
}

// Gateways is that of Input.
type Gateways func(namespace string, target object.PolicyTarget) (served []string, missing bool)

// Built is what was made of single objects, which a later translation takes over
// where they are the same.
type Built struct {
	policies        map[*object.Item[object.AuthorizationPolicy]]*builtPolicy
	authentications map[*object.Item[object.RequestAuthentication]]*builtAuthentication
	config          *authz.Config // nil without any
}

// appliedPolicy is an AuthorizationPolicy for the workload.
type appliedPolicy struct {
	*builtPolicy
	object.Origin
	policy *authz.Policy // builtPolicy's, or a changed copy
}

// appliedAuthentication is a RequestAuthentication for the workload.
type appliedAuthentication struct {
	*builtAuthentication
	object.Origin
	gateways []string // that it is for, none for all
}

// policyScope is what decides which workloads a policy is for.
type policyScope struct {
	namespace string
	selector  *object.PolicySelector
	targets   []object.PolicyTarget
	unplaced  bool           // the namespace may be another one than that
	faults    []object.Fault // that reading found
}

func scopeOfPolicy(i *object.Item[object.AuthorizationPolicy]) policyScope {
	p := &i.Object
	return policyScope{p.Namespace, p.Spec.Selector, targetsOf(p.Spec.TargetRef, p.Spec.TargetRefs), i.Unplaced, i.Faults}
}

func scopeOfAuthentication(i *object.Item[object.RequestAuthentication]) policyScope {
	r := &i.Object
	return policyScope{r.Namespace, r.Spec.Selector, targetsOf(r.Spec.TargetRef, r.Spec.TargetRefs), i.Unplaced, i.Faults}
}

func targetsOf(one *object.PolicyTarget, more []object.PolicyTarget) []object.PolicyTarget {
	if one == nil {
		return more
	}
	return append([]object.PolicyTarget{*one}, more...)
}

// targeted returns the Gateways of Gateway API that the policy is for, none if it is for
// workloads, or for other objects. missing reports that it should be for some.
func (s *policyScope) targeted(gateways Gateways) (out []string, missing bool) {
	for _, target := range s.targets {
		served, none := gateways(s.namespace, target)
		missing = missing || none
		for _, g := range served {
			if !slices.Contains(out, g) {
				out = append(out, g)
			}
		}
	}
	return out, missing
}

// isFor reports whether a policy is for the workload. If it cannot be read for whom it
// is, it is for this one.
func (s *policyScope) isFor(w *workload.Workload) bool {
	switch {
	case !w.Known:
		return true
	case !s.unplaced && object.IsNamespace(s.namespace) && s.namespace != w.RootNamespace && s.namespace != w.Identity.Namespace:
		return false
	case s.selector == nil || object.HasLabels(w.Identity.Labels, s.selector.MatchLabels):
		return true
	}
	return len(s.faults) >= object.MaxFaults || slices.ContainsFunc(s.faults, func(f object.Fault) bool {
		return object.IsWithin(f, "spec.selector") || !object.IsWithin(f, "spec") && !object.IsWithin(f, "metadata") && !object.IsWithin(f, "apiVersion")
	})
}

// strandedFault says that a policy is in a namespace of which the files have nothing
// else, so that the name is most likely misspelt. It returns nothing for others, and
// where no policies hold.
func (in *Input) strandedFault(file, namespace string) []object.Fault {
	if file == "" || in.Namespaces[namespace] || namespace == in.Workload.RootNamespace || namespace == in.Workload.Identity.Namespace || in.Unused {
		return nil
	}
	return []object.Fault{*object.Faultf(object.ReasonOtherNamespace, "metadata.namespace: nothing else in the files is in this namespace, which is neither the workload's (%s) nor the root namespace (%s), so that the object holds for no request here; "+
		"write one of these, or give the object with the files of its own workload", object.ShownName(in.Workload.Identity.Namespace), object.ShownName(in.Workload.RootNamespace))}
}

// misspeltFault says that a selector is for other workloads by a typing error: each of
// its labels is one of the workload's, or differs from one in a letter. It returns nothing
// for others.
func (s *policyScope) misspeltFault(w *workload.Workload) []object.Fault {
	if s.selector == nil || s.namespace != w.RootNamespace && s.namespace != w.Identity.Namespace {
		return nil
	}
	misspelt := ""
	for _, name := range slices.Sorted(maps.Keys(s.selector.MatchLabels)) {
		value := s.selector.MatchLabels[name]
		if own, there := w.Identity.Labels[name]; there && own == value {
			continue
		}
		near := false
		for own, ownValue := range w.Identity.Labels {
			near = near || (name == own || object.IsTypingError(name, own)) && (value == ownValue || object.IsTypingError(value, ownValue))
		}
		if !near {
			return nil
		}
		misspelt = name
	}
	if misspelt == "" {
		return nil
	}
	return []object.Fault{*object.Faultf(object.ReasonNeverMatches, "spec.selector.matchLabels[%s]: the workload has almost this label, and the object holds for no request here; write the label as the workload has it", object.ShownName(misspelt))}
}

// targetFault says that a policy for objects of Gateway API is for none that is served here.
func targetFault() []object.Fault {
	return []object.Fault{*object.Faultf(object.ReasonUnsupportedTarget, "spec.targetRefs: they name no Gateway of Gateway API that this gateway serves, and the object holds for no request here; write one of the same namespace, or, in the root namespace, a GatewayClass, or selector.matchLabels to select workloads")}
}

// Read takes in the policies for the workload. before is what the last time was
// made, nil without any. What depends on listeners follows in ExpectHeaders.
func Read(in *Input, before *Built) *Applied {
	if before == nil {
		before = new(Built)
	}
	a := &Applied{in: in, before: before, Built: &Built{
		policies:        make(map[*object.Item[object.AuthorizationPolicy]]*builtPolicy, len(in.Policies)),
		authentications: make(map[*object.Item[object.RequestAuthentication]]*builtAuthentication, len(in.Authentications)),
	}}
	a.mesh = in.readMesh()
	for _, item := range in.Policies {
		scope, o := scopeOfPolicy(item), object.OriginOf(object.KindAuthorizationPolicy, item)
		gateways, missing := scope.targeted(in.Gateways)
		switch {
		case len(gateways) == 0 && !missing && !scope.isFor(in.Workload):
			in.Findings.Report(o, append(in.strandedFault(item.File, scope.namespace), scope.misspeltFault(in.Workload)...))
		case len(gateways) == 0 && len(scope.targets) > 0:
			in.Findings.Report(o, targetFault())
		default:
			built := before.policies[item]
			if built == nil {
				built = buildPolicy(item)
			}
			a.Built.policies[item] = built
			in.Findings.Report(o, built.faults)
			applied := &appliedPolicy{built, o, built.policy}
			if len(gateways) > 0 {
				applied.change().Gateways = gateways
			}
			a.policies = append(a.policies, applied)
		}
	}
	for _, item := range in.Authentications {
		scope, o := scopeOfAuthentication(item), object.OriginOf(object.KindRequestAuthentication, item)
		gateways, missing := scope.targeted(in.Gateways)
		switch {
		case len(gateways) == 0 && !missing && !scope.isFor(in.Workload):
			in.Findings.Report(o, append(in.strandedFault(item.File, scope.namespace), scope.misspeltFault(in.Workload)...))
		case len(gateways) == 0 && len(scope.targets) > 0:
			in.Findings.Report(o, targetFault())
		default:
			built := before.authentications[item]
			if built == nil {
				built = buildAuthentication(item, !in.AllowAnyHost)
			}
			a.Built.authentications[item] = built
			in.Findings.Report(o, built.faults)
			a.authentications = append(a.authentications, &appliedAuthentication{built, o, gateways})
		}
	}
	return a
}

// Config puts together what requests are held to, nil if there is nothing.
func (a *Applied) Config() *authz.Config {
	if len(a.policies)+len(a.authentications) == 0 {
		return nil
	}
	config := &authz.Config{TrustedProxies: a.mesh.proxies}
	for _, applied := range a.authentications {
		for _, rule := range applied.rules {
			if len(applied.gateways) > 0 {
				targeted := *rule
				targeted.Gateways, rule = applied.gateways, &targeted
			}
			config.JWT = append(config.JWT, rule)
		}
	}
	for _, applied := range a.policies {
		a.askMesh(applied, config)
		config.Policies = append(config.Policies, applied.policy)
	}
	a.reportMesh()
	if last := a.before.config; reflect.DeepEqual(last, config) {
		config = last
	}
	a.Built.config = config
	return config
}

// change is a copy of the policy that may be changed, with the rules.
func (p *appliedPolicy) change() *authz.Policy {
	if p.policy == p.builtPolicy.policy {
		changed := *p.policy
		changed.Rules = slices.Clone(changed.Rules)
		p.policy = &changed
	}
	return p.policy
}

// failClosed has a rule of the policy fail closed for a part that can never be compared:
// of ALLOW it is left out, and else the part. without takes the part out of a rule
// that may be changed.
func (p *appliedPolicy) failClosed(rule int, without func(*authz.Rule)) {
	rules := p.change().Rules
	switch {
	case p.policy.Action == authz.Allow || p.policy.Action == "":
		rules[rule] = nil
	case rules[rule] != nil:
		changed := *rules[rule]
		without(&changed)
		rules[rule] = &changed
	}
}
