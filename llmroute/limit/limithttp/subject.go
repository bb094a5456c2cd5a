package limithttp

import (
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/filter"
	"github.com/caddy-llm/gateway/llmroute/limit"
)

// subject is a request as limits ask about it.
type subject struct {
	f    *Filter
	call *filter.Call
	err  error // of a matcher
}

// Value implements limit.Subject.
func (s *subject) Value(k limit.Key) string {
	c := s.call
	switch k {
	case limit.KeyClient:
		if c.Client.Name != "" {
			return c.Client.Name
		}
		if c.Client.Principal == "" {
			s.f.nobody.Do(func() {
				s.f.logger.Warn("limit keyed by client got a request without one; such requests share one counter. Put llm_keys or llm_authz before llm_route, or write require after the key")
			})
		}
		return c.Client.Principal
	case limit.KeyWorkload:
		return c.Workload
	case limit.KeyNamespace:
		return c.Namespace
	case limit.KeyIP:
		ip, _ := caddyhttp.GetVar(c.Request.Context(), caddyhttp.ClientIPVarKey).(string)
		return ip
	}
	if name, ok := k.Header(); ok {
		if values := c.Request.Header[name]; len(values) == 1 {
			return values[0]
		} else if len(values) > 1 {
			return strings.Join(values, ",") // as RFC 9110 reads a repeated header
		}
		return ""
	}
	name, ok := k.Claim()
	switch {
	case !ok:
		return ""
	case c.Client.Claim == nil:
		s.f.noToken.Do(func() {
			s.f.logger.Warn("limit keyed by claim got a request without a verified token; such requests share one counter. Put llm_authz before llm_route, or write require after the key")
		})
		return ""
	}
	return strings.Join(c.Client.Claim(claimPath(name)), ",")
}

// claimPath is the names that lead to a claim: a name with a scheme, as some issuers
// use, is one.
func claimPath(name string) []string {
	if strings.Contains(name, "/") {
		return []string{name}
	}
	return strings.Split(name, ".")
}

// Matches implements limit.Subject. A request whose matcher fails is not let through.
func (s *subject) Matches(i int) bool {
	ok, err := s.f.matchers[i].AnyMatchWithError(s.call.Request)
	if err != nil && s.err == nil {
		s.err = err
	}
	return ok || err != nil
}

// refusal is what the client is told if a matcher failed.
func (s *subject) refusal() *llmprovider.Error {
	return &llmprovider.Error{
		Status: http.StatusInternalServerError, Type: llmprovider.TypeServer, Code: "matcher_failed",
		Message: "the gateway could not decide which limits hold for the request; its operator can find the reason in the log", Cause: s.err,
	}
}

// Interface guards
var _ limit.Subject = (*subject)(nil)
