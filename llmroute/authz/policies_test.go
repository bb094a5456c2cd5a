package authz

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-llm/gateway/integration/policycases"
)

func TestProblems(t *testing.T) {
	when := func(action Action, w ...*Condition) *Policy {
		return &Policy{Action: action, Rules: []*Rule{{When: w}}}
	}
	from := func(action Action, s ...*Source) *Policy {
		return &Policy{Action: action, Rules: []*Rule{{From: s}}}
	}
	to := func(action Action, o ...*Operation) *Policy {
		return &Policy{Action: action, Rules: []*Rule{{To: o}}}
	}
	for _, c := range []struct {
		name   string
		policy *Policy
		path   string
		parts  string // of the message, between bars
		passes bool   // a plain request
	}{
		{"no policy", nil, "policies", "take it out|lets no request pass", false},
		{"an action that is none", &Policy{Action: "deny", Rules: []*Rule{{To: []*Operation{{Methods: []string{"GET"}}}}}}, "action", `not an action|ALLOW, DENY, AUDIT or CUSTOM|every request is refused`, false},
		{"DENY without rules", &Policy{Action: Deny}, "rules", "write one of {}|matches none", true},
		{"AUDIT without rules", &Policy{Action: Audit}, "rules", "write one of {}|matches none", true},
		{"a rule that is none, ALLOW", &Policy{Rules: []*Rule{nil}}, "rules[0]", "write {}|lets no request pass", false},
		{"a rule that is none, DENY", &Policy{Action: Deny, Rules: []*Rule{nil}}, "rules[0]", "write {}|refuses", false},
		{"a source without fields, ALLOW", from(Allow, &Source{}), "rules[0].from[0]", "no fields|lets no request pass", false},
		{"a source without fields, DENY", from(Deny, &Source{IPBlocks: []string{"10.0.0.1"}}, nil), "rules[0].from[1]", "no fields|refuses", false},
		{"an operation without fields", to(Allow, &Operation{}), "rules[0].to[0]", "no fields", false},
		{"a provider without CUSTOM", &Policy{Provider: "p", Rules: []*Rule{{}}}, "provider", "write the action CUSTOM|lets no request pass", false},
		{"a provider with DENY", &Policy{Action: Deny, Provider: "p", Rules: []*Rule{{When: []*Condition{{Key: "destination.port", Values: []string{"1"}}}}}}, "provider", "write the action CUSTOM", true},
		{"CUSTOM without a provider", &Policy{Action: Custom, Rules: []*Rule{{}}}, "provider", "needs the name|refused", true}, // by custom
		{"CUSTOM with a provider that is not there", &Policy{Action: Custom, Provider: "p", Rules: []*Rule{{}}}, "provider", `no external authorization|ext_authz|refused`, true},
		{"an unknown key", when(Allow, &Condition{Key: "request.body", Values: []string{"x"}}), "rules[0].when[0].key", `no such key|request.headers[NAME]|lets no request pass`, false},
		{"an experimental key", when(Deny, &Condition{Key: "experimental.envoy.filters.a[b]", NotValues: []string{"x"}}), "rules[0].when[0].key", "there is no such key|refuses", false},
		{"no values", when(Allow, &Condition{Key: "source.ip"}), "rules[0].when[0]", "write values or not_values", false},
		{"no condition", when(Deny, nil), "rules[0].when[0]", "write values or not_values", false},
		{"an empty value", when(Allow, &Condition{Key: "request.headers[x]", Values: []string{"a", ""}}), "rules[0].when[0].values[1]", "empty", false},
		{"no header", when(Allow, &Condition{Key: "request.headers", Values: []string{"a"}}), "rules[0].when[0].key", "request.headers[NAME]", false},
		{"a bad header", when(Allow, &Condition{Key: "request.headers[x y]", Values: []string{"a"}}), "rules[0].when[0].key", "not a header's name", false},
		{"a header of the connection", when(Deny, &Condition{Key: "request.headers[Transfer-Encoding]", Values: []string{"a"}}), "rules[0].when[0].key", "not seen", false},
		{"no claim", when(Allow, &Condition{Key: "request.auth.claims", Values: []string{"a"}}), "rules[0].when[0].key", "request.auth.claims[NAME]", false},
		{"a bad address", from(Allow, &Source{IPBlocks: []string{"10.0.0.1", "10.0.0"}}), "rules[0].from[0].ip_blocks[1]", `neither an address|203.0.113.0/24`, false},
		{"a bad range", from(Deny, &Source{NotRemoteIPBlocks: []string{"10.0.0.0/33"}}), "rules[0].from[0].not_remote_ip_blocks[0]", `neither an address`, false},
		{"an address with a zone", from(Allow, &Source{IPBlocks: []string{"fe80::1%eth0"}}), "rules[0].from[0].ip_blocks[0]", "neither an address", false},
		{"a bad port", to(Deny, &Operation{Ports: []string{"http"}}), "rules[0].to[0].ports[0]", `not a port|0 to 65535`, false},
		{"a bad template", to(Allow, &Operation{Paths: []string{"/a/{*}.txt"}}), "rules[0].to[0].paths[0]", "{**}", false},
		{"two {**}", to(Allow, &Operation{NotPaths: []string{"/{**}/a/{**}"}}), "rules[0].to[0].not_paths[0]", "behind it", false},
		{"a principal as a URI", from(Allow, &Source{Principals: []string{"spiffe://td/ns/a/sa/b"}}), "rules[0].from[0].principals[0]", `without spiffe://`, false},
		{"a service account with an asterisk", from(Deny, &Source{ServiceAccounts: []string{"a/*"}}), "rules[0].from[0].service_accounts[0]", "default/sleep", false},
		{"a service account without a namespace", from(Deny, &Source{ServiceAccounts: []string{"a"}}), "rules[0].from[0].service_accounts[0]", "namespace", false},
		{"a trust domain with a path", from(Deny, &Source{TrustDomains: []string{"td/ns"}}), "rules[0].from[0].trust_domains[0]", "cluster.local", false},
		{"CUSTOM with a token", &Policy{Action: Custom, Rules: []*Rule{{From: []*Source{{RequestPrincipals: []string{"*"}}}}}}, "rules[0].from[0].request_principals", "before tokens|asked", true},
		{"CUSTOM with a claim", when(Custom, &Condition{Key: "request.auth.claims[a]", NotValues: []string{"*"}}), "rules[0].when[0].not_values", "before tokens|asked", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.policy != nil {
				c.policy.Name = "default/p"
			}
			compiled, problems := compilePolicies(&Config{Policies: []*Policy{c.policy}})
			var found *Problem
			for i := range problems {
				if problems[i].Path == c.path {
					found = &problems[i]
				}
			}
			if found == nil {
				t.Fatalf("no problem of %s: %v", c.path, problems)
			}
			if c.policy != nil && found.Policy != "default/p" {
				t.Errorf("the problem is of policy %q", found.Policy)
			}
			for part := range strings.SplitSeq(c.parts, "|") {
				if !strings.Contains(found.Message, part) {
					t.Errorf("the message has no %q: %s", part, found.Message)
				}
			}
			if d := decideOf(t, compiled, &policycases.Request{}); (d.Refusal == nil) != c.passes {
				t.Errorf("a request passes is %v (%s)", d.Refusal == nil, d.Reason)
			}
			for _, p := range compiled.custom {
				if decideCustom(t, p, &policycases.Request{}) != 0 {
					t.Error("the policy does not match any more")
				}
			}
		})
	}
}

