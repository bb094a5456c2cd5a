package authz

import (
	"fmt"

	"go.uber.org/zap"
)

// policies are the policies of a Config, compiled.
type policies struct {
	custom  []*policy
	audit   []*policy
	dryDeny []*policy

	deny  ruleSet
	allow ruleSet
	// Of ALLOW policies that only log what they would do.
	dryAllow ruleSet

	// ALLOW policies refuse even if none of their rules is left.
	hasAllow, hasDryAllow bool

	trustedProxies int
}

func compilePolicies(config *Config) (*policies, []Problem) {
	p := &policies{trustedProxies: config.TrustedProxies}
	c := &compiler{config: config, attributes: make(map[string]*attribute)}
	if p.trustedProxies < 0 {
		p.trustedProxies = 0
		c.problems = append(c.problems, Problem{
			Path:    "num_trusted_proxies",
			Message: fmt.Sprintf("%d is no number of proxies; write 0 or more. Until then it is 0", config.TrustedProxies),
		})
	}
	var deny, allow, dryAllow []*rule
	for _, config := range config.Policies {
		policy := c.compile(config)
		rules := policy.rules.rules
		if policy.action == Custom || policy.action == Audit || policy.action == Deny && policy.dryRun {
			policy.rules = newRuleSet(rules) // the others' rules are filed together
		}
		switch {
		case policy.action == Custom:
			p.custom = append(p.custom, policy)
		case policy.action == Audit:
			p.audit = append(p.audit, policy)
		case policy.action == Deny && policy.dryRun:
			p.dryDeny = append(p.dryDeny, policy)
		case policy.action == Deny:
			deny = append(deny, rules...)
		case policy.dryRun:
			dryAllow, p.hasDryAllow = append(dryAllow, rules...), true
		default:
			allow, p.hasAllow = append(allow, rules...), true
		}
	}
	p.deny, p.allow, p.dryAllow = newRuleSet(deny), newRuleSet(allow), newRuleSet(dryAllow)
	return p, c.problems
}

// decide goes through AUDIT, DENY and ALLOW policies.
func (p *policies) decide(r *request, logger *zap.Logger) Decision {
	for _, policy := range p.audit {
		if rule := policy.match(r); rule >= 0 {
			if policy.dryRun {
				policy.log(logger, "policy would audit", rule)
			} else {
				policy.log(logger, "policy audits", rule)
			}
		}
	}
	for _, policy := range p.dryDeny {
		if rule := policy.match(r); rule >= 0 {
			policy.log(logger, "policy would deny", rule)
		}
	}
	if rule := p.deny.find(r); rule != nil {
		return Decision{Refusal: errDenied, Policy: rule.policy.name, Rule: rule.number, Reason: "a DENY policy matches"}
	}
	d := Decision{Rule: -1, Reason: "there is no ALLOW policy"}
	if p.hasAllow {
		if rule := p.allow.find(r); rule != nil {
			d = Decision{Policy: rule.policy.name, Rule: rule.number, Reason: "an ALLOW policy matches"}
		} else {
			d = Decision{Refusal: errDenied, Rule: -1, Reason: "no ALLOW policy matches"}
		}
	}
	if p.hasDryAllow {
		p.logAllow(r, d, logger)
	}
	return d
}

// logAllow logs what would become of a request if the ALLOW policies that only
// log were in force beside the others, unless that is what becomes of it now.
func (p *policies) logAllow(r *request, d Decision, logger *zap.Logger) {
	switch rule := p.dryAllow.find(r); {
	case rule != nil && d.Refusal != nil:
		rule.policy.log(logger, "policy would allow", rule.number)
	case rule == nil && !p.hasAllow:
		logger.Info("policies would deny", zap.String("reason", "no ALLOW policy matches"))
	}
}
