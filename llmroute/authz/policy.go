package authz

import (
	"fmt"

	"go.uber.org/zap"
)

// policy is one policy, compiled.
type policy struct {
	name      string
	namespace string
	action    Action
	provider  string
	dryRun    bool
	rules     ruleSet
}

// match is the number of the first rule that matches, -1 if none does.
func (p *policy) match(r *request) int {
	if rule := p.rules.find(r); rule != nil {
		return rule.number
	}
	return -1
}

// log says what the policy does or would do with a request, of which it says
// nothing.
func (p *policy) log(logger *zap.Logger, message string, rule int) {
	logger.Info(message, zap.String("policy", p.name), zap.Int("rule", rule))
}

// compiler makes policies, and notes what is wrong with them.
type compiler struct {
	config   *Config
	problems []Problem
	policy   *policy
	invalid  bool // the rule at hand, see problem

	attributes map[string]*attribute
}

// compile makes one policy. What is wrong in it never lets more requests pass.
func (c *compiler) compile(config *Policy) *policy {
	if config == nil {
		config = &Policy{}
		c.problems = append(c.problems, Problem{
			Path:    "policies",
			Message: "there is an empty policy; take it out. Until then it is an ALLOW policy without rules, which lets no request pass",
		})
	}
	c.policy = &policy{
		name: config.Name, namespace: config.Namespace, action: config.Action,
		provider: config.Provider, dryRun: config.DryRun,
	}
	rules := config.Rules
	switch config.Action {
	case "":
		c.policy.action = Allow
	case Allow, Deny, Audit, Custom:
	default:
		// Which requests it was meant to let pass is not known.
		c.policy.action, rules = Deny, []*Rule{{}}
		c.note("action", "this is not an action; write ALLOW, DENY, AUDIT or CUSTOM. Until then every request is refused")
	}
	rules = c.checkProvider(rules)
	if len(rules) == 0 && c.policy.action != Allow {
		c.note("rules", "a policy with the action %s needs rules; write one of {} to match every request. Until then it matches none", c.policy.action)
	}
	compiled := make([]*rule, 0, len(rules))
	for i, rule := range rules {
		if r := c.rule(i, rule); r != nil {
			compiled = append(compiled, r)
		}
	}
	c.policy.rules = ruleSet{rules: compiled}
	return c.policy
}

// checkProvider returns the rules that are left, given the policy's provider.
func (c *compiler) checkProvider(rules []*Rule) []*Rule {
	provider := c.policy.provider
	switch {
	case c.policy.action == Custom && provider == "":
		c.note("provider", "a CUSTOM policy needs the name of an external authorization; write one of ext_authz. Until then the requests that it matches are refused")
	case c.policy.action == Custom && c.config.ExtAuthz[provider] == nil:
		c.note("provider", "there is no external authorization of that name; add it to ext_authz. Until then the requests that the policy matches are refused")
	case c.policy.action == Allow && provider != "":
		c.note("provider", "only a CUSTOM policy has a provider; write the action CUSTOM, or no provider. Until then the policy lets no request pass")
		return nil
	case c.policy.action != Custom && provider != "":
		c.note("provider", "only a CUSTOM policy has a provider; write the action CUSTOM, or no provider. Until then the provider is not asked")
	}
	return rules
}

// note notes a problem of the policy.
func (c *compiler) note(path, format string, args ...any) {
	c.problems = append(c.problems, Problem{Policy: c.policy.name, Path: path, Message: fmt.Sprintf(format, args...)})
}

// problem notes what is wrong with a part of the rule at hand. An ALLOW rule is
// left out then, any other does without the part: it matches more.
func (c *compiler) problem(path string, err error) {
	var meanwhile string
	switch c.policy.action {
	case Allow:
		c.invalid = true
		meanwhile = "the rule is left out, and lets no request pass"
	case Deny:
		meanwhile = "this part is left out, and the policy refuses what the rest of the rule matches"
	case Audit:
		meanwhile = "this part is left out, and the policy logs what the rest of the rule matches"
	case Custom:
		meanwhile = "this part is left out, and the provider is asked of what the rest of the rule matches"
	}
	c.note(path, "%v. Until then %s", err, meanwhile)
}
