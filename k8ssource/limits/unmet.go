package limits

import (
	"slices"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmprovider/kind"
	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/listen"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// reportUnmet reports what the limit names and is not there.
func (b *limitBuilder) reportUnmet() {
	spec := &b.object.Spec
	for i := range spec.TargetRefs {
		if ref := &spec.TargetRefs[i]; !b.t.HasTarget(ref.Kind, b.object.Namespace+"/"+ref.Name) {
			b.faults = append(b.faults, *object.MissingTarget(i, b.object.Namespace, ref))
		}
	}
	for i, name := range b.out.Providers {
		if !slices.ContainsFunc(b.t.Objects.Providers, object.ByKey[v1beta1.LLMProvider](name)) {
			b.warn(object.ReasonProviderNotFound, "spec.providers[%d]: there is no %s of that name; create it, or name another", i, object.KindLLMProvider)
		}
	}
	if len(spec.Rules) > 0 {
		names := b.t.ruleNames()
		for i, name := range spec.Rules {
			if !names[name] {
				b.warn(object.ReasonRuleNotFound, "spec.rules[%d]: no route has a rule of that name; name one that exists", i)
			}
		}
	}
	b.reportModels()
	configured := b.t.Configured
	if configured == nil {
		return
	}
	if slices.Contains(configured.Names, b.out.Name) {
		b.faults = append(b.faults, *object.Faultf(object.ReasonConflict, "metadata.name: the gateway's configuration has a limit of the name %s, which holds; rename one of them", b.out.Name))
	}
	if b.out.Costs() && !configured.Prices {
		b.warn(object.ReasonNoPrices, "spec.amounts: the gateway knows no prices, so it refuses the requests that the limit is about; name a file of them in its configuration: llm { prices FILE }")
	}
}

// reportModels reports the models that no request is sent with. A gateway that knows its workload does not know what
// other workloads' requests are sent with.
func (b *limitBuilder) reportModels() {
	if b.t.Workload.Known || len(b.out.Models) == 0 {
		return
	}
	fixed, chosen := b.t.modelsFor(b.out)
	if chosen || len(fixed) == 0 {
		return
	}
	for i, pattern := range b.out.Models {
		if !slices.ContainsFunc(fixed, func(model string) bool { return limit.Matches(pattern, model) }) {
			b.warn(object.ReasonNeverMatches, "spec.models[%d]: no request is sent with such a model, since routes and providers set others; name one of those", i)
		}
	}
}

// modelsFor returns the models that routes and providers have the requests sent with that the limit may be about,
// and reports whether clients choose the model of some.
func (t *Translation) modelsFor(d *limit.Definition) (fixed []string, chosen bool) {
	bases := make(map[string]*kind.Base, len(t.State.Providers))
	for _, p := range t.State.Providers {
		bases[p.Name], _ = kind.BaseOf(p.Provider)
	}
	for _, routes := range t.State.Tables {
		for _, route := range routes {
			for _, rule := range route.Rules {
				if len(d.Rules) > 0 && !slices.Contains(d.Rules, rule.Name) {
					continue
				}
				for _, backend := range rule.Backends {
					base := bases[backend.Provider]
					switch {
					case len(d.Providers) > 0 && !slices.Contains(d.Providers, backend.Provider):
						continue
					case backend.Model != "":
						fixed = append(fixed, backend.Model)
						continue
					case base == nil: // nothing is sent there, or it is not known how
						return nil, true
					}
					config := &base.Config
					if own, ok := base.Rules[rule.Name]; ok && !backend.DefaultSettings {
						config = &own
					}
					if config.Model == nil || *config.Model == "" {
						return nil, true
					}
					fixed = append(fixed, *config.Model)
				}
			}
		}
	}
	return fixed, false
}

// ruleNames are the names of all routes' rules, for whatever workload they are.
func (t *Translation) ruleNames() map[string]bool {
	names := make(map[string]bool)
	for _, item := range t.Objects.Routes {
		for i := range item.Object.Spec.Rules {
			names[item.Object.Spec.Rules[i].Name] = true
		}
	}
	for _, item := range t.Objects.HTTPRoutes {
		for i := range item.Object.Spec.Rules {
			names[item.Object.Spec.Rules[i].Name] = true
		}
	}
	return names
}

// InUse reports whether a limit is about requests that the state's workload may serve.
func InUse(state *spec.State, scope *limit.Scope) bool {
	if scope.Everything || slices.ContainsFunc(state.Providers, func(p *spec.Provider) bool { return slices.Contains(scope.Providers, p.Name) }) {
		return true
	}
	if scope.AnyGateway || scope.Sidecars {
		return true // of those that select the workload
	}
	for _, l := range state.Listeners {
		if slices.ContainsFunc(l.Servers, func(s *listen.Server) bool { return slices.Contains(scope.Gateways, s.Gateway) }) {
			return true
		}
	}
	for table, routes := range state.Tables {
		if slices.Contains(scope.Gateways, table) {
			return true
		}
		for _, route := range routes {
			for _, rule := range route.Rules {
				if scope.Namespace != "" && rule.Object.Namespace == scope.Namespace || slices.Contains(scope.Routes, limit.Object(rule.Object)) {
					return true
				}
			}
		}
	}
	return false
}
