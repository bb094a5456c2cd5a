package k8ssource

import (
	"fmt"
	"maps"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/object"
)

// The reasons of findings about what has no effect, as it is written.
const (
	// ReasonNeverReached is that of a rule before which others match all that it
	// matches.
	ReasonNeverReached = "NeverReached"
	// ReasonNeverMatches is that of a match that no request can have, or whose words
	// mean something else than they seem to.
	ReasonNeverMatches = "NeverMatches"
	// ReasonDuplicateName is that of a rule with the name of another one.
	ReasonDuplicateName = "DuplicateName"
	// ReasonUnusedSettings is that of settings for rules that nobody has.
	ReasonUnusedSettings = "UnusedSettings"
)

// maxCompared is the most entries of matches that are compared with one another.
const maxCompared = 2048

// everything is the entry of a rule without any.
var everything = []v1beta1.LLMRouteMatch{{}}

// neverReached reports the rules that no request can reach, and names that are there
// twice.
func (b *routeBuilder) neverReached() {
	rules, names, entries := b.object.Spec.Rules, make(map[string]int), 0
	for j := range rules {
		entries += max(1, len(rules[j].Matches))
		if first, twice := names[rules[j].Name]; twice && rules[j].Name != "" {
			b.warn(ReasonDuplicateName, "spec.rules[%d].name: spec.rules[%d] has this name too, and neither providers' settings nor logs and metrics tell them apart; rename one of them", j, first)
		} else {
			names[rules[j].Name] = j
		}
	}
	if entries > maxCompared {
		return
	}
	for j := 1; j < len(rules); j++ {
		by := -1
		for _, m := range matchesOf(&rules[j]) {
			i := slices.IndexFunc(rules[:j], func(r v1beta1.LLMRouteRule) bool {
				return slices.ContainsFunc(matchesOf(&r), func(wide v1beta1.LLMRouteMatch) bool { return b.wider(&wide, &m) })
			})
			if by = max(by, i); i < 0 {
				by = -1
				break
			}
		}
		if by >= 0 {
			b.warn(ReasonNeverReached, "spec.rules[%d]: no request reaches this rule, because spec.rules[%d] or one before it matches all that this one matches; move it up, or take it out", j, by)
		}
	}
}

func matchesOf(rule *v1beta1.LLMRouteRule) []v1beta1.LLMRouteMatch {
	if len(rule.Matches) == 0 {
		return everything
	}
	return rule.Matches
}

// wider reports whether an entry surely matches all that another one matches.
func (b *routeBuilder) wider(wide, narrow *v1beta1.LLMRouteMatch) bool {
	if len(wide.Headers) > len(narrow.Headers) {
		return false
	}
	// Where gateways are named, labels are not used.
	if len(wide.Gateways) == 0 && len(narrow.Gateways) == 0 {
		if !object.HasLabels(narrow.SourceLabels, wide.SourceLabels) {
			return false
		}
	} else {
		if len(wide.Gateways) == 0 && len(wide.SourceLabels) > 0 {
			return false
		}
		in := b.placesOf(wide)
		for _, table := range b.placesOf(narrow) {
			if !slices.Contains(in, table) {
				return false
			}
		}
	}
	for name, w := range wide.Headers {
		n, ok := headerOfName(narrow.Headers, name)
		if !ok || !widerValue(w, n, strings.EqualFold(name, "host")) {
			return false
		}
	}
	return true
}

func (b *routeBuilder) placesOf(m *v1beta1.LLMRouteMatch) []string {
	if len(m.Gateways) > 0 {
		return b.gateways(m.Gateways)
	}
	return b.gateways(b.object.Spec.Gateways)
}

func headerOfName(headers map[string]v1beta1.StringMatch, name string) (v1beta1.StringMatch, bool) {
	if m, ok := headers[name]; ok {
		return m, true
	}
	for other, m := range headers {
		if strings.EqualFold(other, name) {
			return m, true
		}
	}
	return v1beta1.StringMatch{}, false
}

// widerValue reports whether a value that narrow matches is surely one of wide's.
func widerValue(wide, narrow v1beta1.StringMatch, host bool) bool {
	text := func(s *string) string {
		if host {
			return strings.ToLower(*s)
		}
		return *s
	}
	exact := func(s *string) string {
		if host {
			return object.WithoutPort(*s)
		}
		return *s
	}
	switch {
	case wide.Exact == nil && wide.Prefix == nil && (wide.Regex == nil || *wide.Regex == "*"):
		return true
	case wide.Regex != nil:
		return narrow.Regex != nil && *wide.Regex == *narrow.Regex
	case wide.Exact != nil:
		return narrow.Exact != nil && exact(wide.Exact) == exact(narrow.Exact)
	case narrow.Exact != nil:
		return strings.HasPrefix(exact(narrow.Exact), text(wide.Prefix))
	case narrow.Prefix != nil:
		return strings.HasPrefix(text(narrow.Prefix), text(wide.Prefix))
	}
	return false
}

