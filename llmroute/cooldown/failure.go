package cooldown

import "net/http"

// IsFailure reports whether a status is the provider's failure, so that three in a
// row cool it down. Others may be the client's own fault, which must cool nobody
// down: a 403 is also what some providers answer to a text that they do not like,
// and a 424 what OpenAI answers when a tool server fails that the client named.
func IsFailure(status int, ownKey bool) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	case http.StatusUnauthorized, http.StatusPaymentRequired:
		return ownKey
	}
	return status >= 520 && status <= 530 // Cloudflare's, and Anthropic's 529 for overloaded
}
