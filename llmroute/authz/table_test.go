package authz

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/integration/policycases"
	"github.com/caddy-llm/gateway/llmroute/authz/jwt"
)

// policyOf makes a policy of the spec of an AuthorizationPolicy.
func policyOf(t testing.TB, name string, spec map[string]any) *Policy {
	t.Helper()
	data, err := json.Marshal(snakeCase(spec))
	if err != nil {
		t.Fatal(err)
	}
	p := &Policy{}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(p); err != nil {
		t.Fatal(err)
	}
	p.Name, p.Namespace = name, "default"
	return p
}

// snakeCase writes the names of fields in snake case, and does without the
// objects source and operation between.
func snakeCase(value any) any {
	switch v := value.(type) {
	case []any:
		for i := range v {
			v[i] = snakeCase(v[i])
		}
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, field := range v {
			if name == "source" || name == "operation" {
				return snakeCase(field)
			}
			var b strings.Builder
			for _, r := range name {
				if 'A' <= r && r <= 'Z' {
					b.WriteByte('_')
				}
				b.WriteString(strings.ToLower(string(r)))
			}
			out[b.String()] = snakeCase(field)
		}
		return out
	}
	return value
}

func tokenOf(claims map[string]any) *jwt.Token {
	if claims == nil {
		return nil
	}
	text := func(name string) string {
		s, _ := claims[name].(string)
		return s
	}
	token := &jwt.Token{Issuer: text("iss"), Subject: text("sub"), Presenter: text("azp"), Claims: claims}
	switch aud := claims["aud"].(type) {
	case string:
		token.Audiences = []string{aud}
	case []any:
		for _, a := range aud {
			token.Audiences = append(token.Audiences, a.(string))
		}
	}
	return token
}

// decideOf is the decision about a request.
func decideOf(t testing.TB, p *policies, c *policycases.Request) Decision {
	t.Helper()
	req := p.request(c.HTTP(t, ""), c.GatewayPort())
	defer req.release()
	req.token = tokenOf(c.Token)
	return p.decide(req, zap.NewNop())
}

func TestPolicies(t *testing.T) {
	for _, group := range policycases.All(t) {
		t.Run(group.Name, func(t *testing.T) {
			config := &Config{TrustedProxies: group.NumTrustedProxies}
			inverse := &Config{TrustedProxies: group.NumTrustedProxies}
			for i, spec := range group.Policies {
				p := policyOf(t, fmt.Sprintf("p%d", i), spec)
				config.Policies = append(config.Policies, p)
				inverse.Policies = append(inverse.Policies, inverted(p))
			}
			compiled, _ := compilePolicies(config)
			compiledInverse, _ := compilePolicies(inverse)
			for i := range group.Requests {
				c := &group.Requests[i]
				if d := decideOf(t, compiled, c); (d.Refusal == nil) != c.Allowed {
					t.Errorf("%s: allowed is %v (%s), want %v", c.Name, d.Refusal == nil, d.Reason, c.Allowed)
				}
				want, said := group.AllowedInversely(c)
				if d := decideOf(t, compiledInverse, c); said && (d.Refusal == nil) != want {
					t.Errorf("%s, with ALLOW and DENY exchanged: allowed is %v (%s), want %v", c.Name, d.Refusal == nil, d.Reason, want)
				}
			}
		})
	}
}

// inverted is the policy with ALLOW and DENY exchanged.
func inverted(p *Policy) *Policy {
	other := *p
	other.Action = Deny
	if p.Action == Deny {
		other.Action = Allow
	}
	return &other
}
