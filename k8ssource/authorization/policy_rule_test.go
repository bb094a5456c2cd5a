package authorization

import (
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/k8ssource/object"
)

func TestClaimsWithDots(t *testing.T) {
	for key, reported := range map[string]bool{
		"request.auth.claims[realm_access.roles]": true, "request.auth.claims[realm_access][roles]": false, "request.auth.claims[group]": false,
		"request.auth.claims[https://example.com/claims]": false, "request.headers[x.y]": false, "request.auth.claims[example.com/role]": false,
	} {
		policy := &object.AuthorizationPolicy{Spec: object.AuthorizationPolicySpec{Rules: []*object.PolicyRule{nil, {When: []*object.PolicyCondition{nil, {Key: key}}}}}}
		if got := claimsWithDots(policy); (len(got) == 1) != reported || reported && !strings.HasPrefix(got[0].Message, "spec.rules[1].when[1].key: ") {
			t.Errorf("%s: %+v", key, got)
		}
	}
}
