package authz

import (
	"slices"
	"strings"

	"github.com/caddy-llm/gateway/llmroute/authz/jwt"
)

// HasGateways reports whether a policy or a token rule is for the requests of single
// Gateways.
func (c *Config) HasGateways() bool {
	return slices.ContainsFunc(c.Policies, func(p *Policy) bool { return p != nil && len(p.Gateways) > 0 }) ||
		slices.ContainsFunc(c.JWT, func(r *jwt.Rule) bool { return r != nil && len(r.Gateways) > 0 })
}

// For returns the configuration for requests that have come in by a Gateway. Where several
// share an address and have a host in common, they may have come in by any of them: then what
// DENY, CUSTOM and AUDIT say of one holds, ALLOW has to let them pass for each, and a token
// rule must be for all of them.
func (c *Config) For(gateways []string) *Config {
	if !c.HasGateways() {
		return c
	}
	out := *c
	out.gateways, out.JWT = gateways, nil
	for _, rule := range c.JWT {
		if rule == nil || len(rule.Gateways) == 0 || len(gateways) > 0 && !slices.ContainsFunc(gateways, func(g string) bool { return !slices.Contains(rule.Gateways, g) }) {
			out.JWT = append(out.JWT, rule)
		}
	}
	return &out
}

// holds reports whether the policy is for requests of a Gateway.
func (p *Policy) holds(gateway string) bool {
	return p == nil || len(p.Gateways) == 0 || slices.Contains(p.Gateways, gateway)
}

// ways are the Gateways that requests may have come in by, one without a name if that is
// nothing that a policy could be about.
func (c *Config) ways() []string {
	if len(c.gateways) == 0 {
		return []string{""}
	}
	return c.gateways
}

// HasGateways reports whether what is decided depends on the Gateway that a request has come
// in by.
func (s *Set) HasGateways() bool { return s.hasGateways }

// For returns the set for requests that have come in by these Gateways, see Config.For. There
// are as many as listeners make of them, so that each is kept.
func (s *Set) For(gateways []string) *Set {
	if !s.hasGateways {
		return s
	}
	key := strings.Join(gateways, " ")
	if one, ok := s.byGateways.Load(key); ok {
		return one.(*Set)
	}
	made, _ := New(s.config.For(gateways), s.logger)
	made.hasGateways = false
	made.UseBodies(s.bodies)
	one, _ := s.byGateways.LoadOrStore(key, made)
	return one.(*Set)
}
