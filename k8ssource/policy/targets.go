package policy

import (
	"github.com/caddy-llm/gateway/k8ssource/api/v1alpha1"
	"github.com/caddy-llm/gateway/k8ssource/object"
)

// Targets are what a policy is for, as far as it can be read.
func Targets(p *v1alpha1.LLMPolicy) (out []Target) {
	for i := range p.Spec.TargetRefs {
		ref := &p.Spec.TargetRefs[i]
		if kind := targetKind(ref.Kind); kind != "" && ref.Name != "" {
			out = append(out, Target{kind, p.Namespace + "/" + ref.Name, ref.SectionName})
		}
	}
	return out
}

// targetKind is the kind that a policy can be for which a kind is, or is most likely meant
// to be, or empty.
func targetKind(kind string) string {
	return object.MeantKind(kind, []string{object.KindLLMRoute, object.KindLLMProvider, object.KindGateway})
}

// CheckTargets reports references that are none.
func CheckTargets(refs []v1alpha1.PolicyTargetRef) (faults []object.Fault) {
	fault := func(format string, args ...any) {
		faults = append(faults, *object.Faultf(object.ReasonInvalidField, format, args...))
	}
	switch {
	case len(refs) == 0:
		fault("spec.targetRefs: there are none, so the policy is for no requests; write at least one LLMRoute, LLMProvider or Gateway of the object's namespace")
	case len(refs) > object.MaxTargetRefs:
		fault("spec.targetRefs: "+object.TooMany, object.MaxTargetRefs)
	}
	for i := range refs {
		faults = append(faults, object.CheckTarget(i, &refs[i].TargetRef)...)
		if kind := refs[i].Kind; refs[i].SectionName != "" && kind != object.KindLLMRoute && object.IsTargetKind(kind) {
			fault("%s.sectionName: only an LLMRoute has sections, which are its rules; leave it out", object.TargetPath(i))
		}
	}
	return faults
}

// MissingTargets reports what a policy is for and is not there. hasTarget reports whether there
// is an object of a kind, namespace and name, and hasRule whether an LLMRoute has a rule.
func MissingTargets(p *v1alpha1.LLMPolicy, hasTarget, hasRule func(of, name string) bool) (faults []object.Fault) {
	for i := range p.Spec.TargetRefs {
		ref := &p.Spec.TargetRefs[i]
		if targetKind(ref.Kind) != ref.Kind || !object.IsName(ref.Name) {
			continue // reported elsewhere
		}
		var f *object.Fault
		if !hasTarget(ref.Kind, p.Namespace+"/"+ref.Name) {
			f = object.MissingTarget(i, p.Namespace, &ref.TargetRef)
		} else if ref.Kind == object.KindLLMRoute && ref.SectionName != "" && !hasRule(p.Namespace+"/"+ref.Name, ref.SectionName) {
			f = object.Warningf(object.ReasonTargetNotFound, "%s.sectionName: the LLMRoute has no rule of that name; name one that it has", object.TargetPath(i))
		}
		if f != nil {
			faults = append(faults, *f)
		}
	}
	return faults
}
