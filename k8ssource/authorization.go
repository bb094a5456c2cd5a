package k8ssource

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/authz"
)

// authorization is what requests are held to, while it is worked out.
type authorization struct {
	policies        []*appliedPolicy
	authentications []*appliedAuthentication
	mesh            *mesh
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
}

// policyScope is what decides which workloads a policy is for.
type policyScope struct {
	namespace string
	selector  *object.PolicySelector
	targeted  bool
	unplaced  bool           // the namespace may be another one than that
	faults    []object.Fault // that reading found
}

func scopeOfPolicy(i *object.Item[object.AuthorizationPolicy]) policyScope {
	p := &i.Object
	return policyScope{p.Namespace, p.Spec.Selector, p.Spec.TargetRef != nil || len(p.Spec.TargetRefs) > 0, i.Unplaced, i.Faults}
}

func scopeOfAuthentication(i *object.Item[object.RequestAuthentication]) policyScope {
	r := &i.Object
	return policyScope{r.Namespace, r.Spec.Selector, r.Spec.TargetRef != nil || len(r.Spec.TargetRefs) > 0, i.Unplaced, i.Faults}
}

// isFor reports whether a policy is for the workload. If it cannot be read for whom it
// is, it is for this one.
func (t *translation) isFor(s policyScope) bool {
	switch {
	case !t.known:
		return true
	case !s.unplaced && object.IsNamespace(s.namespace) && s.namespace != t.options.RootNamespace && s.namespace != t.identity.Namespace:
		return false
	case s.selector == nil || object.HasLabels(t.identity.Labels, s.selector.MatchLabels):
		return true
	}
	return len(s.faults) >= object.MaxFaults || slices.ContainsFunc(s.faults, func(f object.Fault) bool {
		return object.IsWithin(f, "spec.selector") || !object.IsWithin(f, "spec") && !object.IsWithin(f, "metadata") && !object.IsWithin(f, "apiVersion")
	})
}

// strandedFault says that a policy is in a namespace of which the files have nothing
// else, so that the name is most likely misspelt. It returns nothing for others, and
// where no policies hold.
func (t *translation) strandedFault(file, namespace string) []object.Fault {
	if file == "" || t.objects.Namespaces[namespace] || namespace == t.options.RootNamespace || namespace == t.identity.Namespace || t.options.MeshListen != "" && len(t.bound) == 0 {
		return nil
	}
	return []object.Fault{*object.Faultf(object.ReasonOtherNamespace, "metadata.namespace: nothing else in the files is in this namespace, which is neither the workload's (%s) nor the root namespace (%s), so that the object holds for no request here; "+
		"write one of these, or give the object with the files of its own workload", object.ShownName(t.identity.Namespace), object.ShownName(t.options.RootNamespace))}
}

// misspeltFault says that a selector is for other workloads by a typing error: each of
// its labels is one of the workload's, or differs from one in a letter. It returns nothing
// for others.
func (t *translation) misspeltFault(s policyScope) []object.Fault {
	if s.selector == nil || s.namespace != t.options.RootNamespace && s.namespace != t.identity.Namespace {
		return nil
	}
	misspelt := ""
	for _, name := range slices.Sorted(maps.Keys(s.selector.MatchLabels)) {
		value := s.selector.MatchLabels[name]
		if own, there := t.identity.Labels[name]; there && own == value {
			continue
		}
		near := false
		for own, ownValue := range t.identity.Labels {
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
	return []object.Fault{*object.Faultf(ReasonNeverMatches, "spec.selector.matchLabels[%s]: the workload has almost this label, and the object holds for no request here; write the label as the workload has it", object.ShownName(misspelt))}
}

// targetFault says that a policy for objects of the Gateway API is for no workload
// here.
func targetFault() []object.Fault {
	return []object.Fault{*object.Faultf(object.ReasonUnsupportedTarget, "spec.targetRefs: they name objects of the Gateway API, which this gateway does not serve, and the object holds for no request here; write selector.matchLabels to select workloads")}
}

// readAuthorization takes in the policies for the workload. What depends on
// listeners follows in translateRoutes.
func (t *translation) readAuthorization() {
	a := &t.authorization
	a.mesh = t.readMesh()
	for _, item := range inOrder(latest(t, object.KindAuthorizationPolicy, t.objects.Policies)) {
		scope, o := scopeOfPolicy(item), object.OriginOf(object.KindAuthorizationPolicy, item)
		switch {
		case !t.isFor(scope):
			t.report(o, append(t.strandedFault(item.File, scope.namespace), t.misspeltFault(scope)...))
		case scope.targeted:
			t.report(o, targetFault())
		default:
			built := t.before.policies[item]
			if built == nil {
				built = buildPolicy(item)
			}
			t.after.policies[item] = built
			t.report(o, built.faults)
			a.policies = append(a.policies, &appliedPolicy{built, o, built.policy})
		}
	}
	for _, item := range inOrder(latest(t, object.KindRequestAuthentication, t.objects.Authentications)) {
		scope, o := scopeOfAuthentication(item), object.OriginOf(object.KindRequestAuthentication, item)
		switch {
		case !t.isFor(scope):
			t.report(o, append(t.strandedFault(item.File, scope.namespace), t.misspeltFault(scope)...))
		case scope.targeted:
			t.report(o, targetFault())
		default:
			built := t.before.authentications[item]
			if built == nil {
				built = buildAuthentication(item, !t.options.AllowAnyHost)
			}
			t.after.authentications[item] = built
			t.report(o, built.faults)
			a.authentications = append(a.authentications, &appliedAuthentication{built, o})
		}
	}
}

// inOrder sorts objects by namespace and name.
func inOrder[T any, P object.Pointer[T]](items []*object.Item[T]) []*object.Item[T] {
	return slices.SortedFunc(slices.Values(items), func(a, b *object.Item[T]) int {
		x, y := metav1.Object(P(&a.Object)), metav1.Object(P(&b.Object))
		return cmp.Or(strings.Compare(x.GetNamespace(), y.GetNamespace()), strings.Compare(x.GetName(), y.GetName()))
	})
}

// authorize puts together what requests are held to, if there is anything.
func (t *translation) authorize() {
	a := &t.authorization
	if len(a.policies)+len(a.authentications) == 0 {
		return
	}
	config := &authz.Config{TrustedProxies: a.mesh.proxies}
	for _, applied := range a.authentications {
		config.JWT = append(config.JWT, applied.rules...)
	}
	for _, applied := range a.policies {
		t.askMesh(applied, config)
		config.Policies = append(config.Policies, applied.policy)
	}
	t.reportMesh()
	if last := t.before.authorization; reflect.DeepEqual(last, config) {
		config = last
	}
	t.after.authorization, t.state.Authorization = config, config
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

// spoil has a rule of the policy fail closed for a part that can never be compared:
// of ALLOW it is left out, and else the part. without takes the part out of a rule
// that may be changed.
func (p *appliedPolicy) spoil(rule int, without func(*authz.Rule)) {
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
