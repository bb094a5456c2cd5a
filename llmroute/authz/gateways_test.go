package authz

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/internal/moduletest"
	"github.com/caddy-llm/gateway/llmroute/authz/jwt"
)

// TestPoliciesOfGateways holds what policies for single Gateways mean for a request, also
// where it may have come in by several.
func TestPoliciesOfGateways(t *testing.T) {
	policy := func(action Action, host string, gateways ...string) *Policy {
		return &Policy{Name: host, Action: action, Gateways: gateways, Provider: map[Action]string{Custom: "nobody"}[action], Rules: []*Rule{{To: []*Operation{{Hosts: []string{host}}}}}}
	}
	for name, test := range map[string]struct {
		policies []*Policy
		refused  string // the Gateways at which a request for a.example is refused, with a plus between those of one request
	}{
		"of none":                {[]*Policy{policy(Deny, "a.example")}, "one two one+two two+one none"},
		"DENY of one":            {[]*Policy{policy(Deny, "a.example", "one")}, "one one+two two+one"},
		"DENY of both":           {[]*Policy{policy(Deny, "a.example", "one", "two")}, "one two one+two two+one"},
		"DENY of other hosts":    {[]*Policy{policy(Deny, "b.example", "one")}, ""},
		"CUSTOM of one":          {[]*Policy{policy(Custom, "a.example", "two")}, "two one+two two+one"},
		"ALLOW of one":           {[]*Policy{policy(Allow, "a.example", "one")}, ""},
		"ALLOW of other hosts":   {[]*Policy{policy(Allow, "b.example", "one")}, "one one+two two+one"},
		"ALLOW of each":          {[]*Policy{policy(Allow, "a.example", "one"), policy(Allow, "b.example", "two")}, "two one+two two+one"},
		"ALLOW of one and all":   {[]*Policy{policy(Allow, "b.example"), policy(Allow, "a.example", "one")}, "two one+two two+one none"},
		"ALLOW of all and other": {[]*Policy{policy(Allow, "a.example"), policy(Allow, "b.example", "one")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			set, _ := New(&Config{Policies: test.policies}, zap.NewNop())
			for _, gateways := range []string{"one", "two", "one+two", "two+one", "none"} {
				r := httptest.NewRequest(http.MethodPost, "http://a.example/", nil)
				of := set.For(strings.Split(gateways, "+"))
				d := of.Authorize(http.Header{}, r, nil)
				if want := strings.Contains(" "+test.refused+" ", " "+gateways+" "); (d.Refusal != nil) != want {
					t.Errorf("by %s: refused is %v, %s", gateways, d.Refusal != nil, d.Reason)
				}
				if of != set.For(strings.Split(gateways, "+")) {
					t.Errorf("by %s: another set each time", gateways)
				}
			}
			r := httptest.NewRequest(http.MethodPost, "http://a.example/", nil)
			if d := set.For(nil).Authorize(http.Header{}, r, nil); (d.Refusal != nil) != strings.Contains(test.refused, "none") {
				t.Errorf("by nothing: %+v", d)
			}
		})
	}
}

// TestTokenRulesOfGateways holds that a token is looked at where its rule is for all Gateways
// that the request may have come in by.
func TestTokenRulesOfGateways(t *testing.T) {
	set, _ := New(&Config{JWT: []*jwt.Rule{{Issuer: "i", JWKSURI: "http://127.0.0.1:1/", Gateways: []string{"one"}}}}, zap.NewNop())
	for gateways, want := range map[string]bool{"one": true, "two": false, "one+two": false, "": false} {
		r := httptest.NewRequest(http.MethodPost, "http://a.example/", nil)
		r.Header.Set("Authorization", "Bearer no.good.token")
		if d := set.For(strings.Split(gateways, "+")).Authorize(http.Header{}, r, nil); (d.Refusal != nil) != want {
			t.Errorf("by %s: %+v", gateways, d)
		}
	}
}

// TestSitesHaveNoGateways holds that a site's policy for a Gateway, which would hold for no
// request, is an error.
func TestSitesHaveNoGateways(t *testing.T) {
	for _, config := range []Config{{Policies: []*Policy{{Gateways: []string{"a/b"}}}}, {JWT: []*jwt.Rule{{Issuer: "i", JWKSURI: "http://127.0.0.1:1/", Gateways: []string{"a/b"}}}}} {
		h := &Handler{Config: config}
		if err := h.Provision(moduletest.Context(t)); err == nil || !strings.Contains(err.Error(), "gateways") {
			t.Errorf("%+v: %v", config, err)
		}
	}
}