func decideCustom(t *testing.T, p *policy, c *policycases.Request) int {
	t.Helper()
	r, port := c.HTTP(t, ""), c.GatewayPort()
	req := (&policies{}).request(r, port)
	defer req.release()
	return p.match(req)
}

func TestNoProblems(t *testing.T) {
	for _, policy := range []*Policy{
		{},
		{Rules: []*Rule{{}}},
		{Action: Custom, Provider: "p", Rules: []*Rule{{To: []*Operation{{Paths: []string{"/admin/*"}}}}}},
	} {
		_, problems := compilePolicies(&Config{ExtAuthz: map[string]*ExtAuthz{"p": {}}, Policies: []*Policy{policy}})
		if len(problems) > 0 {
			t.Errorf("%+v: %v", policy, problems)
		}
	}
	if _, problems := compilePolicies(&Config{TrustedProxies: -1}); len(problems) != 1 || problems[0].Path != "num_trusted_proxies" {
		t.Errorf("%v", problems)
	}
}

// CUSTOM policies match by the path that the gateway routes by as well.
func TestCustomMatch(t *testing.T) {
	compiled, _ := compilePolicies(&Config{Policies: []*Policy{{Action: Custom, Rules: []*Rule{
		{To: []*Operation{{Paths: []string{"/other"}}}}, {To: []*Operation{{Paths: []string{"/v1/models"}}}},
	}}}})
	for target, want := range map[string]int{"/v1/models": 1, "/v1%2Fmodels": 1, "/other": 0, "/v1": -1} {
		if got := decideCustom(t, compiled.custom[0], &policycases.Request{Target: target}); got != want {
			t.Errorf("%s: %d, want %d", target, got, want)
		}
	}
}

