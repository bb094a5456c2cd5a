package authorization

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/caddy-llm/gateway/k8ssource/header"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/authz"
)

// rule is a rule of the policy. What may not be empty in Istio is empty in it as
// well, which package authz reports, but for lists.
func (b *policyBuilder) rule(i int, rule *object.PolicyRule) *authz.Rule {
	if rule == nil {
		return nil
	}
	path := fmt.Sprintf("spec.rules[%d]", i)
	out := new(authz.Rule)
	if rule.From != nil && len(rule.From) == 0 && !object.IsReported(b.faults, path+".from") {
		b.fault(path+".from", "the list is empty; write a source, or take it out if everyone is meant")
	}
	for _, from := range rule.From {
		source := new(authz.Source)
		if from != nil && from.Source != nil {
			source = sourceOf(from.Source)
		}
		out.From = append(out.From, source)
	}
	if rule.To != nil && len(rule.To) == 0 && !object.IsReported(b.faults, path+".to") {
		b.fault(path+".to", "the list is empty; write an operation, or take it out if all are meant")
	}
	for _, to := range rule.To {
		operation := new(authz.Operation)
		if to != nil && to.Operation != nil {
			operation = operationOf(to.Operation)
		}
		out.To = append(out.To, operation)
	}
	for j, when := range rule.When {
		condition := new(authz.Condition)
		if when != nil {
			condition = &authz.Condition{Key: when.Key, Values: values(when.Values), NotValues: values(when.NotValues)}
		}
		if name, ok := headerOf(condition.Key); ok {
			b.headers = append(b.headers, policyHeader{header.Matched{Path: fmt.Sprintf("%s.when[%d].key", path, j), Name: name}, i, j})
		}
		out.When = append(out.When, condition)
	}
	return out
}

// headerOf is the name in request.headers[name], in lower case.
func headerOf(key string) (string, bool) {
	name, ok := strings.CutPrefix(key, "request.headers[")
	return strings.ToLower(strings.TrimSuffix(name, "]")), ok
}

// values is a list in which an empty one is none.
func values(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	return list
}

func sourceOf(s *object.PolicySource) *authz.Source {
	return &authz.Source{
		Principals: values(s.Principals), NotPrincipals: values(s.NotPrincipals),
		RequestPrincipals: values(s.RequestPrincipals), NotRequestPrincipals: values(s.NotRequestPrincipals),
		Namespaces: values(s.Namespaces), NotNamespaces: values(s.NotNamespaces),
		ServiceAccounts: values(s.ServiceAccounts), NotServiceAccounts: values(s.NotServiceAccounts),
		TrustDomains: values(s.TrustDomains), NotTrustDomains: values(s.NotTrustDomains),
		IPBlocks: values(s.IPBlocks), NotIPBlocks: values(s.NotIPBlocks),
		RemoteIPBlocks: values(s.RemoteIPBlocks), NotRemoteIPBlocks: values(s.NotRemoteIPBlocks),
	}
}

func operationOf(o *object.PolicyOperation) *authz.Operation {
	return &authz.Operation{
		Hosts: values(o.Hosts), NotHosts: values(o.NotHosts),
		Ports: values(o.Ports), NotPorts: values(o.NotPorts),
		Methods: values(o.Methods), NotMethods: values(o.NotMethods),
		Paths: values(o.Paths), NotPaths: values(o.NotPaths),
	}
}

// What stands between a rule's parts and their fields in an object.
var (
	fromEntry = regexp.MustCompile(`\bfrom\[\d+\]`)
	toEntry   = regexp.MustCompile(`\bto\[\d+\]`)
	snake     = regexp.MustCompile(`_[a-z]`)
)

// policyPath is the field of an AuthorizationPolicy that a field of a policy was
// made of: spec.rules[0].from[1].source.ipBlocks[0] of rules[0].from[1].ip_blocks[0].
func policyPath(path string) string {
	path = fromEntry.ReplaceAllString(path, "$0.source")
	return "spec." + camel(toEntry.ReplaceAllString(path, "$0.operation"))
}

// camel is a path with its fields' names as Kubernetes writes them.
func camel(path string) string {
	return snake.ReplaceAllStringFunc(path, func(s string) string { return strings.ToUpper(s[1:]) })
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
				out = append(out, object.Fault{Reason: object.ReasonNeverMatches, Used: true, Message: fmt.Sprintf(
					"spec.rules[%d].when[%d].key: this is a claim whose name has a dot, and not one inside of another; for that write request.auth.claims[OUTER][INNER]", i, j)})
			}
		}
	}
	return out
}
