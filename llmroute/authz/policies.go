package authz

import (
	"net/http"

	"go.uber.org/zap"
)

// policies are the policies of a Config, compiled.
type policies struct {
	custom         []*policy
	trustedProxies int
}

// policy is one policy, compiled.
type policy struct {
	name     string
	provider string
	dryRun   bool
}

func compilePolicies(config *Config) (*policies, []Problem) {
	return &policies{trustedProxies: config.TrustedProxies}, nil
}

// match is the number of the first rule that matches, -1 if none does.
func (p *policy) match(*request) int { return -1 }

// decide goes through AUDIT, DENY and ALLOW policies.
func (p *policies) decide(*request, *zap.Logger) Decision { return Decision{Rule: -1} }

// request is a request as policies see it.
type request struct {
	*http.Request
	port  int
	token *Token
}

func (p *policies) request(r *http.Request, port int) *request {
	return &request{Request: r, port: port}
}

func (r *request) release() {}
