package manifests

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-llm/gateway/k8ssource/authorization"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/authz"
	"github.com/caddy-llm/gateway/llmroute/authz/jwt"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// maxDescribed is how many values of a list are described.
const maxDescribed = 5

// policy says what an AuthorizationPolicy does.
func (d *describer) policy(key string) string {
	if d.state.Authorization == nil {
		return otherWorkloads
	}
	for _, p := range d.state.Authorization.Policies {
		if p.Name != key {
			continue
		}
		effect := policyEffect(p)
		if p.Action != authz.Allow && slices.ContainsFunc(d.state.Findings, func(f spec.Finding) bool {
			return f.Object == object.KindAuthorizationPolicy+" "+key && strings.HasPrefix(f.Message, "spec.rules[") && f.Reason != object.ReasonNeverMatches
		}) {
			effect += ", and more as long as there are warnings"
		}
		return effect
	}
	return otherWorkloads
}

func policyEffect(p *authz.Policy) string {
	var rules []string
	for _, r := range p.Rules {
		if r != nil {
			rules = append(rules, ruleText(r))
		}
	}
	what := strings.Join(rules, "; and ")
	if what == "" {
		what = "no requests"
	}
	var effect string
	switch p.Action {
	case authz.Allow:
		effect = "allows " + what + ". Requests that no policy allows are refused"
	case authz.Audit:
		effect = "logs " + what
	case authz.Custom:
		effect = "asks " + cmp.Or(object.ShownName(p.Provider), "nobody") + " about " + what
	default:
		effect = "denies " + what
	}
	if len(p.Gateways) > 0 {
		effect = "at " + someOf(p.Gateways, object.ShownPrincipal) + " " + effect
	}
	if p.DryRun {
		effect = "is a dry run, and only logs what it would do: " + effect
	}
	return effect
}

// ruleText says which requests a rule matches.
func ruleText(r *authz.Rule) string {
	parts := []string{"all requests"}
	add := func(alternatives []string) {
		if len(alternatives) > 0 && !slices.Contains(alternatives, "") { // an empty one is everything
			parts[0] = "requests"
			parts = append(parts, strings.Join(alternatives, " or "))
		}
	}
	var to, from []string
	for _, o := range r.To {
		to = append(to, operationText(o))
	}
	for _, s := range r.From {
		from = append(from, sourceText(s))
	}
	add(to)
	add(from)
	for _, c := range r.When {
		if c != nil {
			key := object.ShownCondition(c.Key)
			add([]string{listText("where "+key+" is", c.Values, "where "+key+" is not", c.NotValues, object.ShownOf(c.Key))})
		}
	}
	return strings.Join(parts, " ")
}

func operationText(o *authz.Operation) string {
	return joined(
		listText("with the method", o.Methods, "with a method other than", o.NotMethods, object.ShownName),
		listText("to", o.Hosts, "to hosts other than", o.NotHosts, object.ShownHost),
		listText("at the port", o.Ports, "at ports other than", o.NotPorts, object.ShownName),
		listText("at the path", o.Paths, "at paths other than", o.NotPaths, object.ShownPath),
	)
}

func sourceText(s *authz.Source) string {
	return joined(
		listText("from", s.IPBlocks, "not from", s.NotIPBlocks, object.ShownAddress),
		listText("from the client address", s.RemoteIPBlocks, "not from the client address", s.NotRemoteIPBlocks, object.ShownAddress),
		listText("by", s.Principals, "not by", s.NotPrincipals, object.ShownPrincipal),
		listText("from the namespace", s.Namespaces, "not from the namespace", s.NotNamespaces, object.ShownPrincipal),
		listText("by the service account", s.ServiceAccounts, "not by the service account", s.NotServiceAccounts, object.ShownPrincipal),
		listText("from the trust domain", s.TrustDomains, "not from the trust domain", s.NotTrustDomains, object.ShownPrincipal),
		listText("with a token of", s.RequestPrincipals, "without a token of", s.NotRequestPrincipals, object.ShownPrincipal),
	)
}

// listText says what a field and its negation ask for. shown is how
// a value is shown.
func listText(is string, values []string, isNot string, notValues []string, shown func(string) string) string {
	var out []string
	if len(values) > 0 {
		out = append(out, is+" "+someOf(values, shown))
	}
	if len(notValues) > 0 {
		out = append(out, isNot+" "+someOf(notValues, shown))
	}
	return joined(out...)
}

// someOf are the first of the values. If shown is nil, it is how many there are.
func someOf(values []string, shown func(string) string) string {
	switch {
	case shown == nil && len(values) == 1:
		return "the value there"
	case shown == nil:
		return fmt.Sprintf("one of the %d values there", len(values))
	}
	first := make([]string, 0, maxDescribed)
	for _, v := range values[:min(len(values), maxDescribed)] {
		first = append(first, object.Bounded(shown(v)))
	}
	text := strings.Join(first, " or ")
	if more := len(values) - maxDescribed; more > 0 {
		text += fmt.Sprintf(" or %d more", more)
	}
	return text
}

func joined(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), " ")
}

// authentication says which tokens a RequestAuthentication accepts.
func (d *describer) authentication(key string, rules int) string {
	var out []string
	if d.state.Authorization != nil {
		for _, r := range d.state.Authorization.JWT {
			if r.Origin != key {
				continue
			}
			effect := tokenEffect(r)
			if len(r.Gateways) > 0 {
				effect = "at " + someOf(r.Gateways, object.ShownPrincipal) + " " + effect
			}
			out = append(out, effect)
		}
	}
	switch {
	case len(out) == 0 && rules == 0:
		return "accepts no tokens, since it has no jwtRules"
	case len(out) == 0:
		return otherWorkloads
	}
	return strings.Join(out, "; ")
}

func tokenEffect(r *jwt.Rule) string {
	effect := "accepts tokens of " + object.ShownURL(r.Issuer)
	switch {
	case r.Issuer == "":
		return "accepts no tokens, since there is no issuer"
	case r.JWKS == authorization.NoKeys:
		return "refuses tokens of " + object.ShownURL(r.Issuer)
	case r.JWKS != "":
		effect += " with the keys in it"
	case r.JWKSURI != "":
		effect += " with the keys from " + object.ShownURL(r.JWKSURI)
	default:
		effect += " with the keys that the issuer names"
	}
	if len(r.Audiences) > 0 {
		effect += " for " + someOf(r.Audiences, object.ShownName)
	}
	return effect
}
