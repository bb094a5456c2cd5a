package object

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// securityKinds are the kinds of those that say who may call.
var securityKinds = []string{KindAuthorizationPolicy, KindRequestAuthentication}

// isIstioTypo reports whether a group is none of Istio's and was most likely meant to
// be.
func isIstioTypo(group string) bool {
	group = strings.ToLower(group)
	return strings.Contains(group, "istio") && !strings.HasSuffix(group, ".istio.io")
}

// security takes in an object that says who may call. One that is misspelt must not
// go unnoticed. Of what does not fit nothing is read, so that what is read is what
// is not reported.
func (d *decoder) security(t metav1.TypeMeta, data []byte, line int, faults []Fault) {
	kind := cmp.Or(MeantKind(t.Kind, securityKinds), t.Kind)
	group, _, _ := strings.Cut(t.APIVersion, "/")
	switch {
	case kind != t.Kind:
		faults = append(faults, *Faultf(ReasonInvalidObject, "there is no kind of that name; write %s", kind))
	case group != SecurityGroup && !strings.Contains(strings.ToLower(group), "istio"):
		// It may be somebody else's.
		d.objects.Strays = append(d.objects.Strays, decode[Stray](d, data, line, append(faults,
			*Faultf(ReasonInvalidObject, "apiVersion: %s objects are those of %s/v1, and this one is not used; write that, or keep the object out of these files if it is meant for something else", kind, SecurityGroup))))
		return
	case group != SecurityGroup:
		faults = append(faults, *Faultf(ReasonInvalidObject, "apiVersion: there is no such one of %s; write %s/v1", kind, SecurityGroup))
	}
	o := d.objects
	switch kind {
	case KindAuthorizationPolicy:
		data, faults = pruned[AuthorizationPolicy](d, data, faults)
		item := decode[AuthorizationPolicy](d, data, line, faults)
		item.Faults = append(item.Faults, item.Object.Spec.Selector.check()...)
		o.Policies = append(o.Policies, item)
	case KindRequestAuthentication:
		data, faults = pruned[RequestAuthentication](d, data, faults)
		item := decode[RequestAuthentication](d, data, line, faults)
		item.Faults = append(item.Faults, item.Object.Spec.Selector.check()...)
		o.Authentications = append(o.Authentications, item)
	case "PeerAuthentication": // for sidecars of Istio's
	default:
		o.Strays = append(o.Strays, decode[Stray](d, data, line, append(faults,
			*Faultf(ReasonInvalidObject, "there is no kind of that name in %s; write %s or %s", SecurityGroup, KindAuthorizationPolicy, KindRequestAuthentication))))
	}
}

// check finds what is wrong with a selector beside its form.
func (s *PolicySelector) check() []Fault {
	if s == nil {
		return nil
	}
	var out []Fault
	for _, name := range slices.Sorted(maps.Keys(s.MatchLabels)) {
		if strings.Contains(name+s.MatchLabels[name], "*") {
			out = append(out, *Faultf(ReasonInvalidField, "spec.selector.matchLabels[%s]: * is no wildcard here, and is in no label; write the whole label, or no selector for all workloads", ShownName(name)))
		}
	}
	return out
}
