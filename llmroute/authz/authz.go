// Package authz decides who may call: policies in the terms of Istio's
// AuthorizationPolicy, tokens in those of its RequestAuthentication, which package jwt
// verifies, and external authorization over HTTP. It knows nothing of routes. Begin with
// Config and Set.
//
// Sources, for what a rule means: the reference of security.istio.io and of
// MeshConfig's extensionProviders (https://istio.io/latest/docs/reference/config/),
// and Envoy's jwt_authn, ext_authz and rbac filters for the responses.
package authz

import (
	"net/http"
	"sync"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/authz/jwt"
)

// Set is a Config in force. It is immutable, and safe for use by many requests
// at once. What outlives it (fetched keys, connections to external services) is
// shared with other sets that use the same, such as the one that replaces it.
type Set struct {
	policies *policies
	tokens   *jwt.Verifier
	external map[string]*external
	logger   *zap.Logger

	config      *Config
	bodies      *llmprovider.Budget // see UseBodies
	hasGateways bool
	byGateways  sync.Map // of sets for single Gateways, see For
}

// New makes a set of a configuration. It makes no connections. What is wrong in the
// configuration never lets more requests pass: an ALLOW rule that cannot be
// understood is left out, and of a DENY rule only the value that cannot be. Each
// such place is a problem.
func New(config *Config, logger *zap.Logger) (*Set, []Problem) {
	s := &Set{external: make(map[string]*external, len(config.ExtAuthz)), logger: logger, config: config, hasGateways: config.HasGateways()}
	var problems []Problem
	s.policies, problems = compilePolicies(config)
	s.tokens = jwt.New(config.JWT, logger, func(origin, field, message string) {
		problems = append(problems, Problem{Policy: origin, Path: field, Message: message})
	})
	for name, service := range config.ExtAuthz {
		e, err := newExternal(name, service)
		if err != nil {
			problems = append(problems, Problem{Path: "ext_authz." + name, Message: err.Error()})
			continue // policies that name it refuse what they match
		}
		e.behindProxies = config.TrustedProxies > 0
		s.external[name] = e
	}
	return s, problems
}

// UseBodies has the bodies that external services are shown count against a budget, that of
// clients who are not known yet. It is called before the first request.
func (s *Set) UseBodies(budget *llmprovider.Budget) {
	s.bodies = budget
	for _, e := range s.external {
		e.bodies = budget
	}
}

// Decision is what was decided of a request, and by what.
type Decision struct {
	// Refusal is the response, nil if the request may pass.
	Refusal *Refusal
	// Policy is the name of the policy that decided, empty if none did: the
	// request passes because nothing is against it, or is refused for its token,
	// or since no ALLOW policy matches.
	Policy string
	// Rule is the rule of Policy that matched, from 0; -1 without one.
	Rule int
	// Reason says in a few words why, for logs. It has nothing of a token.
	Reason string
	// Token is the verified token, nil without one.
	Token *jwt.Token
}

// Refusal is the response to a request that may not pass.
type Refusal struct {
	Status int
	Header http.Header
	Body   string
}

// errDenied is Istio's answer to what a policy refuses.
var errDenied = &Refusal{Status: http.StatusForbidden, Body: "RBAC: access denied"}

// Write answers with the refusal.
func (f *Refusal) Write(w http.ResponseWriter) error {
	header := w.Header()
	for name, values := range f.Header {
		header[name] = values
	}
	if header["Content-Type"] == nil {
		header["Content-Type"] = []string{"text/plain"}
	}
	w.WriteHeader(f.Status)
	_, err := w.Write([]byte(f.Body))
	return err
}

// Providers are the providers that a request may be sent to.
type Providers interface {
	// Has reports whether any of them has an endpoint that is only a provider's own,
	// see llmprovider.Endpoint.
	Has(e llmprovider.Endpoint) bool
}

// Authorize decides whether a request may pass. providers may be nil if there are
// none. ports are those that clients know the listener by, none for the one that the
// request came in at. A token that
// providers must not get is taken out of the request, and the headers that the
// configuration asks for are put into it, and into the header of the response.
//
// The caller has rejected hosts that have no normal form and removed the headers
// of the connection (see llmprovider.Prepare).
func (s *Set) Authorize(answer http.Header, r *http.Request, providers Providers, ports ...int) Decision {
	req := s.policies.request(r, ports...)
	req.providers = providers
	return s.authorize(answer, req)
}

// AuthorizeMerged is Authorize for a request that may get to a server which reads several
// slashes in a row, as in //admin, as one: the request passes only if policies and external
// services let it pass as it is and with single slashes.
func (s *Set) AuthorizeMerged(answer http.Header, r *http.Request, providers Providers, ports ...int) Decision {
	req := s.policies.request(r, ports...)
	req.providers, req.mergesSlashes = providers, true
	return s.authorize(answer, req)
}

// authorize decides on a request, and releases it.
func (s *Set) authorize(answer http.Header, req *request) Decision {
	defer req.release()
	r := req.Request
	s.tokens.Clear(r) // or a client could tell external authorization what tokens say
	if d := s.custom(answer, req); d.Refusal != nil {
		return d
	}
	token, err := s.tokens.Verify(r)
	if err != nil {
		status, challenge := jwt.Challenge(r, err)
		refusal := &Refusal{Status: status, Body: err.Error(), Header: http.Header{"Www-Authenticate": {challenge}}}
		return Decision{Refusal: refusal, Rule: -1, Reason: refusal.Body}
	}
	// Before the other policies, which may look at the headers that come of it.
	s.tokens.Forward(r, token)
	req.changed()
	req.token = token
	d := s.policies.decide(req, s.logger)
	d.Token = token
	return d
}

// custom asks the external services of the CUSTOM policies that match.
func (s *Set) custom(answer http.Header, req *request) Decision {
	for _, p := range s.policies.custom {
		rule := p.match(req)
		if rule < 0 {
			continue
		}
		if p.dryRun {
			p.log(s.logger, "policy would ask external authorization", rule)
			continue
		}
		d := Decision{Policy: p.name, Rule: rule, Reason: "external authorization " + p.provider}
		if e := s.external[p.provider]; e != nil {
			d.Refusal = e.check(answer, req.Request, req.endpoint(), s.logger, req.merged()...)
			req.changed()
		} else {
			d.Refusal, d.Reason = errDenied, "there is no external authorization "+p.provider
		}
		if d.Refusal != nil {
			return d
		}
	}
	return Decision{Rule: -1}
}
