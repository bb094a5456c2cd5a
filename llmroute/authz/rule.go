package authz

import (
	"errors"
	"fmt"
)

// rule is one rule, compiled.
type rule struct {
	policy *policy
	number int  // in the policy's configuration
	allow  bool // whether the policy lets requests pass

	when []check
	// Any of these, each with all of its checks; nil for no restriction.
	from, to [][]check
}

// check is a list of values of an attribute, any of which must match, or none.
type check struct {
	test
	not bool
}

// test is a list of values of an attribute.
type test interface {
	// add takes a value; its error says what to write instead.
	add(value string) error
	// match says whether the request's attribute is any of the values. It is
	// not if the request does not have the attribute.
	match(r *request) bool
	// keys are the values, if they are all that the attribute can be to match.
	// An index finds rules by them. Nil if they are not.
	keys() []key
}

func (r *rule) match(req *request) bool {
	return r.all(r.when, req) && r.any(r.to, req) && r.any(r.from, req)
}

func (r *rule) any(alternatives [][]check, req *request) bool {
	for _, checks := range alternatives {
		if r.all(checks, req) {
			return true
		}
	}
	return len(alternatives) == 0
}

func (r *rule) all(checks []check, req *request) bool {
	for i := range checks {
		req.every = r.allow != checks[i].not
		if checks[i].match(req) == checks[i].not {
			return false
		}
	}
	return true
}

// rule makes a rule, nil if it is left out.
func (c *compiler) rule(number int, config *Rule) *rule {
	c.invalid = false
	path := fmt.Sprintf("rules[%d]", number)
	r := &rule{policy: c.policy, number: number, allow: c.policy.action == Allow}
	if config == nil {
		config = &Rule{}
		c.problem(path, errors.New("the rule is empty; write {} to match every request"))
	}
	for i, condition := range config.When {
		r.when = append(r.when, c.condition(fmt.Sprintf("%s.when[%d]", path, i), condition)...)
	}
	for i, source := range config.From {
		r.from = append(r.from, c.source(fmt.Sprintf("%s.from[%d]", path, i), source))
	}
	for i, operation := range config.To {
		r.to = append(r.to, c.operation(fmt.Sprintf("%s.to[%d]", path, i), operation))
	}
	if c.invalid {
		return nil
	}
	return r
}

// source makes the checks of a source.
func (c *compiler) source(path string, s *Source) []check {
	if s == nil {
		s = &Source{}
	}
	return c.lists(path, []list{
		{"ip_blocks", "source.ip", s.IPBlocks, s.NotIPBlocks},
		{"remote_ip_blocks", "remote.ip", s.RemoteIPBlocks, s.NotRemoteIPBlocks},
		{"trust_domains", "source.trustDomain", s.TrustDomains, s.NotTrustDomains},
		{"namespaces", "source.namespace", s.Namespaces, s.NotNamespaces},
		{"service_accounts", "source.serviceAccount", s.ServiceAccounts, s.NotServiceAccounts},
		{"principals", "source.principal", s.Principals, s.NotPrincipals},
		{"request_principals", "request.auth.principal", s.RequestPrincipals, s.NotRequestPrincipals},
	})
}

// operation makes the checks of an operation, the cheap ones first.
func (c *compiler) operation(path string, o *Operation) []check {
	if o == nil {
		o = &Operation{}
	}
	return c.lists(path, []list{
		{"ports", "destination.port", o.Ports, o.NotPorts},
		{"methods", keyMethod, o.Methods, o.NotMethods},
		{"hosts", keyHost, o.Hosts, o.NotHosts},
		{"paths", keyPath, o.Paths, o.NotPaths},
	})
}

// list is a field of a source or an operation, and the condition's key that
// means the same.
type list struct {
	name, key         string
	values, notValues []string
}

func (c *compiler) lists(path string, lists []list) []check {
	var checks []check
	empty := true
	for _, l := range lists {
		if len(l.values)+len(l.notValues) == 0 {
			continue
		}
		empty = false
		checks = append(checks, c.checks(path+".", l.key, l.name, "not_"+l.name, l.values, l.notValues)...)
	}
	if empty {
		c.problem(path, errors.New("it has no fields; write one, or take it out"))
	}
	return checks
}

// condition makes the checks of a condition.
func (c *compiler) condition(path string, w *Condition) []check {
	if w == nil {
		w = &Condition{}
	}
	if len(w.Values)+len(w.NotValues) == 0 {
		c.problem(path, errors.New("it has no values; write values or not_values"))
		return nil
	}
	return c.checks(path+".", w.Key, "values", "not_values", w.Values, w.NotValues)
}

// checks makes the checks of one attribute.
func (c *compiler) checks(path, key, name, notName string, values, notValues []string) []check {
	var checks []check
	for _, side := range []struct {
		name   string
		values []string
		not    bool
	}{{name, values, false}, {notName, notValues, true}} {
		if len(side.values) == 0 {
			continue
		}
		t, err := c.test(key)
		if err != nil {
			c.problem(path+"key", err)
			return nil
		}
		if c.policy.action == Custom && afterCustom(key) {
			c.problem(path+side.name, errors.New("external authorization is asked before tokens and certificates are looked at; write an ALLOW or DENY policy for them"))
			continue
		}
		any := false
		for i, value := range side.values {
			err := errors.New("the value is empty; write one, or * for whatever is there")
			if value != "" {
				err = t.add(value)
			}
			if err != nil {
				c.problem(fmt.Sprintf("%s%s[%d]", path, side.name, i), err)
				continue
			}
			any = true
		}
		if any {
			checks = append(checks, check{t, side.not})
		}
	}
	return checks
}