// neverMatches says why no request matches the value of a header, if that is certain.
func neverMatches(name string, m v1beta1.StringMatch) string {
	for _, text := range []*string{m.Exact, m.Prefix} {
		if text != nil && strings.TrimLeft(*text, " \t") != *text || m.Exact != nil && strings.TrimRight(*m.Exact, " \t") != *m.Exact {
			return "values of headers have no space around them, so this never matches; take it out"
		}
		if text != nil && strings.ContainsAny(*text, "\r\n\x00") {
			return "values of headers have no line breaks, so this never matches; take it out"
		}
	}
	const port = "the host is compared without its port, so this never matches; write the host alone, and take a port's requests apart by Gateways"
	switch {
	case name != "host":
	case m.Exact != nil && *m.Exact == "":
		return "there is no request without a host, so this never matches; write one, or {} for any"
	case m.Exact != nil && object.WithoutPort(*m.Exact) != object.CanonicalHost(*m.Exact):
		return "the host is compared without its port, so the port here is not used; write the host alone"
	case m.Prefix != nil && strings.Count(*m.Prefix, ":") == 1 && !strings.HasPrefix(*m.Prefix, "["):
		if text, _, _ := strings.Cut(*m.Prefix, ":"); strings.Trim(strings.ToLower(text), "0123456789abcdef") != "" { // not the start of an IPv6 address
			return port
		}
	}
	if m.Regex == nil || *m.Regex == "*" || len(*m.Regex) > object.MaxRegex {
		return ""
	}
	parsed, err := syntax.Parse(*m.Regex, syntax.Perl)
	switch {
	case err != nil:
		return "" // reported elsewhere
	case impossible(parsed.Simplify()):
		return "no text matches this expression; correct it"
	case name == "host" && colons(parsed) == 1: // addresses of IPv6 have more
		return port
	}
	return ""
}

// impossible reports whether no text matches an expression, where that is plain.
func impossible(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpNoMatch:
		return true
	case syntax.OpCharClass:
		return len(re.Rune) == 0
	case syntax.OpConcat, syntax.OpCapture, syntax.OpPlus:
		return slices.ContainsFunc(re.Sub, impossible)
	case syntax.OpAlternate:
		return !slices.ContainsFunc(re.Sub, func(s *syntax.Regexp) bool { return !impossible(s) })
	case syntax.OpRepeat:
		return re.Min > 0 && impossible(re.Sub[0])
	}
	return false
}

// colons is how many colons are at least in each text that an expression matches.
func colons(re *syntax.Regexp) int {
	sum := 0
	switch re.Op {
	case syntax.OpLiteral:
		for _, r := range re.Rune {
			if r == ':' {
				sum++
			}
		}
	case syntax.OpCharClass:
		if len(re.Rune) == 2 && re.Rune[0] == ':' && re.Rune[1] == ':' {
			sum = 1
		}
	case syntax.OpConcat, syntax.OpCapture, syntax.OpPlus:
		for _, s := range re.Sub {
			sum += colons(s)
		}
	case syntax.OpAlternate:
		sum = colons(re.Sub[0])
		for _, s := range re.Sub[1:] {
			sum = min(sum, colons(s))
		}
	case syntax.OpRepeat:
		sum = re.Min * colons(re.Sub[0])
	}
	return sum
}

// reportUnusedSettings reports providers' settings for rules that nobody has. Without
// any LLMRoute they are for ones that are elsewhere.
func (t *translation) reportUnusedSettings() {
	if len(t.objects.Routes) == 0 {
		return
	}
	names := make(map[string]map[string]bool) // of rules, by the hosts that they send requests to
	for _, item := range t.objects.Routes {
		for i := range item.Object.Spec.Rules {
			rule := &item.Object.Spec.Rules[i]
			for _, ref := range rule.BackendRefs {
				host := object.CanonicalHost(ref.ProviderHost)
				if names[host] == nil {
					names[host] = make(map[string]bool)
				}
				names[host][rule.Name] = true
			}
		}
	}
	for _, host := range t.hosts {
		owner := t.owners[host]
		if owner == nil || owner.unusable != "" {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(ruleConfigs(&owner.item.Object))) {
			if !names[host][name] {
				t.report(object.OriginOf(object.KindLLMProvider, owner.item), []object.Fault{{Reason: ReasonUnusedSettings, Used: true, Message: fmt.Sprintf(
					"spec.configs.routeSpecificConfigs[%s]: no LLMRoute has a rule of this name that sends requests to this provider, so these settings are never used; name a rule so, or take them out", object.ShownName(name))}})
			}
		}
	}
}

// claimsWithDots reports conditions about a claim whose name has dots, as paths are
// written elsewhere: they are looked up as they are. Names that are URLs have dots.
func claimsWithDots(policy *object.AuthorizationPolicy) (out []object.Fault) {
	for i, rule := range policy.Spec.Rules {
		if rule == nil {
			continue
		}
		for j, when := range rule.When {
			if when == nil {
				continue
			}
			name, ok := strings.CutPrefix(when.Key, "request.auth.claims[")
			if ok && strings.Contains(name, ".") && !strings.ContainsAny(name, "/:") {
				out = append(out, object.Fault{Reason: ReasonNeverMatches, Used: true, Message: fmt.Sprintf(
					"spec.rules[%d].when[%d].key: this is a claim whose name has a dot, and not one inside of another; for that write request.auth.claims[OUTER][INNER]", i, j)})
			}
		}
	}
	return out
}
