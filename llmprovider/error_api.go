package llmprovider

import (
	"encoding/json"
	"net/http"
)

// StatusOverloaded is the HTTP status with which Anthropic's API says that it is
// overloaded.
const StatusOverloaded = 529

// messagesJSON returns the error as Anthropic's API writes it:
// https://docs.anthropic.com/en/api/errors.
func (e *Error) messagesJSON() []byte {
	kind := "invalid_request_error"
	switch e.Status {
	case http.StatusUnauthorized:
		kind = "authentication_error"
	case http.StatusPaymentRequired:
		kind = "billing_error"
	case http.StatusForbidden:
		kind = "permission_error"
	case http.StatusNotFound:
		kind = "not_found_error"
	case http.StatusRequestEntityTooLarge:
		kind = "request_too_large"
	case http.StatusTooManyRequests:
		kind = "rate_limit_error"
	case StatusOverloaded:
		kind = "overloaded_error"
	default:
		if e.Status >= 500 {
			kind = "api_error"
		}
	}
	type detail struct {
		Type    string `json:"type"`
		Message string `json:"message"`
	}
	out, _ := json.Marshal(struct {
		Type      string `json:"type"`
		Error     detail `json:"error"`
		RequestID string `json:"request_id,omitempty"`
	}{"error", detail{kind, e.Message}, e.RequestID}) // strings always marshal
	return out
}

// geminiJSON returns the error as Google's APIs write it:
// https://cloud.google.com/apis/design/errors.
func (e *Error) geminiJSON() []byte {
	name := "INVALID_ARGUMENT"
	switch e.Status {
	case http.StatusUnauthorized:
		name = "UNAUTHENTICATED"
	case http.StatusForbidden:
		name = "PERMISSION_DENIED"
	case http.StatusNotFound:
		name = "NOT_FOUND"
	case http.StatusTooManyRequests:
		name = "RESOURCE_EXHAUSTED"
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		name = "UNAVAILABLE"
	case http.StatusGatewayTimeout:
		name = "DEADLINE_EXCEEDED"
	default:
		if e.Status >= 500 {
			name = "INTERNAL"
		}
	}
	type detail struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
		Status  string `json:"status"`
	}
	out, _ := json.Marshal(map[string]detail{"error": {e.Status, e.Message, name}}) // strings always marshal
	return out
}
