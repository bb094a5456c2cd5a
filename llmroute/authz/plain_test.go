package authz

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// plain decides as policies do, the plain way: it goes through the
// configuration, and has a regular expression for each value, as Istio's control
// plane writes them for Envoy. It takes valid policies only. What a request's
// attributes are, it does not find out itself.
type plain struct{ config *Config }

func (p *plain) passes(r *request) bool {
	hasAllow := false
	for _, policy := range p.config.Policies {
		hasAllow = hasAllow || policy.Action == Allow && !policy.DryRun
	}
	return !p.any(Deny, r) && (!hasAllow || p.any(Allow, r))
}

func (p *plain) any(action Action, r *request) bool {
	for _, policy := range p.config.Policies {
		if policy.Action != action || policy.DryRun {
			continue
		}
		for _, rule := range policy.Rules {
			if p.rule(policy, rule, r) {
				return true
			}
		}
	}
	return false
}

func (p *plain) rule(policy *Policy, rule *Rule, r *request) bool {
	from, to := len(rule.From) == 0, len(rule.To) == 0
	for _, s := range rule.From {
		from = from || p.both(r, policy, "source.ip", s.IPBlocks, s.NotIPBlocks) &&
			p.both(r, policy, "remote.ip", s.RemoteIPBlocks, s.NotRemoteIPBlocks) &&
			p.both(r, policy, "source.principal", s.Principals, s.NotPrincipals) &&
			p.both(r, policy, "source.namespace", s.Namespaces, s.NotNamespaces) &&
			p.both(r, policy, "source.serviceAccount", s.ServiceAccounts, s.NotServiceAccounts) &&
			p.both(r, policy, "source.trustDomain", s.TrustDomains, s.NotTrustDomains) &&
			p.both(r, policy, "request.auth.principal", s.RequestPrincipals, s.NotRequestPrincipals)
	}
	for _, o := range rule.To {
		to = to || p.both(r, policy, "host", o.Hosts, o.NotHosts) &&
			p.both(r, policy, "destination.port", o.Ports, o.NotPorts) &&
			p.both(r, policy, "method", o.Methods, o.NotMethods) &&
			p.both(r, policy, "path", o.Paths, o.NotPaths)
	}
	for _, w := range rule.When {
		if !p.both(r, policy, w.Key, w.Values, w.NotValues) {
			return false
		}
	}
	return from && to
}

func (p *plain) both(r *request, policy *Policy, key string, values, notValues []string) bool {
	allow := policy.Action == Allow
	return (len(values) == 0 || p.oneOf(r, policy, key, values, allow)) && !p.oneOf(r, policy, key, notValues, !allow)
}

// oneOf says whether any reading, or every one, is one of the values.
func (p *plain) oneOf(r *request, policy *Policy, key string, values []string, every bool) bool {
	count := 1
	switch header, ok := strings.CutPrefix(key, "request.headers["); {
	case ok:
		if count = len(r.Header.Values(strings.TrimSuffix(header, "]"))); count > 1 {
			count++ // the joined value
		}
	case key == "path" && every:
		count = endpointReading
	case key == "path":
		count = pathReadings
	case key == "destination.port" && !every:
		count = len(r.ports)
	}
	matching := 0
	for reading := range count {
		for _, value := range values {
			if p.value(r, policy, key, value, reading) {
				matching++
				break
			}
		}
	}
	return matching > 0 && (!every || matching == count)
}

