package manifests

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-llm/gateway/k8ssource/limits"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/limit"
)

// limit says how much a limit lets whom use of what.
func (d *describer) limit(name string) string {
	i := slices.IndexFunc(d.state.Limits, func(l *limit.Definition) bool { return l.Name == name })
	if i < 0 || !limits.InUse(d.state, d.state.Limits[i].Scope) {
		return otherWorkloads
	}
	l := d.state.Limits[i]
	var amounts []string
	for _, a := range l.Amounts {
		text := fmt.Sprintf("%s %s per %s", a.Amount, a.Unit, a.Window)
		if a.Timezone != "" {
			text += " in " + a.Timezone
		}
		amounts = append(amounts, text)
	}
	if l.Concurrent > 0 {
		amounts = append(amounts, fmt.Sprintf("%d open requests", l.Concurrent))
	}
	does := "limits "
	if l.Shadow {
		does = "only counts "
	}
	effect := does + scopeText(l.Scope) + " to " + strings.Join(amounts, " and ")
	var keys []string
	for _, k := range l.Key {
		keys = append(keys, object.ShownName(strings.ReplaceAll(string(k), " ", "/")))
	}
	if len(keys) > 0 {
		effect += " for each " + strings.ReplaceAll(strings.Join(keys, " and "), "/", " ")
	}
	if l.Costs() {
		effect += "; it needs prices, which the gateway's configuration names"
	}
	return effect
}

// scopeText says which requests a limit is about.
func scopeText(s *limit.Scope) string {
	var out []string
	switch {
	case s.Everything:
		return "all requests"
	case s.Namespace != "":
		return "requests by the routes of namespace " + s.Namespace
	}
	for _, r := range s.Routes {
		out = append(out, r.Kind+" "+r.Namespace+"/"+r.Name)
	}
	for _, p := range s.Providers {
		out = append(out, object.KindLLMProvider+" "+p)
	}
	for _, g := range s.Gateways {
		out = append(out, object.KindGateway+" "+g)
	}
	return "requests by " + strings.Join(out, " and ")
}