func TestDecision(t *testing.T) {
	rule := func(method string) *Rule { return &Rule{To: []*Operation{{Methods: []string{method}}}} }
	compiled, _ := compilePolicies(&Config{Policies: []*Policy{
		{Name: "allow", Rules: []*Rule{{To: []*Operation{{Ports: []string{"bad"}}}}, rule("GET")}},
		{Name: "deny", Action: Deny, Rules: []*Rule{rule("PUT"), rule("DELETE")}},
	}})
	for method, want := range map[string]Decision{
		"GET":    {Policy: "allow", Rule: 1, Reason: "an ALLOW policy matches"}, // numbered as written
		"DELETE": {Policy: "deny", Rule: 1, Reason: "a DENY policy matches", Refusal: errDenied},
		"PUT":    {Policy: "deny", Rule: 0, Reason: "a DENY policy matches", Refusal: errDenied},
		"POST":   {Rule: -1, Reason: "no ALLOW policy matches", Refusal: errDenied},
	} {
		if d := decideOf(t, compiled, &policycases.Request{Method: method}); d != want {
			t.Errorf("%s: %+v, want %+v", method, d, want)
		}
	}
	compiled, _ = compilePolicies(&Config{})
	if d := decideOf(t, compiled, &policycases.Request{}); d.Refusal != nil || d.Rule != -1 || d.Policy != "" {
		t.Errorf("without policies: %+v", d)
	}
}

// Policies that only log are logged by name, and with nothing of the request.
func TestLogs(t *testing.T) {
	get, post := &Rule{To: []*Operation{{Methods: []string{"GET"}}}}, &Rule{To: []*Operation{{Methods: []string{"POST"}}}}
	for _, c := range []struct {
		name     string
		policies []*Policy
		want     string
		passes   bool
	}{
		{"AUDIT", []*Policy{{Name: "a", Action: Audit, Rules: []*Rule{get, post}}}, "policy audits a 1", true},
		{"two AUDIT", []*Policy{{Name: "a", Action: Audit, Rules: []*Rule{{}}}, {Name: "b", Action: Audit, Rules: []*Rule{{}}}}, "policy audits a 0, policy audits b 0", true},
		{"AUDIT that does not match", []*Policy{{Name: "a", Action: Audit, Rules: []*Rule{get}}}, "", true},
		{"AUDIT without effect", []*Policy{{Name: "a", Action: Audit, DryRun: true, Rules: []*Rule{post}}}, "policy would audit a 0", true},
		{"DENY", []*Policy{{Name: "d", Action: Deny, DryRun: true, Rules: []*Rule{post}}}, "policy would deny d 0", true},
		{"DENY that does not match", []*Policy{{Name: "d", Action: Deny, DryRun: true, Rules: []*Rule{get}}}, "", true},
		{"ALLOW that would refuse others", []*Policy{{Name: "a", DryRun: true, Rules: []*Rule{get}}}, "policies would deny", true},
		{"ALLOW that would let pass", []*Policy{{Name: "x", Rules: []*Rule{get}}, {Name: "a", DryRun: true, Rules: []*Rule{get, post}}}, "policy would allow a 1", false},
		{"ALLOW that changes nothing", []*Policy{{Name: "x", Rules: []*Rule{post}}, {Name: "a", DryRun: true, Rules: []*Rule{get}}}, "", true},
		{"ALLOW that would let pass what passes", []*Policy{{Name: "a", DryRun: true, Rules: []*Rule{post}}}, "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			compiled, problems := compilePolicies(&Config{Policies: c.policies})
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			core, logs := observer.New(zapcore.InfoLevel)
			r, port := (&policycases.Request{}).HTTP(t, ""), 80
			req := compiled.request(r, port)
			d := compiled.decide(req, zap.New(core))
			req.release()
			if (d.Refusal == nil) != c.passes {
				t.Errorf("passes is %v", d.Refusal == nil)
			}
			var got []string
			for _, entry := range logs.All() {
				line := entry.Message
				for _, field := range entry.Context {
					switch field.Key {
					case "policy":
						line += " " + field.String
					case "rule":
						line += " " + string(rune('0'+field.Integer))
					}
				}
				if entry.Level != zapcore.InfoLevel {
					t.Errorf("%s is logged at %s", line, entry.Level)
				}
				got = append(got, line)
			}
			if strings.Join(got, ", ") != c.want {
				t.Errorf("logged %q, want %q", got, c.want)
			}
		})
	}
}

// In a site, the client's address is what Caddy says it is.
func TestClientAddressOfCaddy(t *testing.T) {
	for _, c := range []struct {
		name    string
		client  any
		trusted int
		want    string
	}{
		{"none", nil, 0, "192.0.2.1"},
		{"an address", "203.0.113.9", 0, "203.0.113.9"},
		{"with a zone", "fe80::1%eth0", 0, "fe80::1"},
		{"IPv4 in IPv6", "::ffff:203.0.113.9", 0, "203.0.113.9"},
		{"no address", "unknown", 0, "192.0.2.1"},
		{"proxies of our own", "203.0.113.9", 1, "10.0.0.7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/", nil)
			r.Header.Set("X-Forwarded-For", "10.0.0.7")
			r = r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, map[string]any{caddyhttp.ClientIPVarKey: c.client}))
			req := (&policies{trustedProxies: c.trusted}).request(r, 80)
			defer req.release()
			if got := req.address(attrRemoteIP).String(); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}
