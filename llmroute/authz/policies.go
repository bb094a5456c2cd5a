package authz

import (
	"fmt"
	"slices"

	"go.uber.org/zap"
)

// policies are the policies of a Config, compiled.
type policies struct {
	custom  []*policy
	audit   []*policy
	dryDeny []*policy

	deny ruleSet
	// Of ALLOW policies, which refuse even if none of their rules is left: one set, or one for
	// each Gateway that a request may have come in by. None without such policies.
	allow []ruleSet
	// Of ALLOW policies that only log what they would do.
	dryAllow    ruleSet
	hasDryAllow bool

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
	ways := config.ways()
	var deny, dryAllow []*rule
	allow, hasAllow := make([][]*rule, len(ways)), make([]bool, len(ways))
	for _, config := range config.Policies {
		policy := c.compile(config)
		if !slices.ContainsFunc(ways, config.holds) {
			continue
		}
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
			for i, way := range ways {
				if config.holds(way) {
					allow[i], hasAllow[i] = append(allow[i], rules...), true
				}
			}
		}
	}
	p.deny, p.dryAllow = newRuleSet(deny), newRuleSet(dryAllow)
	for i, rules := range allow {
		if hasAllow[i] {
			p.allow = append(p.allow, newRuleSet(rules))
		}
	}
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
	for i := range p.allow {
		rule := p.allow[i].find(r)
		if rule == nil {
			d = Decision{Refusal: errDenied, Rule: -1, Reason: "no ALLOW policy matches"}
			break
		}
		d = Decision{Policy: rule.policy.name, Rule: rule.number, Reason: "an ALLOW policy matches"}
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
	case rule == nil && len(p.allow) == 0:
		logger.Info("policies would deny", zap.String("reason", "no ALLOW policy matches"))
	}
}