func (p *plain) value(r *request, policy *Policy, key, value string, number int) bool {
	id := r.peer().principal
	switch key {
	case "source.ip":
		return within(value, r.address(attrSourceIP))
	case "remote.ip":
		return within(value, r.address(attrRemoteIP))
	case "destination.ip":
		return within(value, r.address(attrDestinationIP))
	case "destination.port":
		return strconv.Itoa(r.ports[number]) == value
	case "method":
		return matches(pattern(value, ".+"), r.Method)
	case "host":
		for _, form := range hostForms(nil, r.Host) {
			if matches(pattern(strings.ToLower(value), ".+"), form) {
				return true
			}
		}
		return false
	case "path":
		paths := r.readPaths()
		reading := paths[number]
		if reading == "" {
			return false
		}
		if number >= canonicalReading {
			if !strings.Contains(value, "%") {
				return false
			}
			value = canonicalValue(value)
		} else if strings.Contains(value, "%") {
			reading = paths[sentReading]
			if number == mergedSentReading || number == mergedRoutedReading {
				reading = paths[mergedSentReading]
			}
		}
		if strings.Contains(value, "{") {
			value = regexp.QuoteMeta(value)
			value = strings.ReplaceAll(value, `\{\*\*\}`, ".*")
			return matches(strings.ReplaceAll(value, `\{\*\}`, "[^/]+"), reading)
		}
		return matches(pattern(value, ".+"), reading)
	case "connection.sni":
		return r.TLS != nil && matches(pattern(value, ".+"), strings.ToLower(r.TLS.ServerName)) && r.TLS.ServerName != ""
	case "source.principal":
		return id != "" && matches(pattern(value, ".+"), id)
	case "source.namespace":
		parts := strings.Split(value, "*")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		return matches(".*/ns/"+strings.Join(parts, ".*")+"/.*", id)
	case "source.serviceAccount":
		namespace, name, ok := strings.Cut(value, "/")
		if !ok {
			namespace, name = policy.Namespace, value
		}
		return matches(".+/ns/"+regexp.QuoteMeta(namespace)+"/(.+/|)sa/"+regexp.QuoteMeta(name)+"(/.+)?", id)
	case "source.trustDomain":
		return matches(strings.ReplaceAll(regexp.QuoteMeta(value), `\*`, "[^/]*")+"/.*", id)
	}
	if header, ok := strings.CutPrefix(key, "request.headers["); ok {
		lines := r.Header.Values(strings.TrimSuffix(header, "]"))
		text := strings.Join(lines, ",")
		if number < len(lines) {
			text = lines[number]
		}
		return matches(pattern(value, ".*"), text)
	}
	if r.token == nil {
		return false
	}
	var texts []string
	switch key {
	case "request.auth.principal":
		if r.token.Issuer == "" || r.token.Subject == "" {
			return false
		}
		return principalMatches(value, r.token.Issuer, r.token.Subject, r.every)
	case "request.auth.audiences":
		texts = r.token.Audiences
	case "request.auth.presenter":
		texts = []string{r.token.Presenter}
	default:
		texts = r.token.Claim([]string{strings.TrimSuffix(strings.TrimPrefix(key, "request.auth.claims["), "]")})
	}
	for _, text := range texts {
		if text != "" && matches(pattern(value, ".+"), text) {
			return true
		}
	}
	return false
}

func within(value string, addr netip.Addr) bool {
	if !strings.Contains(value, "/") {
		a, err := netip.ParseAddr(value)
		return err == nil && a.Unmap() == addr
	}
	prefix, err := netip.ParsePrefix(value)
	return err == nil && prefix.Contains(addr)
}

// pattern is a value as a regular expression, present that of *.
func pattern(value, present string) string {
	switch {
	case value == "*":
		return present
	case strings.HasPrefix(value, "*"):
		return ".*" + regexp.QuoteMeta(value[1:])
	case strings.HasSuffix(value, "*"):
		return regexp.QuoteMeta(value[:len(value)-1]) + ".*"
	}
	return regexp.QuoteMeta(value)
}

// principalMatches compares a value with a principal: with an issuer and a subject
// at each slash that the value can be cut at, and as it is.
func principalMatches(value, issuer, subject string, every bool) bool {
	begin, isPrefix := strings.CutSuffix(value, "*")
	end, isSuffix := strings.CutPrefix(value, "*")
	joined := issuer + "/" + subject
	switch {
	case value == "*":
		return true
	case isSuffix && !every:
		return strings.HasSuffix(joined, end)
	case isPrefix && !every:
		return strings.HasPrefix(joined, begin)
	case isSuffix && !strings.Contains(end, "/"):
		return strings.HasSuffix(subject, end)
	case isPrefix && begin == issuer:
		return true
	case isPrefix && !isSuffix && !strings.Contains(strings.Replace(begin, "://", "", 1), "/"):
		return strings.HasPrefix(issuer, begin) || strings.HasPrefix(joined, begin) && begin[:len(begin)-len(strings.TrimPrefix(begin, issuer))] == issuer
	case !isPrefix && !isSuffix:
		return joined == value
	}
	for i := range len(value) {
		if value[i] != '/' {
			continue
		}
		left, right := value[:i], value[i+1:]
		if isSuffix && strings.HasSuffix(issuer, left[min(1, len(left)):]) && subject == right ||
			!isSuffix && issuer == left && strings.HasPrefix(subject, strings.TrimSuffix(right, "*")) {
			return true
		}
	}
	return false
}

var patterns = map[string]*regexp.Regexp{}

func matches(expr, s string) bool {
	re := patterns[expr]
	if re == nil {
		re = regexp.MustCompile("(?s)^(?:" + expr + ")$")
		if len(patterns) < 10_000 {
			patterns[expr] = re
		}
	}
	return re.MatchString(s)
}
