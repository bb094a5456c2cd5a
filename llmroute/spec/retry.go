package spec

import (
	"net/http"
	"slices"

	"github.com/caddy-llm/gateway/llmroute/cooldown"
)

// Retries reports whether a provider's status moves a request on to another
// backend. ownKey tells that the provider was sent a credential of the gateway's
// own.
func (r *Rule) Retries(status int, ownKey bool) bool {
	if r.RetryOn != nil {
		return slices.Contains(r.RetryOn, status)
	}
	return cooldown.IsFailure(status, ownKey) || status == http.StatusFailedDependency || ownKey && status == http.StatusForbidden
}
