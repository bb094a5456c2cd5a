package authorization

import (
	"slices"
	"strings"

	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/k8ssource/workload"
	"github.com/caddy-llm/gateway/llmroute/authz"
)

// readMesh reads the mesh's configuration.
func (in *Input) readMesh() *mesh {
	var item *object.Item[object.ConfigMap]
	for _, c := range in.ConfigMaps {
		if c.Object.Namespace == in.Workload.RootNamespace && c.Object.Name == meshName {
			item = c
		}
	}
	return readMesh(item, object.KindConfigMap+" "+in.Workload.RootNamespace+"/"+meshName)
}

// askMesh adds to the configuration whom a policy asks, and has the policy fail closed
// where it needs what is not known of the mesh.
func (a *Applied) askMesh(p *appliedPolicy, config *authz.Config) {
	m := a.mesh
	m.needed = m.needed || p.needsMesh()
	if p.policy.Action == authz.Custom {
		service, fault := m.extAuthz(p.policy.Provider)
		if fault != nil {
			a.in.Findings.Report(p.Origin, []object.Fault{*fault})
		} else {
			if config.ExtAuthz == nil {
				config.ExtAuthz = make(map[string]*authz.ExtAuthz)
			}
			config.ExtAuthz[p.policy.Provider] = service
		}
	}
	if !m.proxiesUnknown {
		return
	}
	lost := false
	for i, rule := range p.builtPolicy.policy.Rules {
		if usesRemoteIP(rule) {
			lost = true
			p.failClosed(i, withoutRemoteIP)
		}
	}
	if lost {
		f := object.Warningf(object.ReasonInvalidMesh, "spec.rules: remoteIpBlocks and remote.ip cannot be compared, because %s cannot be read; see there%s", m.name, p.meanwhile())
		a.in.Findings.Report(p.Origin, []object.Fault{*f})
	}
}

// needsMesh reports whether the policy needs the mesh's configuration.
func (p *builtPolicy) needsMesh() bool {
	return p.policy.Action == authz.Custom || slices.ContainsFunc(p.policy.Rules, usesRemoteIP)
}

// usesRemoteIP reports whether a rule looks at the address of the client behind proxies.
func usesRemoteIP(rule *authz.Rule) bool {
	return rule != nil && (slices.ContainsFunc(rule.From, func(s *authz.Source) bool { return len(s.RemoteIPBlocks)+len(s.NotRemoteIPBlocks) > 0 }) ||
		slices.ContainsFunc(rule.When, isRemoteIP))
}

func isRemoteIP(c *authz.Condition) bool { return c != nil && c.Key == "remote.ip" }

// withoutRemoteIP takes out what usesRemoteIP finds.
func withoutRemoteIP(rule *authz.Rule) {
	rule.From, rule.When = slices.Clone(rule.From), slices.Clone(rule.When)
	for i, s := range rule.From {
		source := *s
		source.RemoteIPBlocks, source.NotRemoteIPBlocks = nil, nil
		rule.From[i] = &source
	}
	for i, c := range rule.When {
		if isRemoteIP(c) {
			rule.When[i] = nil
		}
	}
}

// meanwhile says what becomes of requests while a part of a rule cannot be compared.
func (p *builtPolicy) meanwhile() string {
	if p.policy.Action == authz.Allow {
		return ". Until then the rule is left out, and lets no request pass"
	}
	return ". Until then the policy " + verb(p.policy.Action) + " what the rest of the rule matches"
}

// reportMesh reports what is wrong with the mesh's configuration, if anyone needs it.
func (a *Applied) reportMesh() {
	m := a.mesh
	if !m.needed || len(m.faults) == 0 {
		return
	}
	o := object.Origin{Object: m.name}
	if m.item != nil {
		o = object.OriginOf(object.KindConfigMap, m.item)
	}
	a.in.Findings.Report(o, m.faults)
}

// MeshReference is the ConfigMap with the mesh's configuration, if a policy for the
// workload needs it.
func MeshReference(policies []*object.Item[object.AuthorizationPolicy], w *workload.Workload, gateways Gateways) []object.Reference {
	for _, item := range policies {
		scope := scopeOfPolicy(item)
		served, _ := scope.targeted(gateways)
		if (len(served) > 0 || len(scope.targets) == 0 && scope.isFor(w)) && mayNeedMesh(&item.Object) {
			return []object.Reference{{Kind: object.KindConfigMap, Namespace: w.RootNamespace, Name: meshName}}
		}
	}
	return nil
}

func mayNeedMesh(p *object.AuthorizationPolicy) bool {
	return p.Spec.Action == string(authz.Custom) || slices.ContainsFunc(p.Spec.Rules, func(r *object.PolicyRule) bool {
		return r != nil && (slices.ContainsFunc(r.From, func(f *object.PolicyFrom) bool {
			return f != nil && f.Source != nil && len(f.Source.RemoteIPBlocks)+len(f.Source.NotRemoteIPBlocks) > 0
		}) || slices.ContainsFunc(r.When, func(w *object.PolicyCondition) bool { return w != nil && strings.TrimSpace(w.Key) == "remote.ip" }))
	})
}
